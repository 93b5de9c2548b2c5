"""Coded states as plain numbers, and back: what a checkpoint of another precision is read by.

    decode    load m (codes), load m_scale      store plain = value
    encode    load plain                        store m = codes, m_scale = scale

Each is a plan of one step on whole tensors, made of the same arithmetic as the passes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dsl.levels import ELEMENT
from .ir import Graph, Node, Program, Store, Stream, Tree, leaves, ordered
from .passes.hoist import hoist
from .passes.store import store
from .plan import MatrixStep, Plan

_PLAIN = Stream("plain", ELEMENT)


@dataclass(frozen=True, slots=True)
class Conversion:
    """Both ways of one codec of a state; `streams` are read by one and written by the other, in
    this order."""

    state: str
    streams: tuple[Stream, ...]
    decode: Plan
    encode: Plan


def conversions(tree: Tree) -> list[Conversion]:
    """One for every way in which the leaves of a tree code a state."""
    coded = dict.fromkeys(stream for program in leaves(tree) for stream in program.coded)
    return list(map(_conversion, coded))


def _conversion(coded: Stream) -> Conversion:
    decode, encode = _plan(coded, coded, _PLAIN), _plan(coded, _PLAIN, coded)
    streams = decode.steps[0].loads
    assert streams == tuple(store.stream for store in encode.steps[0].stores)
    return Conversion(coded.name, streams, decode, encode)


def _plan(coded: Stream, source: Stream, target: Stream) -> Plan:
    graph = Graph()
    value: Node = graph.node("load", attr=source.name, level=ELEMENT)
    streams = tuple(dict.fromkeys((coded, source, target)))
    program = Program(coded.name, graph, (), streams, (Store(target, value),))
    program = hoist(store(program))
    read = {node.attr for node in ordered(program.roots) if node.op == "load"}
    loads = tuple(stream for stream in program.streams if stream.name in read)
    step = MatrixStep("conversion", loads, program.stores)
    return Plan(program, (step,), program.streams, (), (), (), (), ())
