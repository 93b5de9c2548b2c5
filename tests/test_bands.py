"""Sums per column that a sweep over rows begins: when, that C computes the same, and that the
runtime cuts tasks so that no two of them add to one band."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hand_programs import Hand
from running_plans import Tensor, c_text, expected, run_c

import stepc
from stepc.compiler.bands import BAND_ROWS
from stepc.compiler.ir import Program, Stream
from stepc.compiler.plan import Sweep
from stepc.compiler.schedule import schedule
from stepc.dsl.levels import COLS, ROWS, TENSOR
from stepc.runtime.path import Path
from stepc.runtime.target import use_target
from stepc.runtime.temporaries import Temporaries

HYPERS = {"beta": 0.9, "alpha": 0.1, "lr": 0.01}
SHAPES = ((3, 7), (64, 70), (65, 300), (300, 5), (200, 4100), (1, 5000), (1, 1))


def factored(kinds: tuple[str, ...] = ("sum",), of: str = "grad", m_too: bool = False) -> Program:
    """A number per row, and some per column, of the squares of `of`. `m_too`: the sweep over rows
    writes m as well."""
    h = Hand()
    param, grad = h.load("param"), h.load("grad")
    r = h.do("sum", h.do("mul", grad, grad), per=ROWS, label="r")
    x = h.load(of) if of in ("grad", "param", "other") else None
    if m_too:
        m = h.do("add", h.do("mul", h.hyper("beta"), h.load("m")), h.do("mul", r, grad), label="m")
        h.store("m", m)
        x = m if of == "m" else x
    assert x is not None
    size = h.do("sqrt", h.do("sum", r, per=TENSOR), label="size")  # keeps the rows before the rest
    change = h.do("div", grad, h.do("add", size, 1.0))
    for number, kind in enumerate(kinds):
        c = h.load(f"c{number}", COLS)
        columns = h.do(kind, h.do("mul", x, x), per=COLS)
        c = h.do("add", h.do("mul", h.hyper("beta"), c), columns, label=f"c{number}")
        h.store(f"c{number}", c)
        change = h.do("div", change, h.do("add", h.do("sqrt", c), 1.0))
    total = h.do("sum", h.do("mul", change, change), per=TENSOR, label="total")
    length = h.do("add", h.do("sqrt", total), h.do("sqrt", r))
    step = h.do("div", h.do("mul", h.hyper("lr"), change), h.do("add", length, 1.0))
    h.store("param", h.do("sub", param, step, label="param"))
    h.streams["r"] = Stream("r", ROWS, "real")
    h.store("r", r)
    return h.program("factored")


def tensors() -> list[Tensor]:
    rng = np.random.default_rng(3)
    found: list[Tensor] = []
    for rows, cols in SHAPES:
        names = ("param", "grad", "m", "other")
        made = {name: rng.standard_normal(rows * cols).astype(np.float32) for name in names}
        made |= {f"c{k}": np.abs(rng.standard_normal(cols)).astype(np.float32) for k in range(3)}
        found.append(Tensor(rows, cols, made | {"r": np.zeros(rows, np.float32)}))
    return found


def bands(program: Program) -> tuple[list[str], list[str]]:
    sweeps = schedule(program).sweeps
    begun = [b.stream.name for s in sweeps for b in s.begins]
    return begun, [b.stream.name for s in sweeps for b in s.resumes]


def test_a_sweep_over_rows_begins_what_it_reads_anyway() -> None:
    begun, resumed = bands(factored(("sum", "max")))
    assert begun == resumed and len(set(begun)) == 2


@pytest.mark.parametrize(
    "program", [factored(of="other"), factored(of="m", m_too=True)], ids=["unread", "overwritten"]
)
def test_other_sums_are_left_to_the_columns(program: Program) -> None:
    """Of a stream that the sweep over rows does not read, or has just written anew."""
    sweeps = schedule(program).sweeps
    assert [s.cell for s in sweeps].index(ROWS) < [s.cell for s in sweeps].index(COLS)
    assert bands(program) == ([], [])


@pytest.mark.parametrize("kinds", [("sum",), ("max",), ("sum", "min", "max")], ids=str)
@pytest.mark.parametrize("task_size", [100, 16384])
def test_c_computes_the_program(kinds: tuple[str, ...], task_size: int) -> None:
    program, found = factored(kinds), tensors()
    want = expected(program, found, HYPERS)
    run_c(schedule(program), found, HYPERS, task_size=task_size)
    for tensor, streams in zip(found, want, strict=True):
        for stream, x in streams.items():
            error = np.abs(tensor.streams[stream] - x).max() / np.abs(x).max()
            assert error < 1e-6, (stream, tensor.rows, tensor.cols)


def test_c_walks_a_matrix_once_less() -> None:
    functions, _ = c_text(schedule(factored()))
    (columns,) = (f.text for f in functions if "over cols" in f.text)
    assert len(re.findall(r"grad_at\[", columns)) == 1


def test_a_row_that_names_an_element_stays_inside() -> None:
    """`x` per row, then `x` per element: the second must not be the next element's first."""
    text = """
optimizer Renamed:
    "x is a number per row, and then one per element."
    hyper lr = 0.1 in [0, inf)
    state c: per cols
    state r: per rows
    update:
        r = mean(grad^2, per rows)
        c = mean(grad^2, per cols)
        x = sqrt(r) + 1
        x = x * c + grad
        x = x / (1 + rms(x))
        direction = x
"""
    made = stepc.compile(text)
    ends = []
    for target in ("c", "torch"):
        torch.manual_seed(0)
        param = torch.nn.Parameter(torch.randn(70, 90, dtype=torch.float64))
        param.grad = torch.randn_like(param)
        with use_target(target):
            made([param]).step()
        ends.append(param.detach())
    assert torch.allclose(*ends, rtol=1e-12, atol=0)


def test_tasks_of_the_runtime_have_whole_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Temporaries] = []
    real = Temporaries.__init__

    def watched(self: Temporaries, bucket: object) -> None:
        real(self, bucket)  # type: ignore[arg-type]
        seen.append(self)

    monkeypatch.setattr(Temporaries, "__init__", watched)
    for target, shares in (("c", True), ("torch", False)):
        param = torch.nn.Parameter(torch.randn(1000, 700))
        param.grad = torch.randn_like(param)
        with use_target(target):
            stepc.Adafactor([param]).step()
        (here,) = seen
        (stream,) = (s for s in here._streams if s.name.startswith("column_"))
        assert bool(stream.firsts[-1]) == shares
        seen.clear()
        path: Path = here._bucket.path
        (begins,) = (s for s in path.steps if getattr(s, "multiple", 1) > 1)
        assert begins.multiple == BAND_ROWS  # type: ignore[union-attr]
        if shares:
            tasks = [t.table for t in here._bucket._tasks.values()]
            (rows,) = (t for t in tasks if int(t[-1, 2]) == 1000)
            assert len(rows) > 1 and not (rows[:, 1] % BAND_ROWS).any()


def test_sweeps_say_so() -> None:
    sweeps = [s for s in schedule(factored()).steps if isinstance(s, Sweep)]
    assert [bool(s.begins) for s in sweeps] == [s.cell == ROWS for s in sweeps]
