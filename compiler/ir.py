"""The program: one path through a step as a graph of values, each at a level.

A step branches only on host conditions, so it is a small decision tree whose leaves are
straight-line programs. A leaf is a graph of `Node`s: equal nodes are one object (`Graph` interns
them), so what is computed twice is shared by construction.

    param' = sub(load param, mul(operand lr, load m))        at level element
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..dsl import model
from ..dsl.levels import ELEMENT, GLOBAL, Level, join
from ..dsl.source import NOWHERE, Span

# What a node's `op` may be, besides the elementwise operations named as in the language:
#   load     attr = stream name               the value a stream held when the step began
#   operand  attr = model.Expr (host)         a number computed on the host, in float64
#   const    attr = number
#   sum, max, min (one argument)              reductions; the node's level is the result's
#   matmul, transpose                         matrices
#   quantile (value, fraction), argmin, argmax   what needs all values of a cell at once
#   spread                                    a coarser value, given its state's level
#   value    attr = slot name                 made by an earlier step of the plan
#   fresh    attr = stream name               a stream's content after an earlier sweep wrote it
#   where    attr = GUARD                     written by a `guard`: the old value stays as stored
#   real                             a code as a number
#   byte     attr = zero             the whole number nearest to x + zero in [0, 255], as a code; of
#                                    two the even one
#   away                             the whole number nearest to x, of two the farther from 0, in C
#   copysign                         the size of the first with the sign of the second
#   binade                           the greatest power of two not above x > 0
#   dynamic_value, dynamic_code      attr = (decades, signed): what a code of a dynamic map stands
#                                    for, and the code of a ratio; `codecs.plain` spells them out
#   half_ulp                         half a unit in the last place of a parameter, by its dtype
#   in_half_ulps                     the first in those units of the second
#   inverse                          1 / x for x > 0
#   quotient                         a / b to a few last places, in Triton kernels of codes
#   e4m3_code, e4m3_value            8-bit floating point as a code, and back; e5m2 likewise


@dataclass(slots=True, eq=False)
class Node:
    """One value. Equal values are the same object; `label` and `span` only serve the reader."""

    op: str
    args: tuple[Node, ...]
    level: Level
    attr: object = None
    label: str = ""
    span: Span | None = field(default=None, repr=False)

    @property
    def is_host(self) -> bool:
        return self.op in ("operand", "const")


GUARD = "guard"
REDUCTIONS = frozenset({"sum", "max", "min"})
ORDER = frozenset({"quantile", "argmin", "argmax"})
CODES = frozenset({"uint8", "uint4", "int8", "int16"})  # dtypes of streams that hold integers
MATRIX = frozenset({"matmul", "transpose"}) | ORDER  # computed by a MatrixStep, through torch


class Graph:
    """Makes nodes, one object per distinct value, and infers their levels."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Node] = {}

    def node(
        self,
        op: str,
        *args: Node,
        level: Level | None = None,
        attr: object = None,
        span: Span | None = None,
    ) -> Node:
        """The node for `op(args)`; its level is the join of its arguments' unless given."""
        if level is None:
            level = GLOBAL
            for arg in args:
                level = join(level, arg.level) or ELEMENT
        key = (op, tuple(map(id, args)), level, type(attr), attr)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Node(op, args, level, attr, span=span)
        return known

    def const(self, value: float) -> Node:
        return self.node("const", attr=float(value), level=GLOBAL)

    def rewrite(self, roots: Iterable[Node], rule: Callable[[Node], Node]) -> dict[Node, Node]:
        """Bottom-up: every node is rebuilt from its rewritten arguments, then given to `rule`.
        Labels and spans follow the value. Returns the new node of every node reached."""
        new: dict[Node, Node] = {}
        for node in ordered(roots):
            args = tuple(new[arg] for arg in node.args)
            rebuilt = node
            if any(a is not b for a, b in zip(args, node.args, strict=True)):
                rebuilt = self.node(
                    node.op, *args, level=node.level, attr=node.attr, span=node.span
                )
                rebuilt.label = rebuilt.label or node.label
            result = rule(rebuilt)
            if result is not node:
                result.label = result.label or node.label
                result.span = result.span or node.span
            new[node] = result
        return new


def ordered(roots: Iterable[Node]) -> Iterator[Node]:
    """Every node reachable from `roots`, arguments before users, in a fixed order."""
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, expanded = stack.pop()
        if node in seen:
            continue
        if expanded:
            seen.add(node)
            yield node
        else:
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args) if arg not in seen)


def reached(values: Iterable[Node], stop: Collection[Node]) -> set[Node]:
    """The nodes that values are computed from, and themselves, up to those in `stop`."""
    found: set[Node] = set()
    stack = list(values)
    while stack:
        node = stack.pop()
        if node not in found and node not in stop:
            found.add(node)
            stack.extend(node.args)
    return found


@dataclass(frozen=True, slots=True)
class Stream:
    """A tensor in memory that a step reads or writes: param, grad, or (part of) a state.

    dtype: `param` or `grad` (that tensor's own), `real` (the arithmetic's: float32, or float64
    beside a float64 parameter), or a plain name: uint8, float32, bfloat16, float16; or uint4: two
    codes to a byte, of elements that lie `plane` apart in a block of `block` elements, the first
    one's in the upper half. A last block that is not full takes a whole one's bytes.
    `initial`: what the runtime fills it with when it makes it: a number, or `param`.
    `codec`: the storage line of a quantized state, until `passes/store.py` has spelled it out.
    """

    name: str
    level: Level
    dtype: str = "real"
    initial: float | str = 0.0
    codec: model.Storage | None = None
    block: int = 0
    plane: int = 0

    @property
    def walk(self) -> Level:
        """The level whose cells a sweep that writes the stream goes over, if it is one of cells."""
        if self.dtype == "uint4":
            return Level("chunks", (model.constant(self.block, NOWHERE),))
        return self.level


@dataclass(frozen=True, slots=True)
class Store:
    stream: Stream
    value: Node


@dataclass(frozen=True, slots=True)
class Program:
    """One leaf: what one call of the step does to a tensor, under `decisions`."""

    name: str
    graph: Graph
    decisions: tuple[tuple[model.Expr, bool], ...]
    streams: tuple[Stream, ...]
    stores: tuple[Store, ...]
    lets: tuple[tuple[str, model.Expr], ...] = ()  # host locals, in order
    host_stores: tuple[tuple[str, model.Expr], ...] = ()  # host states and their new values
    counts: bool = True  # False: the call was skipped, t stays
    rounding: model.Rounding = field(default_factory=model.Rounding)
    adds: tuple[Node, ...] = ()  # reductions over several tensors that other paths need
    coded: tuple[Stream, ...] = ()  # states that are kept as codes, as they were

    @property
    def roots(self) -> list[Node]:
        """Every value that the call must compute."""
        return [*(store.value for store in self.stores), *self.adds]

    def stream(self, name: str) -> Stream:
        return next(stream for stream in self.streams if stream.name == name)

    def mapped(self, rule: Callable[[Node], Node]) -> Program:
        """The same program with `rule` applied bottom-up to every value."""
        return self.renewed(self.graph.rewrite(self.roots, rule))

    def renewed(self, new: Mapping[Node, Node]) -> Program:
        """The same program with new values for its roots; itself if none changed."""
        if all(new[root] is root for root in self.roots):
            return self
        stores = tuple(Store(s.stream, new[s.value]) for s in self.stores)
        return replace(self, stores=stores, adds=tuple(new[node] for node in self.adds))


@dataclass(frozen=True, slots=True)
class Decide:
    """An inner node of the decision tree: a host condition. `lets` are the host locals that the
    condition may read."""

    condition: model.Expr
    lets: tuple[tuple[str, model.Expr], ...]
    then: Tree
    otherwise: Tree


@dataclass(frozen=True, slots=True)
class Refuse:
    """A leaf for tensors the optimizer does not take (`requires`)."""

    message: str


Tree = Decide | Program | Refuse


def leaves(tree: Tree) -> Iterator[Program]:
    """The programs of a tree, left to right."""
    match tree:
        case Program():
            yield tree
        case Decide(then=then, otherwise=otherwise):
            yield from leaves(then)
            yield from leaves(otherwise)
        case Refuse():
            return


def map_leaves(tree: Tree, rule: Callable[[Program], Program]) -> Tree:
    """The tree with every program replaced; the same object if nothing changed."""
    match tree:
        case Program():
            return rule(tree)
        case Refuse():
            return tree
        case Decide():
            then, otherwise = map_leaves(tree.then, rule), map_leaves(tree.otherwise, rule)
            if then is tree.then and otherwise is tree.otherwise:
                return tree
            return Decide(tree.condition, tree.lets, then, otherwise)
