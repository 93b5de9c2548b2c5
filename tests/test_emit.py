"""From a plan to text: expressions, names, the lines of a body, and how the torch form reads."""

from __future__ import annotations

import ast
import itertools
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hand_programs import SPAN, Hand, adamw, lamb, per_cell
from hypothesis import given, settings
from hypothesis import strategies as st

from stepc import generated
from stepc.compiler.emit.body import straight_body, sweep_body
from stepc.compiler.emit.expressions import expression
from stepc.compiler.emit.names import identifier
from stepc.compiler.emit.syntaxes import C_DOUBLE, TRITON, C
from stepc.compiler.emit.torch import torch_function
from stepc.compiler.emit.torch_syntax import TORCH
from stepc.compiler.ir import Graph, Node, Program
from stepc.compiler.plan import Plan, Sweep
from stepc.compiler.schedule import schedule
from stepc.dsl.levels import COLS, ELEMENT, GLOBAL, ROWS, TENSOR, Level
from stepc.dsl.model import constant

CHUNKS = Level("chunks", (constant(256, SPAN),))
HEADS = Level("heads", (constant(4, SPAN),))
TILES = Level("tiles", (constant(3, SPAN), constant(50, SPAN)))
PROGRAMS = {
    "adamw": adamw(), "lamb": lamb(), "rows": per_cell(ROWS), "cols": per_cell(COLS),
    "chunks": per_cell(CHUNKS), "heads": per_cell(HEADS), "tiles": per_cell(TILES),
}  # fmt: skip


def leaf(graph: Graph, name: str) -> Node:
    return graph.node("load", attr=name, level=ELEMENT)


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
    like = tensors["a"]  # what a form's own `like` is: a value of the arithmetic's dtype
    found = eval(text, {"torch": torch, "like": like, **tensors})  # our own text, in a test
    assert float(found) == value(node, at), text


def _loads(node: Node) -> set[Node]:
    return {node} if node.op == "load" else {n for arg in node.args for n in _loads(arg)}


def test_every_operation_is_written_by_every_target() -> None:
    # spellings, of C alone
    shared = {"number", "truth", "maximum:number", "minimum:number", "dynamic_code", "away"}
    shared |= {f"affine_{op}:{k}" for op in ("product", "quotient") for k in (0, 1)}
    shared |= {"link", "unlinked"}
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


def test_no_value_hides_a_function_of_c() -> None:
    """What a kernel calls is never the name of a value in it."""
    texts = [getattr(generated, name).c_source for name in generated.__all__]
    text = re.sub(r"__attribute__\(\(.*?\)\) ", "", "\n".join(texts))
    called = set(re.findall(r"^(?:static|#define) [^(=]*?(\w+)\(", text, re.MULTILINE))
    assert {"encode", "ahead", "where", "store_bf16", "SQRT", "JOIN"} <= called
    assert [name for name in sorted(called) if identifier(name) == name] == []


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


# ---------------------------------------------------------------- torch forms as text


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
