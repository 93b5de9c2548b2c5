"""What a step costs per parameter: operations, bytes and passes, at any stage of a compilation.

    costs(tree)           path 0: 16 operations (4 slow), 28 B, 1 pass; path 1: ...
    gain(before, after)   path 1: 4 -> 2 slow operations, 28 -> 16 B

A program costs what its plan would cost if it were scheduled now. An operation is arithmetic on
elements; what is done once per row or tensor is left out (its share depends on the shape), and so
are matrix steps. Slow are divisions, roots and functions. Bytes are of float32 parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .ir import REDUCTIONS, Node, Tree, leaves, ordered
from .plan import Plan, Sweep
from .schedule import schedule, traffic

_FREE = frozenset({"load", "fresh", "value", "operand", "const", "spread"})
_QUICK = frozenset(
    """neg add sub mul abs sign sign_bit maximum minimum max_number min_number clamp floor ceil
    round cast eq ne lt le gt ge and or not where sum max min round_stochastic real byte copysign
    binade half_ulp e4m3_code e4m3_value e5m2_code e5m2_value dynamic_code dynamic_value
    in_half_ulps affine_product affine_quotient affine_root""".split()
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one path costs per element."""

    operations: int
    slow: int
    bytes: float
    passes: int


def costs(tree: Tree) -> tuple[Cost, ...]:
    """The cost of every path."""
    return tuple(cost(schedule(program)) for program in leaves(tree))


def cost(plan: Plan) -> Cost:
    """The cost of a plan."""
    done = [node for sweep in plan.sweeps for node in _operations(sweep)]
    slow = sum(node.op not in _QUICK for node in done)
    added = sum(part.value.level.kind == "element" for s in plan.sweeps for part in s.partials)
    return Cost(len(done) + added, slow, sum(map(traffic, plan.sweeps)), len(plan.sweeps))


def gain(before: Sequence[Cost], after: Sequence[Cost]) -> str:
    """What changed, of the path that changed most; empty if nothing did."""
    pairs = list(zip(before, after, strict=True))
    saved = [(a.bytes - b.bytes, a.slow - b.slow, a.operations - b.operations) for a, b in pairs]
    if not any(map(any, saved)):
        return ""
    path = max(range(len(pairs)), key=lambda k: [abs(x) for x in saved[k]])
    (a, b), name = pairs[path], f"path {path}: " if len(pairs) > 1 else ""
    changes = (
        (a.operations, b.operations, "operations"),
        (a.slow, b.slow, "slow ones"),
        (a.bytes, b.bytes, "B"),
        (a.passes, b.passes, "passes"),
    )
    words = (f"{x:.5g} -> {y:.5g} {word}" for x, y, word in changes if x != y)
    return f"{name}{', '.join(words)} per element"


def _operations(sweep: Sweep) -> list[Node]:
    """Arithmetic on every element: also adding each of them to a sum per row."""
    return [
        node
        for node in ordered(sweep.roots())
        if node.op not in _FREE
        and (node.args[0] if node.op in REDUCTIONS else node).level.kind == "element"
    ]
