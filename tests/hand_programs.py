"""Programs written by hand, for tests of what comes after lowering."""

from __future__ import annotations

from dataclasses import dataclass, field

from stepc.compiler.ir import Graph, Node, Program, Store, Stream
from stepc.dsl.levels import ELEMENT, GLOBAL, TENSOR, Level
from stepc.dsl.model import Read
from stepc.dsl.source import Source, Span

SPAN = Span(Source("hand.opt", ""), 7, 1, 7, 2)


@dataclass
class Hand:
    """Makes one program: streams, operands and arithmetic by short names."""

    graph: Graph = field(default_factory=Graph)
    streams: dict[str, Stream] = field(default_factory=dict)
    stores: list[Store] = field(default_factory=list)

    def load(self, name: str, level: Level = ELEMENT, dtype: str = "") -> Node:
        dtype = dtype or (name if name in ("param", "grad") else "real")
        self.streams.setdefault(name, Stream(name, level, dtype))
        return self.graph.node("load", attr=name, level=level)

    def hyper(self, name: str, level: Level = GLOBAL) -> Node:
        read = Read("hyper", name, level=level, host=True, span=SPAN)
        return self.graph.node("operand", attr=read, level=level)

    def do(self, op: str, *args: Node | float, label: str = "", per: Level | None = None) -> Node:
        nodes = [a if isinstance(a, Node) else self.graph.const(a) for a in args]
        node = self.graph.node(op, *nodes, level=per)
        if label:
            node.label, node.span = label, SPAN
        return node

    def store(self, name: str, value: Node) -> None:
        self.stores.append(Store(self.streams[name], value))

    def program(self, name: str = "hand") -> Program:
        return Program(name, self.graph, (), tuple(self.streams.values()), tuple(self.stores))


def adamw() -> Program:
    """AdamW with every host value an operand of its own."""
    h = Hand()
    param, grad = h.load("param"), h.load("grad")
    grad = h.do("mul", h.hyper("grad_scale"), grad, label="grad")
    m, v = h.load("m"), h.load("v")
    m = h.do(
        "add", h.do("mul", h.hyper("beta1"), m), h.do("mul", h.hyper("alpha1"), grad), label="m"
    )
    v = h.do(
        "add", h.do("mul", h.hyper("beta2"), v),
        h.do("mul", h.hyper("alpha2"), h.do("mul", grad, grad)), label="v",
    )  # fmt: skip
    root = h.do("add", h.do("sqrt", h.do("mul", h.hyper("correction2"), v)), h.hyper("eps"))
    decayed = h.do("mul", h.hyper("decay"), param, label="param")
    change = h.do("div", h.do("mul", h.hyper("rate"), m), root)
    h.store("param", h.do("sub", decayed, change, label="param"))
    h.store("m", m)
    h.store("v", v)
    return h.program("adamw")


def lamb() -> Program:
    """A step whose length is that of the parameter: two sums per tensor, then a second pass."""
    h = Hand()
    param, grad, m = h.load("param"), h.load("grad"), h.load("m")
    m = h.do(
        "add", h.do("mul", h.hyper("beta1"), m), h.do("mul", h.hyper("alpha1"), grad), label="m"
    )
    weight = h.do("sqrt", h.do("sum", h.do("mul", param, param), per=TENSOR), label="weight_norm")
    length = h.do("sqrt", h.do("sum", h.do("mul", m, m), per=TENSOR), label="step_norm")
    ratio = h.do("div", weight, h.do("maximum", length, 1e-6), label="ratio")
    step = h.do("mul", h.do("mul", h.hyper("lr"), ratio), m)
    h.store("param", h.do("sub", param, step, label="param"))
    h.store("m", m)
    return h.program("lamb")


def per_cell(level: Level) -> Program:
    """A second moment per cell, and a step divided by the largest entry of the cell."""
    h = Hand()
    param, grad = h.load("param"), h.load("grad")
    v = h.load("v", level)
    squares = h.do("sum", h.do("mul", grad, grad), per=level)
    v = h.do(
        "add", h.do("mul", h.hyper("beta2"), v), h.do("mul", h.hyper("alpha2"), squares), label="v"
    )
    u = h.do("div", grad, h.do("add", h.do("sqrt", v), h.hyper("eps")), label="u")
    largest = h.do("max", h.do("abs", u), per=level, label="largest")
    step = h.do("div", h.do("mul", h.hyper("lr"), u), h.do("add", largest, h.hyper("eps")))
    h.store("param", h.do("sub", param, step, label="param"))
    h.store("v", v)
    return h.program("per_cell")
