"""Who takes part in a race, by library, variant and rule.

    str(Contestant("stepc", "", "AdamW + Cautious"))     AdamW + Cautious
    str(Contestant("torch", "fused", "AdamW"))           torch AdamW (fused)
    str(Contestant("machine", "", "copy"))               copy

The variant of ours and torch's may be `graph`: the step is captured into a CUDA graph, and the
graph is replayed. A rule of ours is a prebuilt optimizer, a composition, a spec, or a compiled
module; with `@CODEC` after it, its states are stored so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contestant:
    """One that takes part; as text, its name in tables."""

    library: str  # stepc, a library of peers.py, or machine
    variant: str
    rule: str

    def __str__(self) -> str:
        own = self.library in ("stepc", "machine")
        variant = f" ({self.variant})" if self.variant else ""
        return f"{'' if own else self.library + ' '}{self.rule}{variant}"


REFERENCE = Contestant("torch", "fused", "AdamW")
COPY = Contestant("machine", "", "copy")
IN_PLACE = Contestant("machine", "", "in place")
