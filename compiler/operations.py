"""One operation of the language as nodes: reductions in terms of sum, max and min; `mean`, `norm`,
`lerp` and their like spelled out.

    lerp(a, b, w)          (1 - w)*a + w*b          w on the host
    mean(x, per rows)      sum(x, per rows) * (1 / cols)
    norm(x)                sqrt(sum(x*x))

Elementwise operations keep their names. What a reduction to the same level means is the identity
(a partition may turn out to be `element`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..dsl.diagnostics import Diagnostic, SpecError
from ..dsl.levels import ELEMENT, GLOBAL, GROUP, TENSOR, Level, refines
from ..dsl.model import Apply, Const, Expr, Read, constant
from ..dsl.source import Span
from .hosts import apply
from .ir import ORDER, REDUCTIONS, Graph, Node, ordered
from .names import Names

_REDUCTIONS = frozenset(
    {"sum", "mean", "max", "min", "norm", "rms", "std", "dot", "count"}
)  # fmt: skip
_COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"})
_ELEMENTARY = frozenset(
    {
        "neg", "add", "sub", "mul", "div", "mod", "pow", "eq", "ne", "lt", "le", "gt", "ge",
        "and", "or", "not", "where", "sqrt", "rsqrt", "exp", "log", "abs", "sign", "sign_bit",
        "maximum", "minimum", "clamp", "floor", "ceil", "round", "tanh", "sigmoid", "softplus",
        "atan2", "sin", "cos", "tan", "atan", "erf", "log2", "exp2", "cbrt", "affine_product",
        "affine_quotient", "affine_root",
    }
)  # fmt: skip


@dataclass(slots=True)
class Operations:
    """Makes nodes in `graph`; `value` is the trace's, of expressions."""

    graph: Graph
    value: Callable[[Expr], Node]
    names: Names
    joint: list[Node] = field(default_factory=list[Node])  # reductions over several tensors
    _met: Counter[Span] = field(default_factory=Counter[Span])

    def apply(self, expr: Apply) -> Node:
        """The node of a device operation."""
        node = self._node(expr)
        if any(arg.op == "identity" for arg in node.args):
            raise _not_compiled("arithmetic on an identity", expr.span)
        return node

    def _node(self, expr: Apply) -> Node:
        op, span = expr.op, expr.span
        if op in _REDUCTIONS and expr.per is not None:
            return self._reduction(expr, self.names.level(expr.per))
        if op in ORDER and expr.per is not None:
            return self._order_statistic(expr, self.names.level(expr.per))
        if op == "lerp":
            return self._lerp(expr)
        if op == "square":
            return self._square(self.value(expr.args[0]))
        if op in ("matmul", "transpose"):
            args = [self.value(arg) for arg in expr.args]
            if any(arg.op == "identity" for arg in args):
                return next((arg for arg in args if arg.op != "identity"), args[0])
            level = self.names.level(expr.level)
            return self.graph.node(op, *args, level=level, span=span)
        if op == "cast":
            name = _word(expr)
            return self.graph.node("cast", self.value(expr.args[0]), attr=name, span=span)
        if op in _ELEMENTARY:
            return self.graph.node(op, *(self.value(arg) for arg in expr.args), span=span)
        raise _not_compiled(f"`{op}`", span)

    def _lerp(self, expr: Apply) -> Node:
        a, b = self.value(expr.args[0]), self.value(expr.args[1])
        weight = expr.args[2]
        if self.names.is_host(weight):
            w = self.names.host(weight)
            keep = apply("sub", constant(1, weight.span), w)
            return self._add(
                self._mul(self._operand(keep, weight.span), a),
                self._mul(self._operand(w, weight.span), b),
            )
        w_node = self.value(weight)
        return self._add(a, self._mul(w_node, self.graph.node("sub", b, a)))

    # ------------------------------------------------------------ reductions

    def _reduction(self, expr: Apply, per: Level) -> Node:
        result = self._reduced_value(expr, per)
        x = self.value(expr.args[0])
        subject = (x.label or str(x.attr or "")).rpartition(".")[2] if x.op != "operand" else ""
        if subject.isidentifier():  # what is reduced names the sum below the root or quotient
            word = "square_sum" if expr.op in ("norm", "rms") else expr.op
            for node in ordered([result]):
                if node.op in REDUCTIONS and not node.label and node.args[0].op != "spread":
                    node.label = f"{subject}_{'sum' if word == 'mean' else word}"
        return result

    def _reduced_value(self, expr: Apply, per: Level) -> Node:
        x = self._cells_of(expr.args[0])
        op, span = expr.op, expr.span
        if x.level.is_shaped and (op in ("mean", "rms", "std") or per != TENSOR):
            raise _not_compiled(f"`{op}` of this shape", span)
        if op == "dot":
            x = self._mul(x, self._cells_of(expr.args[1]))
        same = refines(per, x.level)
        match op:
            case "sum" | "dot":
                return x if same else self._sum(x, per, span)
            case "count":
                there = self._number(self._is_not_zero(x))
                return there if same else self._sum(there, per, span)
            case "max" | "min":
                return x if same else self._reduced(op, x, per, span)
            case "mean":
                return self._number(x) if same else self._mean(x, per, span)
            case "norm":
                return self._sqrt(
                    self._square(x) if same else self._sum(self._square(x), per, span)
                )
            case "rms":
                return self._sqrt(
                    self._square(x) if same else self._mean(self._square(x), per, span)
                )
            case _:
                return self._std(x, per, expr)

    def _order_statistic(self, expr: Apply, per: Level) -> Node:
        """A quantile, or the place of the least or greatest value in its row, column or tensor."""
        x, *fraction = expr.args
        args = [self._number(self._cells_of(x)), *map(self.value, fraction)]
        return self.graph.node(expr.op, *args, level=per, span=expr.span)

    def _cells_of(self, expr: Expr) -> Node:
        """What a reduction consumes: one value per cell of the expression's level, even where this
        path's choices give a coarser one."""
        x, level = self.value(expr), self.names.level(expr.level)
        if x.level != level and refines(level, x.level):
            return self.graph.node("spread", x, level=level)
        return x

    def _std(self, x: Node, per: Level, expr: Apply) -> Node:
        centre = self.graph.node("sub", x, self._mean(x, per, expr.span))
        options = dict(expr.options)
        unbiased = options.get("unbiased")
        if unbiased is not None and isinstance(unbiased, Const) and unbiased.value:
            squares = self._sum(self._square(centre), per, expr.span)
            less = self.graph.node("sub", self._count(x.level, per, expr.span), self.graph.const(1))
            return self._sqrt(self.graph.node("div", squares, less))
        return self._sqrt(self._mean(self._square(centre), per, expr.span))

    def _sum(self, x: Node, per: Level, span: Span) -> Node:
        return self._reduced("sum", self._number(x), per, span)

    def _reduced(self, op: str, x: Node, per: Level, span: Span) -> Node:
        """A reduction over several tensors has a key, so that tensors on different paths add up
        what stands at the same place of the text, and only that."""
        if per not in (GROUP, GLOBAL):
            return self.graph.node(op, x, level=per, span=span)
        key = f"{span.source.name}:{span.line}:{span.column}.{self._met[span]}"
        self._met[span] += 1
        node = self.graph.node(op, x, level=per, attr=key, span=span)
        self.joint.append(node)
        return node

    def _mean(self, x: Node, per: Level, span: Span) -> Node:
        return self.graph.node("div", self._sum(x, per, span), self._count(x.level, per, span))

    def _count(self, fine: Level, per: Level, span: Span) -> Node:
        """How many cells of `fine` a cell of `per` holds, on the host where facts tell."""
        cells = self._cells(fine, span)
        if per == TENSOR and cells is not None:
            return self._operand(cells, span)
        if per.kind == "rows" and fine == ELEMENT:
            return self._operand(_fact("cols", span), span)
        if per.kind == "cols" and fine == ELEMENT:
            return self._operand(_fact("rows", span), span)
        if per.kind == "heads" and fine == ELEMENT:
            return self._operand(apply("div", _fact("numel", span), per.args[0]), span)
        if per.is_coarse and cells is not None:
            return self._reduced("sum", self._operand(cells, span), per, span)
        one = self.graph.node("spread", self.graph.const(1), level=fine)
        return self._reduced("sum", one, per, span)

    def _cells(self, level: Level, span: Span) -> Expr | None:
        """The number of cells in a tensor, as a host value of level tensor."""
        if level == ELEMENT:
            return _fact("numel", span)
        if level.kind in ("rows", "cols"):
            return _fact(level.kind, span)
        if level.kind == "heads":
            return level.args[0]
        if level.kind == "chunks":
            return apply("ceil", apply("div", _fact("numel", span), level.args[0]))
        if level.kind == "tiles":
            down = apply("ceil", apply("div", _fact("rows", span), level.args[0]))
            return apply(
                "mul", down, apply("ceil", apply("div", _fact("cols", span), level.args[1]))
            )
        if level == TENSOR:
            return Const(1, level=TENSOR, host=True, span=span)
        return None

    # ------------------------------------------------------------ small ones

    def _operand(self, expr: Expr, span: Span) -> Node:
        if isinstance(expr, Const) and expr.level != TENSOR and not isinstance(expr.value, str):
            return self.graph.const(float(expr.value))
        return self.graph.node("operand", attr=expr, level=expr.level, span=span)

    def _is_not_zero(self, x: Node) -> Node:
        return x if x.op in _COMPARISONS else self.graph.node("ne", x, self.graph.const(0))

    def _number(self, x: Node) -> Node:
        """A comparison's outcome as 0 or 1, so that it can be added up."""
        if x.op in _COMPARISONS:
            return self.graph.node("where", x, self.graph.const(1), self.graph.const(0))
        return x

    def _square(self, x: Node) -> Node:
        return self.graph.node("mul", x, x)

    def _sqrt(self, x: Node) -> Node:
        return self.graph.node("sqrt", x)

    def _add(self, a: Node, b: Node) -> Node:
        return self.graph.node("add", a, b)

    def _mul(self, a: Node, b: Node) -> Node:
        return self.graph.node("mul", a, b)


def _not_compiled(what: str, span: Span) -> SpecError:
    return SpecError(
        Diagnostic(
            "E511",
            f"{what} is understood, not compiled yet",
            span,
            "the naive interpreter may still run it",
        )
    )


def _fact(name: str, span: Span) -> Expr:
    return Read("fact", name, level=TENSOR, host=True, span=span)


def _word(expr: Apply) -> str:
    target = expr.args[1]
    return str(target.value) if isinstance(target, Const) else ""
