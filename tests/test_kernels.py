"""The machine code of every prebuilt Triton kernel, on a machine without a GPU (docs/kernels.json).

A kernel is compiled only if it is not the one whose figures are committed. `--update` compiles what
is new and rewrites table and page; `--kernels` compiles everything anew.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

pytest.importorskip("triton", reason="Triton has no wheel for this platform")

import kernel_table as tables
from kernel_table import COMBINATIONS, DTYPES, PAGE, TABLE, TARGETS, Figures, Table, key, worse
from kernels_over import OVER, far

from stepc.cli.machine import Subject, subjects
from stepc.compiler import budget
from stepc.compiler.assembly import assemble
from stepc.compiler.audit import audit
from stepc.compiler.loops import innermost
from stepc.compiler.machine_code import ptx
from stepc.compiler.plan import Finish, Plan, Sweep, width
from stepc.compiler.schedule import traffic

COMMITTED = Table.committed()
_DIFFERENT = f"the table was made by {COMMITTED.versions}, here is {tables.versions()}"
same_compilers = pytest.mark.skipif(COMMITTED.versions != tables.versions(), reason=_DIFFERENT)


@cache
def prebuilt() -> dict[str, list[Subject]]:
    return tables.prebuilt()


def every() -> list[tuple[str, Subject]]:
    return [(name, subject) for name, kernels in prebuilt().items() for subject in kernels]


@cache
def figures(subject: Subject, target: str, dtype: str) -> Figures:
    """Committed, or found out now."""
    known = COMMITTED.figures.get(key(subject, target, dtype))
    return known or subject.examine(target, dtype).figures


# ---------------------------------------------------------------- the table


@same_compilers
def test_the_table_is_current(pytestconfig: pytest.Config) -> None:
    """Every kernel of every prebuilt optimizer, with the figures of what it is now."""
    if pytestconfig.getoption("--update"):
        new = tables.updated(COMMITTED, prebuilt(), pytestconfig.getoption("--kernels"))
        TABLE.write_text(new.text(), encoding="utf-8")
        PAGE.write_text(tables.page(new, prebuilt()), encoding="utf-8")
        return
    now = {
        name: {subject.name: subject.fingerprint for subject in kernels}
        for name, kernels in prebuilt().items()
    }
    changed = [
        name for name in {*now, *COMMITTED.kernels} if now.get(name) != COMMITTED.kernels.get(name)
    ]
    assert not changed, "pytest tests/test_kernels.py --update"
    wanted = {key(subject, *pair) for _, subject in every() for pair in COMBINATIONS}
    assert wanted == set(COMMITTED.figures), "pytest tests/test_kernels.py --update"


@same_compilers
def test_the_page_shows_the_table() -> None:
    wanted = {key(subject, *pair) for _, subject in every() for pair in COMBINATIONS}
    if wanted != set(COMMITTED.figures):
        pytest.skip("the table is not current")
    assert PAGE.read_text(encoding="utf-8") == tables.page(COMMITTED, prebuilt())


@same_compilers
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_kernel_became_worse(dtype: str) -> None:
    """What changed is compiled (for sm_90) and compared with the kernel that had its name."""
    grown: dict[str, list[str]] = {}
    for name, subject in every():
        before = COMMITTED.before(name, subject, "sm_90", dtype)
        if before is not None and key(subject, "sm_90", dtype) not in COMMITTED.figures:
            grown[subject.name] = worse(figures(subject, "sm_90", dtype), before)
    assert not {name: what for name, what in grown.items() if what}


@same_compilers
@pytest.mark.parametrize(("target", "dtype"), COMBINATIONS)
def test_figures_are_what_the_compiler_gives(
    target: str, dtype: str, pytestconfig: pytest.Config
) -> None:
    """One kernel in sixteen; all with --kernels. The audit changed, if this fails alone."""
    kernels = [s for _, s in every() if key(s, target, dtype) in COMMITTED.figures]
    if not pytestconfig.getoption("--kernels"):
        kernels = kernels[TARGETS.index(target) :: 16]
    for subject in kernels:
        found = subject.examine(target, dtype).figures
        assert found == COMMITTED.figures[key(subject, target, dtype)], subject.name


# ---------------------------------------------------------------- budgets


@pytest.mark.parametrize(("target", "dtype"), COMBINATIONS)
def test_kernels_stay_inside_their_budgets(target: str, dtype: str) -> None:
    """Bytes as the plan has them, in vectors; no spills, stack, atomics, or float64 arithmetic
    among elements; no shared memory or barrier where nothing is reduced; see compiler/budget.py."""
    found: dict[str, dict[str, str]] = {}
    for _, subject in every():
        known = COMMITTED.figures.get(key(subject, target, dtype))
        if known:  # what is new is reported by the test above
            found[subject.name] = subject.excess(known, target, dtype)
    allowed = {name: most for kernels in OVER.values() for name, most in kernels.items()}
    beyond = {
        name: what
        for name, what in found.items()
        if any(figure not in allowed.get(name, {}) for figure in what)
    }
    assert beyond == {}


def test_exceptions_are_as_written() -> None:
    """How far each kernel of `kernels_over.py` exceeds its budget, on the target and with the dtype
    where it does most: no further, and not less."""
    found: dict[str, dict[str, list[Any]]] = {}
    complete = True
    for _, subject in every():
        for target, dtype in COMBINATIONS:
            known = COMMITTED.figures.get(key(subject, target, dtype))
            complete &= known is not None
            for figure in subject.excess(known, target, dtype) if known else ():
                found.setdefault(subject.name, {}).setdefault(figure, []).append(known[figure])
    if not complete:
        pytest.skip("the table is not current")
    measured = {
        name: {figure: far(figure, values) for figure, values in what.items()}
        for name, what in found.items()
    }
    assert measured == {name: most for kernels in OVER.values() for name, most in kernels.items()}


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize(("dtype", "most"), [("float32", 30), ("bfloat16", 35)])
def test_adamw_leaves_room_for_memory(target: str, dtype: str, most: int) -> None:
    (adamw,) = prebuilt()["AdamW"]
    found = figures(adamw, target, dtype)
    assert found["bytes"] == {"float32": 28, "bfloat16": 22}[dtype]
    assert found["instructions"] <= most
    assert found["registers"] <= 64
    assert found["units"] == ["MUFU.RCP", "MUFU.SQRT"]  # approximate: Triton's default mode
    assert found["special"] == 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_thread_moves_16_bytes_of_every_stream(dtype: str) -> None:
    """In one access, or beside wider streams in two of 8 bytes; half of that in a sweep so crowded
    that threads take 4 values of a stream."""
    for _, subject in every():
        step = subject.step
        if isinstance(step, Sweep) and step.cell is None and not step.partials:
            found = figures(subject, "sm_90", dtype)
            moved = budget.accesses(subject.plan, step)
            if any(stream.level.kind != "element" for stream in moved):
                continue  # it gathers a number of each element's row or column
            sizes = {width(stream, dtype) for stream in moved}
            narrowest = min(map(int, [*found["loads"], *found["stores"]]))
            assert narrowest >= (16 if len(sizes) == 1 else 8), subject.name
            crowded = subject.each("sm_90") < 8 or min(sizes) < 2  # codes of a byte
            assert subject.each("sm_90") * min(sizes) >= (8 if crowded else 16), subject.name


@pytest.mark.parametrize("what", ["LAMB", "AdamW8bit", "AdamW + GlobalNormClip"])
def test_few_variants(what: str) -> None:
    """Aligned and not, for each pair of dtypes; nothing else makes Triton compile again."""
    for subject in subjects(what):
        assert subject.variants == (2 if isinstance(subject.step, Sweep) else 1), subject.name


def test_no_two_sweeps_of_a_module_are_the_same() -> None:
    """Whatever their values are called."""
    for name, kernels in prebuilt().items():
        sweeps = [subject for subject in kernels if isinstance(subject.step, Sweep)]
        count = Counter(subject.fingerprint for subject in sweeps)
        assert max(count.values(), default=1) == 1, name


# ---------------------------------------------------------------- the gates can fail


def test_the_audit_sees_scalar_accesses() -> None:
    (adamw,) = prebuilt()["AdamW"]
    function = adamw.launched.triton.compiled
    made = assemble(function, ("float32", "float32"), "sm_90", block=1024, aligned=False)
    found = audit(made).figures
    assert found["bytes"] == 28
    assert set(adamw.excess(found, "sm_90", "float32")) == {"loads", "stores"}


@pytest.mark.parametrize(
    ("figure", "value"),
    [("registers", 72), ("spills", 1), ("stack", 8), ("atomics", 1), ("doubles", 1), ("shared", 16),
     ("barriers", 1), ("bytes", 32.0), ("instructions", 170.0), ("special", 21.0),
     ("flight", 20_000)],
)  # fmt: skip
def test_every_budget_can_be_exceeded(figure: str, value: float) -> None:
    (adamw,) = prebuilt()["AdamW"]
    found = figures(adamw, "sm_90", "float32")
    assert set(adamw.excess({**found, figure: value}, "sm_90", "float32")) == {figure}
    assert figure == "flight" or worse({**found, figure: value}, found)


# ---------------------------------------------------------------- launches


def plans(what: str) -> list[Plan]:
    return list({id(subject.plan): subject.plan for subject in subjects(what)}.values())


def costs(plan: Plan) -> tuple[int, list[float]]:
    """Launches of one step, and the bytes per parameter of each of its sweeps."""
    launches = [step for step in plan.steps if isinstance(step, Sweep | Finish)]
    return len(launches), [traffic(sweep) for sweep in plan.sweeps]


@pytest.mark.parametrize(
    ("what", "paths"),
    [
        ("LAMB", [(3, [24, 16]), (5, [4, 24, 16])]),  # the second clips by the global norm
        ("LARS", [(1, [20]), (3, [8, 20])]),
        ("StableAdamW", [(3, [20, 16])]),
        ("AdamW + GlobalNormClip", [(3, [4, 28])]),
    ],
)
def test_reductions_take_few_launches(what: str, paths: list[tuple[int, list[float]]]) -> None:
    """A sweep, a finish, a sweep. Sums leave one partial result for each task in a slot of its own,
    and the finish adds them in order."""
    found = sorted(costs(plan) for plan in plans(what))
    assert [cost for k, cost in enumerate(found) if cost not in found[:k]] == paths


def test_a_global_norm_reads_the_gradient_once_and_writes_nothing() -> None:
    (plan,) = plans("AdamW + GlobalNormClip")
    first = plan.sweeps[0]
    assert [stream.name for stream in first.loads] == ["grad"]
    assert first.stores == ()
    assert [partial.kind for partial in first.partials] == ["sum"]


def test_a_loop_may_be_written_tail_first() -> None:
    """Where LLVM puts a loop's end before its head, as it does when the body branches."""
    text = """
    bra.uni $L__BB0_2;
$L__BB0_1:
    st.global.v4.b32 [ %rd1 + 0 ], { %r1, %r2, %r3, %r4 };
    @%p1 bra $L__BB0_2;
    bra.uni $L__BB0_4;
$L__BB0_2:
    ld.global.v4.b32 { %r1, %r2, %r3, %r4 }, [ %rd1 + 0 ];
    @%p2 bra $L__BB0_1;
    bra.uni $L__BB0_1;
$L__BB0_4:
    st.global.b32 [ %rd2 + 0 ], { %r1 };
"""
    (loop,) = innermost(ptx(text))
    assert (sum(op.load for op in loop), sum(op.store for op in loop)) == (16, 16)


def test_values_alive_at_once() -> None:
    """Of AdamW four streams; of SGDP's row also the sums over it."""
    (adamw,) = prebuilt()["AdamW"]
    assert adamw.launched.triton_alive == 4
    assert adamw.each("sm_90") == 8
    (row,) = (s for s in prebuilt()["SGDP"] if s.name == "sgdp_7")
    assert row.launched.triton_alive == 7
    assert row.each("sm_90") == 4
