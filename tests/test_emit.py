"""From a plan to text: expressions, lines, and the C and torch forms that compute the program."""

from __future__ import annotations

import ast
import itertools
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hand_programs import SPAN, Hand, adamw, lamb, per_cell
from hypothesis import given, settings
from hypothesis import strategies as st
from running_plans import (
    FLAGS,
    Tensor,
    c_text,
    cell_shape,
    compile_c,
    expected,
    operand,
    run_c,
)  # fmt: skip

from stepc.compiler.emit.body import straight_body, sweep_body
from stepc.compiler.emit.expressions import expression
from stepc.compiler.emit.names import identifier
from stepc.compiler.emit.syntaxes import C_DOUBLE, TORCH, TRITON, C
from stepc.compiler.emit.torch import torch_function
from stepc.compiler.ir import Graph, Node, Program
from stepc.compiler.plan import Plan, Sweep
from stepc.compiler.schedule import schedule
from stepc.dsl.levels import COLS, ELEMENT, GLOBAL, ROWS, TENSOR, Level
from stepc.dsl.model import constant

CHUNKS = Level("chunks", (constant(256, SPAN),))
HEADS = Level("heads", (constant(4, SPAN),))
HYPERS = {
    "grad_scale": -1.0, "beta1": 0.9, "alpha1": 0.1, "beta2": 0.99, "alpha2": 0.01,
    "correction2": 1.3, "eps": 1e-8, "decay": 0.99, "rate": 1e-2, "lr": 0.01,
}  # fmt: skip
PROGRAMS = {
    "adamw": adamw(), "lamb": lamb(), "rows": per_cell(ROWS), "cols": per_cell(COLS),
    "chunks": per_cell(CHUNKS), "heads": per_cell(HEADS),
}  # fmt: skip
SHAPES = ((4, 7), (8, 300), (64, 1111), (1, 1))

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler here")


def leaf(graph: Graph, name: str) -> Node:
    return graph.node("load", attr=name, level=ELEMENT)


def tensors_for(
    program: Program, dtype: type = np.float32, shapes: object = SHAPES
) -> list[Tensor]:
    rng = np.random.default_rng(5)
    made: list[Tensor] = []
    for rows, cols in shapes:  # type: ignore[attr-defined]
        if rows % 4 and any(s.level == HEADS for s in program.streams):
            continue
        tensor = Tensor(rows, cols, {})
        for stream in program.streams:
            count, _ = cell_shape(stream.level, tensor, HYPERS)
            x = rng.standard_normal(count)
            tensor.streams[stream.name] = (
                np.abs(x).astype(dtype) if stream.name == "v" else x.astype(dtype)
            )
        made.append(tensor)
    return made


# ---------------------------------------------------------------- expressions


def test_precedence_needs_the_fewest_brackets() -> None:
    g = Graph()
    a, b, c = (leaf(g, n) for n in "abc")
    names = {a: "a", b: "b", c: "c"}
    cases = {
        g.node("sub", a, g.node("sub", b, c)): "a - (b - c)",
        g.node("sub", g.node("sub", a, b), c): "a - b - c",
        g.node("mul", g.node("add", a, b), c): "(a + b) * c",
        g.node("div", a, g.node("mul", b, c)): "a / (b * c)",
        g.node("neg", g.node("mul", a, b)): "-(a * b)",
        g.node("mul", g.node("neg", a), b): "-a * b",
        g.node("mul", a, g.node("mul", b, c)): "a * (b * c)",
    }
    for syntax, (node, text) in itertools.product((C, TRITON, TORCH), cases.items()):
        assert expression(node, names, syntax) == text


def test_truth_values_and_numbers_are_told_apart() -> None:
    g = Graph()
    a, b = leaf(g, "a"), leaf(g, "b")
    names = {a: "a", b: "b"}
    less = g.node("lt", a, b)
    both = g.node("and", less, g.node("not", g.node("eq", a, b)))
    assert expression(both, names, C) == "a < b && !(a == b)"
    assert expression(both, names, TORCH) == "(a < b) & ~(a == b)"
    assert expression(g.node("mul", a, less), names, C) == "a * WHERE(a < b, R(1), R(0))"
    assert expression(g.node("mul", a, less), names, TRITON) == "a * tl.where(a < b, 1.0, 0.0)"
    assert expression(g.node("and", a, less), names, TORCH) == "(a != 0.0) & (a < b)"


def test_numbers_keep_their_value() -> None:
    g = Graph()
    a = leaf(g, "a")
    for value in (0.1, 1e-30, 3.0, -2.5, 1 / 3, 1e22):
        for syntax in (TRITON, TORCH):
            assert float(ast.literal_eval(expression(g.const(value), {}, syntax))) == value
        assert (
            float(expression(g.const(value), {}, C).removeprefix("R(").removesuffix(")")) == value
        )
    clipped = g.node("maximum", a, g.const(0.1))
    assert "tl.full((), 0.1, REAL)" in expression(clipped, {a: "a"}, TRITON)
    assert expression(g.const(-math.inf), {}, C) == "-R(INFINITY)"
    assert expression(g.const(math.inf), {}, TORCH) == 'float("inf")'


_LEAVES = st.sampled_from(["a", "b", "c"])
_OPERATIONS = ["add", "sub", "mul", "neg", "lt", "and", "where"]
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.tuples(st.sampled_from(_OPERATIONS), inner, inner, inner),
    max_leaves=12,
)  # fmt: skip


def build(graph: Graph, tree: object) -> Node:
    if isinstance(tree, str):
        return leaf(graph, tree)
    op, *parts = tree  # type: ignore[misc]
    count = {"neg": 1, "where": 3}.get(op, 2)
    return graph.node(op, *(build(graph, part) for part in parts[:count]))


def value(node: Node, at: dict[str, float]) -> float:
    args = [value(arg, at) for arg in node.args]
    match node.op, args:
        case "load", _:
            return at[str(node.attr)]
        case "neg", [a]:
            return -a
        case "where", [c, a, b]:
            return a if c else b
        case "lt", [a, b]:
            return float(a < b)
        case "and", [a, b]:
            return float(bool(a) and bool(b))
        case op, [a, b]:
            return {"add": a + b, "sub": a - b, "mul": a * b}[op]
        case _:
            raise AssertionError(node.op)


@given(_TREES)
@settings(max_examples=200, deadline=None)
def test_python_text_computes_the_tree(tree: object) -> None:
    node = build(Graph(), tree)
    names = {n: str(n.attr) for n in _loads(node)}
    at = {"a": 2.0, "b": -3.0, "c": 0.5}
    tensors = {name: torch.tensor(x, dtype=torch.float64) for name, x in at.items()}
    text = expression(node, names, TORCH)
    found = eval(text, {"torch": torch, **tensors})  # our own text, in a test
    assert float(found) == value(node, at), text


def _loads(node: Node) -> set[Node]:
    return {node} if node.op == "load" else {n for arg in node.args for n in _loads(arg)}


def test_every_operation_is_written_by_every_target() -> None:
    shared = {"number", "truth"}
    plain = {k for k in C.forms if k not in shared and not k.startswith("cast")}
    for syntax in (TRITON, TORCH, C_DOUBLE):
        assert plain <= syntax.forms.keys(), plain - syntax.forms.keys()


# ---------------------------------------------------------------- names and lines


def test_names_are_identifiers_of_their_own() -> None:
    assert identifier("Lookahead.slow") == "slow"
    assert identifier("lambda") == "lambda_"
    assert identifier("double") == "double_"
    assert identifier("tl") == "tl_"
    assert identifier("newton_schulz.1.x") == "x"


def sweep_of(program: Program) -> tuple[Plan, Sweep]:
    plan = schedule(program)
    return plan, plan.sweeps[0]


def test_a_new_value_takes_the_old_ones_name_when_that_is_done_with() -> None:
    plan, sweep = sweep_of(adamw())
    body = sweep_body(plan, sweep, TRITON)
    (walk,) = body.rounds
    assert [line.name for line in walk.lines] == ["param", "grad", "m", "v", "param"]
    assert all(line.rebinds for line in walk.lines)
    assert {line.where for line in walk.lines} == {"hand.opt:7"}


def test_a_value_still_needed_keeps_its_name() -> None:
    h = Hand()
    param, m = h.load("param"), h.load("m")
    new = h.do("mul", m, 0.5, label="m")
    h.store("param", h.do("sub", param, h.do("mul", new, m), label="param"))
    h.store("m", new)
    plan, sweep = sweep_of(h.program())
    body = sweep_body(plan, sweep, C)
    assert [line.name for line in body.rounds[0].lines] == ["m_new", "param"]


def test_values_per_tensor_stay_outside_the_loop() -> None:
    plan = schedule(lamb())
    body = sweep_body(plan, plan.sweeps[1], C)
    outside = [line.name for line in body.prologue]
    assert outside[:3] == ["weight_norm", "step_norm", "ratio"]
    assert [line.name for line in body.rounds[0].lines] == ["param"]


def test_rounds_compute_again_or_keep() -> None:
    for level, kept in ((ROWS, []), (CHUNKS, ["u"])):
        plan, sweep = sweep_of(per_cell(level))
        body = sweep_body(plan, sweep, C)
        assert len(body.rounds) == 3
        assert [body.names[n] for walk in body.rounds for n in walk.kept] == kept
        last = [line.name for line in body.rounds[-1].lines]
        assert last == (["param"] if kept else ["u", "param"])


def test_long_expressions_are_given_names() -> None:
    h = Hand()
    param = h.load("param")
    x = param
    for k in range(40):
        x = h.do("add", h.do("mul", x, 0.5 + k), param)
    h.store("param", x)
    plan, sweep = sweep_of(h.program())
    body = straight_body(plan, sweep, TORCH)
    assert len(body.prologue) >= 4


# ---------------------------------------------------------------- C computes the program


@needs_gcc
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("param", "bound"), [("f32", 5e-7), ("f64", 1e-15)])
def test_c_computes_the_program(name: str, param: str, bound: float) -> None:
    program = PROGRAMS[name]
    dtype = np.float64 if param == "f64" else np.float32
    tensors = tensors_for(program, dtype)
    want = expected(program, tensors, HYPERS)
    run_c(schedule(program), tensors, HYPERS, param=param, grad=param)
    for tensor, streams in zip(tensors, want, strict=True):
        for stream, x in streams.items():
            error = np.abs(tensor.streams[stream] - x).max() / np.abs(x).max()
            assert error < bound, (stream, tensor.rows, tensor.cols)


@needs_gcc
@pytest.mark.parametrize("name", ["lamb", "rows"])
def test_c_does_not_depend_on_the_number_of_threads(name: str) -> None:
    program, results = PROGRAMS[name], []
    omp = compile_c(c_text(schedule(program))[1], "f32", "f32")
    omp.omp_set_num_threads  # noqa: B018  the OpenMP runtime is loaded with it
    for threads in (1, 3):
        omp.omp_set_num_threads(threads)
        tensors = tensors_for(program)
        run_c(schedule(program), tensors, HYPERS, task_size=512)
        results.append([t.streams["param"].copy() for t in tensors])
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


UNARY = (
    "sqrt", "rsqrt", "exp", "exp2", "log", "log2", "abs", "sign", "sign_bit", "floor", "ceil",
    "round", "tanh", "sigmoid", "softplus", "sin", "cos", "tan", "atan", "cbrt", "neg",
)  # fmt: skip
BINARY = ("maximum", "minimum", "atan2", "mod", "add", "sub", "mul", "div")
SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -1.5, 1e-8, -1e-8, 3.0, np.inf, -np.inf, np.nan]
)


def elementwise(op: str) -> Program:
    h = Hand()
    param, grad = h.load("param"), h.load("grad")
    h.store("param", h.do(op, *([param] if op in UNARY else [param, grad]), label="result"))
    return h.program(op)


@needs_gcc
def test_c_and_torch_functions_agree_with_numpy_on_special_values() -> None:
    pairs = np.array(list(itertools.product(SPECIAL, SPECIAL)))
    for op in (*UNARY, *BINARY):
        program = elementwise(op)
        tensor = Tensor(1, len(pairs), {"param": pairs[:, 0].copy(), "grad": pairs[:, 1].copy()})
        with np.errstate(all="ignore"):
            want = expected(program, [tensor], HYPERS)[0]["param"]
        for column in torch_run(schedule(program), [tensor]):
            np.testing.assert_allclose(
                column["param"].ravel(), want, rtol=1e-14, atol=1e-300, err_msg=op
            )
        run_c(schedule(program), [tensor], HYPERS, param="f64", grad="f64")
        np.testing.assert_allclose(
            tensor.streams["param"], want, rtol=1e-14, atol=1e-300, err_msg=op
        )


@needs_gcc
@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("f16", torch.float16)])
def test_half_conversions_are_those_of_torch(name: str, dtype: torch.dtype) -> None:
    """Every 16-bit pattern survives a load and a store; stores round to nearest even."""
    h = Hand()
    h.load("param")
    h.store("param", h.do("mul", h.load("grad"), 1.0, label="x"))
    plan = schedule(h.program())
    bits = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16)
    halves = bits.view(dtype)
    many = torch.randn(1 << 16) * torch.logspace(-12, 6, 1 << 16)
    edges = halves.float() * (1 + 2.0**-9)
    for grad in (halves.float(), many, edges):
        out = np.zeros(grad.numel(), np.uint16)
        tensor = Tensor(1, grad.numel(), {"param": out, "grad": grad.numpy().copy()})
        run_c(plan, [tensor], HYPERS, param=name, grad="f32")
        got = torch.from_numpy(out.view(np.int16)).view(dtype)
        want = grad.to(dtype)
        assert torch.equal(got.isnan(), want.isnan())
        assert torch.equal(got[~got.isnan()], want[~want.isnan()])


# ---------------------------------------------------------------- torch computes the program


def torch_run(plan: Plan, tensors: list[Tensor]) -> list[dict[str, np.ndarray]]:
    """Run a plan's torch forms by the contract of `emit/torch.py`, without the runtime."""
    made: list[dict[str, torch.Tensor]] = []
    for tensor in tensors:
        made.append({})
        for stream in plan.program.streams:
            shape = {
                "element": (tensor.rows, tensor.cols), "rows": (-1, 1), "cols": (1, -1),
            }.get(stream.level.kind, (-1,))  # fmt: skip
            x = torch.from_numpy(tensor.streams[stream.name].copy())
            made[-1][stream.name] = x.reshape(shape)
    values = [[torch.tensor(math.nan, dtype=torch.float64) for _ in plan.values] for _ in tensors]
    partials: list[list[torch.Tensor]] = [[] for _ in tensors]
    before: Sweep | None = None
    for step in plan.steps:
        form = torch_function(plan, step, "form")
        scope: dict[str, object] = {"torch": torch}
        exec(_with_imports(form.text, form.functions), scope)
        for k, tensor in enumerate(tensors):
            if not isinstance(step, Sweep):
                assert before is not None
                begun = [p.slot for p in before.partials]
                for slot, _ in step.completes:  # type: ignore[union-attr]
                    values[k][plan.values.index(slot)] = partials[k][begun.index(slot)]
            args: list[object] = [made[k][s.name] for s in step.loads]
            args += [operand(plan.scalars[c][1], tensor, HYPERS) for c in form.scalars]
            args += [values[k][c] for c in form.values]
            results = list(scope["form"](*args))  # type: ignore[operator]
            if isinstance(step, Sweep):
                partials[k] = results[len(step.stores) :]
            else:
                for (slot, _), x in zip(step.values, results, strict=False):  # type: ignore[union-attr]
                    values[k][plan.values.index(slot)] = x
                results = results[len(step.values) :]  # type: ignore[union-attr]
            for store, x in zip(step.stores, results, strict=False):
                made[k][store.stream.name] = x
        before = step if isinstance(step, Sweep) else before
    return [{name: x.numpy().ravel() for name, x in one.items()} for one in made]


def _with_imports(text: str, functions: tuple[str, ...]) -> str:
    lines = ["from __future__ import annotations", "import torch"]
    lines += [f"from stepc.runtime.forms import {f}" for f in functions]
    return "\n".join([*lines, text])


@pytest.mark.parametrize("name", PROGRAMS)
def test_torch_computes_the_program(name: str) -> None:
    program = PROGRAMS[name]
    tensors = tensors_for(program, np.float64)
    want = expected(program, tensors, HYPERS)
    for found, streams in zip(torch_run(schedule(program), tensors), want, strict=True):
        for stream, x in streams.items():
            assert np.abs(found[stream] - x).max() / np.abs(x).max() < 1e-14, stream


def test_the_torch_form_reads_like_the_spec() -> None:
    plan, sweep = sweep_of(adamw())
    text = torch_function(plan, sweep, "adamw_torch").text
    assert "    m = beta1 * m + alpha1 * grad  # hand.opt:7\n" in text
    assert text.endswith("    return param, m, v")


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_formatter_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    plan = schedule(PROGRAMS[name])
    texts = [torch_function(plan, step, f"{step.name}_torch").text for step in plan.steps]
    head = "import torch\nfrom torch import Tensor"
    file = tmp_path / "forms.py"
    file.write_text("\n\n\n".join([head, *texts]) + "\n")
    command = [sys.executable, "-m", "ruff", "format", "--diff", "--line-length", "100", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_matrix_steps_are_plain_torch() -> None:
    h = Hand()
    param, grad = h.load("param"), h.load("grad")
    norm = h.do("sqrt", h.do("sum", h.do("mul", grad, grad), per=TENSOR))
    x = h.do("div", grad, h.do("add", norm, 1e-7), label="x")
    square = Level("matrix", (constant(1, SPAN), constant(1, SPAN)))
    s = h.do("matmul", x, h.do("transpose", x, per=ELEMENT), per=square, label="s")
    y = h.do(
        "matmul",
        h.do("add", h.do("mul", h.hyper("b"), s), h.do("matmul", s, s, per=square)),
        x,
        per=ELEMENT,
    )
    h.store("param", h.do("sub", param, h.do("mul", h.hyper("lr", GLOBAL), y), label="param"))
    plan = schedule(h.program())
    step = next(s for s in plan.steps if s.name.startswith("matrix"))
    text = torch_function(plan, step, "matrix_torch").text
    assert "s = x @ x.mT" in text
    assert "(b * s + s @ s) @ x" in text
    assert "torch.sum(grad * grad, dim=(-2, -1), keepdim=True)" in text


def test_flags_of_these_tests_keep_the_meaning_of_floats() -> None:
    assert not {"-ffast-math", "-Ofast", "-ffinite-math-only"} & set(FLAGS)
