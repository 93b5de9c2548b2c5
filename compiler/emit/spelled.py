"""Steps as one kind of kernel writes them: codes' maps as arithmetic, or quotients quickly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ...dsl.levels import ELEMENT
from ..codecs import plain
from ..ir import CODES, Graph, Node, Store
from ..plan import Finish, MatrixStep, Plan, Sweep
from ..tables import step_roots

_Step = TypeVar("_Step", bound=Sweep | Finish | MatrixStep)


def spelled_out(plan: Plan, step: _Step) -> _Step:
    """The step with every map of a code as arithmetic."""
    return _rewritten(plan, step, plain)


def for_one_warp(plan: Plan, step: _Step) -> _Step:
    """The step where one warp has a tile and looks codes up: there instructions are short, and what
    a quotient loses is far below what a code does."""
    streams = [*step.loads, *(store.stream for store in step.stores)]
    return _rewritten(plan, step, _quick) if CODES & {s.dtype for s in streams} else step


def _quick(graph: Graph, node: Node) -> Node:
    quick = node.op == "div" and node.level == ELEMENT
    return graph.node("quotient", *node.args, level=ELEMENT) if quick else node


def _rewritten(plan: Plan, step: _Step, rule: Callable[[Graph, Node], Node]) -> _Step:
    if isinstance(step, Finish):
        return step
    graph = plan.program.graph
    new = graph.rewrite(step_roots(step), partial(rule, graph))
    stores = tuple(Store(store.stream, new[store.value]) for store in step.stores)
    if not isinstance(step, Sweep):
        return replace(step, stores=stores)
    partials = tuple(replace(part, value=new[part.value]) for part in step.partials)
    return replace(step, stores=stores, partials=partials)
