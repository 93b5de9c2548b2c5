"""What must hold after each stage. A violation is a bug of ours, never the user's.

Each rule is a small function that yields complaints; `verify_*` runs all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..dsl.levels import refines
from .ir import REDUCTIONS, Node, Program, Tree, leaves, ordered
from .plan import Finish, Plan, Sweep
from .tables import step_roots


class CompilerBug(Exception):
    """An invariant between passes does not hold."""


def verify_program(tree: Tree) -> Tree:
    """The tree itself, or CompilerBug naming the rule that fails."""
    for program in leaves(tree):
        for rule in (_reductions_coarsen, _stores_fit, _loads_are_streams):
            for complaint in rule(program):
                raise CompilerBug(f"{program.name}: {complaint}")
    return tree


def verify_plan(plan: Plan) -> Plan:
    """The plan itself, or CompilerBug naming the rule that fails."""
    for rule in (
        _each_store_once,
        _reads_before_overwriting,
        _values_are_filled,
        _sums_over_tensors_are_completed,
        _sums_over_tensors_have_their_own_places,
    ):
        for complaint in rule(plan):
            raise CompilerBug(f"{plan.program.name}: {complaint}")
    return plan


def _nodes(program: Program) -> Iterator[Node]:
    return ordered(program.roots)


def _reductions_coarsen(program: Program) -> Iterator[str]:
    for node in _nodes(program):
        if node.op in REDUCTIONS and not refines(node.args[0].level, node.level):
            yield f"{node.op} from {node.args[0].level.kind} to {node.level.kind}"


def _stores_fit(program: Program) -> Iterator[str]:
    for store in program.stores:
        if store.stream.level.is_shaped or store.value.level.is_shaped:
            continue
        if store.value.level != store.stream.level and not store.value.is_host:
            yield f"{store.stream.name} is {store.stream.level.kind}, gets {store.value.level.kind}"


def _loads_are_streams(program: Program) -> Iterator[str]:
    names = {stream.name for stream in program.streams}
    for node in _nodes(program):
        if node.op == "load" and node.attr not in names:
            yield f"no stream {node.attr}"


def _each_store_once(plan: Plan) -> Iterator[str]:
    written = [store.stream.name for step in plan.steps for store in step.stores]
    for name in set(written):
        if written.count(name) > 1:
            yield f"{name} is written twice"
    missing = {store.stream.name for store in plan.program.stores} - set(written)
    if missing:
        yield f"never written: {', '.join(sorted(missing))}"


def _reads_before_overwriting(plan: Plan) -> Iterator[str]:
    written: set[str] = set()
    for step in plan.steps:
        for node in ordered(step_roots(step)):
            if node.op == "load" and node.attr in written:
                yield f"{step.name} reads the old {node.attr} after it was overwritten"
            if node.op == "fresh" and node.attr not in written:
                yield f"{step.name} reads the new {node.attr} before it is written"
        written |= {store.stream.name for store in step.stores}


def _sums_over_tensors_are_completed(plan: Plan) -> Iterator[str]:
    """Tensors on other paths may wait for what this one adds."""
    finishes = [step for step in plan.steps if isinstance(step, Finish)]
    done = {slot.key for f in finishes for slot, *_ in (*f.completes, *f.gathers)}
    for node in ordered(plan.program.roots):
        if node.op in REDUCTIONS and node.attr is not None and node.attr not in done:
            yield f"nobody completes the {node.op} at {node.attr}"


def _sums_over_tensors_have_their_own_places(plan: Plan) -> Iterator[str]:
    """The tensors that add to one need not be those that add to another."""
    for step in plan.steps:
        if isinstance(step, Finish):
            places = [of for _, _, of in step.gathers]
            if len(set(places)) < len(places):
                yield f"two sums of {step.name} are of one column"


def _values_are_filled(plan: Plan) -> Iterator[str]:
    filled: set[object] = set()
    for step in plan.steps:
        if isinstance(step, Finish):
            filled |= {slot for slot, _ in step.completes} | {slot for slot, _, _ in step.gathers}
            filled |= {slot for slot, _ in step.values}
        for node in ordered(step_roots(step)):
            if node.op == "value" and node.attr not in filled:
                yield f"{step.name} reads a value that nobody computed"
        if isinstance(step, Sweep) and not (step.stores or step.partials):
            yield f"{step.name} does nothing"
