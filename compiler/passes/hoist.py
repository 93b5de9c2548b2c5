"""Move what touches no tensor to the host, and gather such factors into one.

Before:  lr * ((m / c1) / (sqrt(v / c2) + eps))        c1 = 1 - beta1^t, c2 = 1 - beta2^t
After:   (lr / c1 * m) / (sqrt(v * (1 / c2)) + eps)    `lr / c1`, `1 / c2`: once, in float64
         g * (most / n), both per row                  (most / n) * g: one division per row

In a product the host's factors become one operand, then come factors and divisors per tensor, then
those per row, then those per element: what is coarse is computed once per tensor, not per element.
Only products that have no name in the spec and that nobody else reads are taken apart, so the
kernel still reads like the paper. A number per tensor that is known not to be tiny divides as its
inverse. Does not touch sums.
"""

from __future__ import annotations

from collections import Counter

from ...dsl.levels import GLOBAL, TENSOR
from ...dsl.model import Apply, Const, Expr, constant
from ...dsl.source import NOWHERE
from ..hosts import apply
from ..ir import Graph, Node, Program, ordered

_HOST_OPERATIONS = frozenset(
    """add sub mul div neg pow mod sqrt rsqrt exp log log2 abs sign maximum minimum clamp floor ceil
    binade tanh sigmoid softplus sin cos atan2 erf eq ne lt le gt ge and or not where""".split()
)


def hoist(program: Program) -> Program:
    """Fold host arithmetic into operands, then regroup products."""
    graph = program.graph
    program = program.mapped(lambda node: _fold(node, graph))
    nodes = list(ordered(program.roots))
    uses = Counter(arg for node in nodes for arg in node.args)
    new: dict[Node, Node] = {}
    for node in nodes:
        new[node] = _regroup(node, graph, uses, new)
    return program.renewed(new)


def _expr(node: Node) -> Expr:
    if isinstance(node.attr, float):
        value = int(node.attr) if node.attr.is_integer() and abs(node.attr) < 2**53 else node.attr
        return constant(value, NOWHERE)
    assert isinstance(node.attr, Const | Expr)
    return node.attr


def _operand(graph: Graph, expr: Expr) -> Node:
    if isinstance(expr, Const) and not isinstance(expr.value, str):
        return graph.const(float(expr.value))
    return graph.node("operand", attr=expr, level=TENSOR if expr.level == TENSOR else GLOBAL)


def _fold(node: Node, graph: Graph) -> Node:
    """Arithmetic on host values alone is a host value."""
    if node.op in _HOST_OPERATIONS and node.args and all(arg.is_host for arg in node.args):
        return _operand(graph, apply(node.op, *map(_expr, node.args)))
    if node.op == "div" and node.args[1].is_host:
        one = constant(1, NOWHERE)
        inverse = _operand(graph, apply("div", one, _expr(node.args[1])))
        return graph.node("mul", inverse, node.args[0], span=node.span)
    return node


def _regroup(node: Node, graph: Graph, uses: Counter[Node], new: dict[Node, Node]) -> Node:
    """`node` over its new arguments; a product with its factors in the new order."""
    above: list[Node] = []
    below: list[Node] = []
    if node.op in ("mul", "div"):
        _factors(node, above, below, uses, top=True)
    as_it_is = len(above) + len(below) <= 2 and not (
        (above and _fineness(above[0]) > _fineness(above[-1]))
        or (below and _is_inverted(below[0], above[0]))
    )
    if as_it_is:
        args = tuple(new[arg] for arg in node.args)
        if all(a is b for a, b in zip(args, node.args, strict=True)):
            return node
        result = graph.node(node.op, *args, level=node.level, attr=node.attr, span=node.span)
    else:
        result = _ordered_product(above, below, graph, new)
    result.label, result.span = result.label or node.label, result.span or node.span
    return result


def _ordered_product(
    above: list[Node], below: list[Node], graph: Graph, new: dict[Node, Node]
) -> Node:
    """Host factors as one operand, then factors from coarse to fine, each divided by what is as
    coarse: a quotient per row is computed once per row."""
    scale: Expr | None = None
    for factor in above:
        if factor.is_host:
            scale = _expr(factor) if scale is None else _times(scale, _expr(factor))
    result = None if scale is None else _operand(graph, scale)
    factors = sorted((n for n in above if not n.is_host), key=_fineness)
    divisors = sorted(below, key=_fineness)
    if result is None and (not factors or (divisors and _is_inverted(divisors[0], factors[0]))):
        result = graph.const(1)
    for factor in [*factors, None]:
        while result and divisors and (not factor or _fineness(divisors[0]) < _fineness(factor)):
            result = graph.node("div", result, new[divisors.pop(0)])
        if factor:
            result = graph.node("mul", result, new[factor]) if result else new[factor]
    assert result is not None
    return result


def _is_inverted(divisor: Node, factor: Node) -> bool:
    """Whether elements are multiplied by the inverse of a number per tensor: where that is safe,
    for the spec says that it is at least so much (max(1, rms(u) / d))."""
    bounds = [arg.attr for arg in divisor.args if arg.op == "const"]
    least = max((bound for bound in bounds if isinstance(bound, float)), default=0.0)
    coarse = divisor.level.is_coarse and not factor.level.is_coarse
    return coarse and divisor.op == "maximum" and least > 1e-30


def _times(a: Expr, b: Expr) -> Expr:
    """a * b, with `x * (1 / y)` written as `x / y`."""
    for x, y in ((a, b), (b, a)):
        match y:
            case Apply(op="div", args=(Const(value=1), divisor)):
                return apply("div", x, divisor)
            case _:
                pass
    return apply("mul", a, b)


def _factors(
    node: Node, above: list[Node], below: list[Node], uses: Counter[Node], top: bool
) -> None:
    """Take a product apart, through products that have no name and that only it reads."""
    if node.op in ("mul", "div") and (top or (uses[node] == 1 and not node.label)):
        a, b = node.args
        _factors(a, above, below, uses, False)
        if node.op == "mul":
            _factors(b, above, below, uses, False)
        else:
            below.append(b)
    else:
        above.append(node)


_ORDER = ("global", "group", "layers", "tensor")


def _fineness(node: Node) -> int:
    kind = node.level.kind
    return _ORDER.index(kind) if kind in _ORDER else 9 if kind == "element" else 5
