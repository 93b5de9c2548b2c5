"""`did you mean`: the nearest of the names that would have been right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """The advice, or nothing when no known name is near."""
    found = get_close_matches(name, sorted(set(known)), n=1, cutoff=0.6)
    if not found:
        lower = {other.lower(): other for other in sorted(set(known))}
        if name.lower() not in lower:
            return ""
        found = [lower[name.lower()]]
    return f"did you mean `{found[0]}`?"
