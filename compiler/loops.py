"""The loops of a kernel's machine code.

    innermost(code)    ->   one list of instructions for every loop that has none inside

An irreducible flow graph does not occur in compiled Triton: every loop has one head.
"""

from __future__ import annotations

from .machine_code import Op

_NEVER_FALL = ("s_branch", "s_endpgm", "bra.uni", "BRA always", "EXIT always")


def innermost(code: list[Op]) -> list[list[Op]]:
    """The instructions of each loop without a loop inside that touches global memory, in order."""
    blocks = _blocks(code)
    follow = _edges(blocks)
    come = {k: [j for j in follow if k in follow[j]] for k in follow}
    loops: dict[int, set[int]] = {}
    for head in follow:
        after = _reach(follow, {head}, stop=-1)
        before = _reach(follow, {0}, stop=head)
        tails = {k for k in come[head] if k in after and k not in before}
        if tails:
            loops[head] = (_reach(come, tails, stop=head) & after) | {head}
    found: list[list[Op]] = []
    for head, body in sorted(loops.items()):
        ops = [op for k in sorted(body) for op in blocks[k]]
        nested = any(other != head and other in body for other in loops)
        if not nested and any(op.load or op.store for op in ops):
            found.append(ops)
    return found


def _blocks(code: list[Op]) -> list[list[Op]]:
    """Basic blocks: a label begins one, a jump ends one."""
    blocks: list[list[Op]] = [[]]
    for op in code:
        if op.label or (blocks[-1] and blocks[-1][-1].jump):
            blocks.append([])
        blocks[-1].append(op)
    return blocks


def _edges(blocks: list[list[Op]]) -> dict[int, list[int]]:
    """Which blocks may follow a block."""
    labels = {block[0].label: k for k, block in enumerate(blocks) if block and block[0].label}
    edges: dict[int, list[int]] = {}
    for k, block in enumerate(blocks):
        last = block[-1] if block else Op("")
        falls = last.name not in _NEVER_FALL and k + 1 < len(blocks)
        edges[k] = ([k + 1] if falls else []) + ([labels[last.jump]] if last.jump in labels else [])
    return edges


def _reach(edges: dict[int, list[int]], start: set[int], stop: int) -> set[int]:
    """All blocks reachable from `start` without going through `stop`."""
    seen = set(start) - {stop}
    todo = list(seen)
    while todo:
        for k in edges[todo.pop()]:
            if k not in seen and k != stop:
                seen.add(k)
                todo.append(k)
    return seen
