"""The rounding of the parameter: once, at the end of the step.

nearest        the store converts
stochastic     up with the probability of the bits cut off, by a hash of seed, step and place
kahan          what is lost is kept, and added to the next change
master         a float32 copy that the step reads and writes
master(8|16)   the remainder beside the parameter, in counts of half a unit of its last place:
               exact = param + half_ulp(param) * remainder / 127  (32767 in 16 bits)

A float32 or float64 parameter has nothing for `master` to keep: `lower` branches on `NARROW`.
"""

from __future__ import annotations

from dataclasses import replace

from ..dsl.levels import ELEMENT, GLOBAL, TENSOR
from ..dsl.model import Read
from ..dsl.source import NOWHERE
from .guards import guarded, unguarded
from .ir import Graph, Node, Program, Store, Stream

NARROW = Read("fact", "param_is_narrow", level=TENSOR, host=True, span=NOWHERE)
ROUNDING_KEY = Read("fact", "rounding_key", level=GLOBAL, host=True, span=NOWHERE)
REMAINDERS = ("kahan", "master", "remainder")  # streams that keep what rounding cuts off
_COUNTS = {8: ("int8", 127), 16: ("int16", 32767)}  # bits: dtype, counts to half a unit


def round_param(program: Program) -> Program:
    """The program with its rounding spelled out."""
    param = next((s for s in program.stores if s.stream.name == "param"), None)
    if param is None:
        return program
    match program.rounding.how:
        case "nearest":
            return program
        case "stochastic":
            return _stochastic(program, param)
        case "kahan":
            return _kahan(program, param)
        case "master" if program.rounding.bits == 32:
            return _master(program, param)
        case _:
            return _split(program, param, *_COUNTS[program.rounding.bits])


def _old(graph: Graph) -> Node:
    return graph.node("load", attr="param", level=ELEMENT)


def _storing(program: Program, *stores: Store) -> Program:
    """The program with these stores, instead of those to the same streams, and their streams."""
    names = {store.stream.name for store in stores}
    kept = [store for store in program.stores if store.stream.name not in names]
    streams = [s.stream for s in stores if s.stream not in program.streams]
    return replace(
        program, streams=(*program.streams, *streams), stores=(stores[0], *kept, *stores[1:])
    )


def _stochastic(program: Program, param: Store) -> Program:
    graph = program.graph
    guards, new = unguarded(param.value, _old(graph))
    key = graph.node("operand", attr=ROUNDING_KEY, level=GLOBAL)
    rounded = graph.node("round_stochastic", new, key, level=ELEMENT)
    return _storing(program, guarded(graph, Store(param.stream, rounded), guards))


def _kahan(program: Program, param: Store) -> Program:
    graph = program.graph
    old, kahan = _old(graph), Stream("kahan", ELEMENT, "param", 0.0)
    guards, new = unguarded(param.value, old)
    lost = graph.node("load", attr="kahan", level=ELEMENT)
    change = graph.node("add", _change(graph, new, old), lost)
    change.label = "change"
    rounded = graph.node("cast", graph.node("add", old, change), attr="param")
    rounded.label = "rounded"
    left = graph.node("sub", change, graph.node("sub", rounded, old))
    return _storing(
        program,
        guarded(graph, Store(param.stream, rounded), guards),
        guarded(graph, Store(kahan, left), guards),
    )


def _change(graph: Graph, new: Node, old: Node) -> Node:
    """new - old without forming `new`, whose rounding is what Kahan's sum is there to catch."""
    if new is old:
        return graph.const(0)
    match new.op, new.args:
        case "add" | "sub" as op, (a, b):
            return graph.node(op, _change(graph, a, old), b)
        case "mul", (a, b) if b is old and a.is_host:
            return graph.node("mul", graph.node("sub", a, graph.const(1)), old)
        case "where", (c, a, b):
            changes = _change(graph, a, old), _change(graph, b, old)
            return graph.node("where", c, *changes, level=new.level)
        case _:
            return graph.node("sub", new, old)


# ---------------------------------------------------------------- a copy, or the remainder of one


def _reading(program: Program, exact: Node) -> tuple[Program, Node]:
    """The program where `param` is the exact value, and the new one."""
    old = _old(program.graph)
    exact.label = "param"
    program = program.mapped(lambda node: exact if node is old else node)
    return program, next(s.value for s in program.stores if s.stream.name == "param")


def _master(program: Program, param: Store) -> Program:
    master = Stream("master", ELEMENT, "real", "param")
    exact = program.graph.node("load", attr="master", level=ELEMENT)
    program, new = _reading(program, exact)
    return _storing(program, Store(param.stream, new), Store(master, new))


def _split(program: Program, param: Store, dtype: str, counts: int) -> Program:
    graph = program.graph
    rest = Stream("remainder", ELEMENT, dtype, 0.0)
    kept = graph.node("real", graph.node("load", attr=rest.name, level=ELEMENT))
    unit = graph.node("mul", graph.node("half_ulp", _old(graph)), graph.const(1 / counts))
    exact = graph.node("add", _old(graph), graph.node("mul", kept, unit))
    program, new = _reading(program, exact)
    guards, new = unguarded(new, exact)
    rounded = graph.node("cast", new, attr="param")
    rounded.label = "rounded"
    share = graph.node("in_half_ulps", graph.node("sub", new, rounded), rounded)
    share = graph.node("min_number", share, graph.const(1))
    share = graph.node("max_number", share, graph.const(-1))
    count = graph.node("mul", share, graph.const(counts))
    whole = graph.node("floor", graph.node("add", graph.node("abs", count), graph.const(0.5)))
    remainder = graph.node("copysign", whole, count)
    return _storing(
        program,
        guarded(graph, Store(param.stream, rounded), guards),
        guarded(graph, Store(rest, remainder), guards),
    )
