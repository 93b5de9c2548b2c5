"""docs/kernels.json: what the machine code of every prebuilt Triton kernel costs, on four GPUs.

    versions   of the compilers that made the figures
    kernels    {optimizer: {kernel: fingerprint}}; equal kernels share one
    figures    {"fingerprint target dtype tile": Report.figures, without what is 0}

A kernel whose fingerprint stands there need not be compiled again. `page` renders docs/kernels.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton

import stepc
from stepc.cli.machine import Subject, subjects, widths
from stepc.dsl.library import catalogue

DOCS = Path(stepc.__file__).parent / "docs"
TABLE, PAGE = DOCS / "kernels.json", DOCS / "kernels.md"
TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
DTYPES = ("float32", "bfloat16")
COMBINATIONS = [(target, dtype) for target in TARGETS for dtype in DTYPES]
_SAVED = 50  # kernels compiled between one saving and the next

Figures = dict[str, Any]

COUNTED = (
    "registers", "spills", "stack", "shared", "barriers", "atomics", "doubles", "bytes",
    "instructions", "special",
)  # fmt: skip
"""What should not grow."""

_NOTHING: Figures = {
    **dict.fromkeys((*COUNTED, "flight"), 0), "loads": {}, "stores": {}, "units": []
}  # fmt: skip


def _short(entry: Any) -> Any:
    """An entry without what is 0 or empty."""
    return {k: v for k, v in entry.items() if v} if isinstance(entry, dict) else entry


@dataclass
class Table:
    """The committed figures."""

    versions: dict[str, str]
    kernels: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    figures: dict[str, Figures] = field(default_factory=dict[str, Figures])

    @staticmethod
    def committed() -> Table:
        read: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
        figures = {place: {**_NOTHING, **found} for place, found in read["figures"].items()}
        return Table(read["versions"], read["kernels"], figures)

    def text(self) -> str:
        """One line for every entry, so that a diff shows what changed."""

        def block(entries: dict[str, Any]) -> str:
            lines = (f'  "{k}": {json.dumps(_short(v))}' for k, v in sorted(entries.items()))
            return "{\n" + ",\n".join(lines) + "\n }"

        parts = (f' "{name}": {block(getattr(self, name))}' for name in self.__dataclass_fields__)
        return "{\n" + ",\n".join(parts) + "\n}\n"

    def before(self, optimizer: str, subject: Subject, target: str, dtype: str) -> Figures | None:
        """The figures of the kernel that had this name, whatever it did then."""
        known = self.kernels.get(optimizer, {}).get(subject.name)
        found = [f for key, f in self.figures.items() if key.split()[:3] == [known, target, dtype]]
        return found[0] if found else None


def versions() -> dict[str, str]:
    """Of the compilers here."""
    tools: Any = triton.knobs.nvidia
    return {
        "triton": triton.__version__,
        "ptxas": tools.ptxas.version,
        "ptxas of sm_100": tools.ptxas_blackwell.version,
    }


def prebuilt() -> dict[str, list[Subject]]:
    """Every kernel of every prebuilt optimizer."""
    names = [entry.name for entry in catalogue() if entry.kind == "optimizer"]
    return {name: subjects(name) for name in names}


def key(subject: Subject, target: str, dtype: str) -> str:
    return f"{subject.fingerprint} {target} {dtype} {subject.block(target)}"


def updated(old: Table, made: dict[str, list[Subject]], afresh: bool = False) -> Table:
    """The table as it should be; compiles what `old` does not have, or everything. What is found is
    saved now and then, so that a run that is stopped goes on where it was."""
    here = versions()
    known = old.figures if old.versions == here and not afresh else {}
    wanted = {
        key(subject, target, dtype): (subject, target, dtype)
        for target, dtype in COMBINATIONS
        for kernels in made.values()
        for subject in kernels
    }
    new = Table(here, {name: {s.name: s.fingerprint for s in made[name]} for name in made})
    new.figures |= {place: known[place] for place in wanted if place in known}
    missing = [place for place in wanted if place not in new.figures]
    for count, place in enumerate(missing, 1):
        subject, target, dtype = wanted[place]
        new.figures[place] = {**_NOTHING, **subject.examine(target, dtype).figures}
        if count % _SAVED == 0:
            TABLE.write_text(new.text(), encoding="utf-8")
            print(f"{count} of {len(missing)} kernels compiled")
    return new


def worse(new: Figures, old: Figures) -> list[str]:
    """What grew."""
    return [f"{name} {old[name]} -> {new[name]}" for name in COUNTED if new[name] > old[name]]


# ---------------------------------------------------------------- the page

_HEAD = """# Triton kernels, by their machine code

Every kernel of every prebuilt optimizer, compiled ahead of time by {versions}.
No GPU ran: this is read off the listings. `stepc inspect NAME --stage sass` shows one of them;
`pytest tests/test_kernels.py --update` makes this page, and a test refuses figures that grow.

Figures are for sm_90 (those of the other GPUs are in kernels.json), of full tiles, per element, for
parameters and gradients in float32 / in bfloat16 (states in float32). *bytes* are what threads ask
for: a second round over a row asks the cache. *special* are operations of the special-function and
conversion units. *accesses* are loads; stores of one thread and tile. *in flight* is what a
multiprocessor full of such threads has asked memory for at once.
"""
_SHOWN = "sm_90"
_COLUMNS = (
    "kernel", "bytes", "instructions", "special", "registers", "barriers", "in flight, KB",
    "accesses, float32", "accesses, bfloat16", "variants",
)  # fmt: skip


def page(table: Table, made: dict[str, list[Subject]]) -> str:
    """docs/kernels.md."""
    said = ", ".join(f"{name} {version}" for name, version in sorted(table.versions.items()))
    lines = [_HEAD.format(versions=said), *_markdown(_COLUMNS, _rows(table, made, _SHOWN)), ""]
    for target in TARGETS:
        over = list(_over(table, made, target))
        lines += [f"## Over budget on {target}", "", *(over or ["Nothing."]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _alike(made: dict[str, list[Subject]]) -> dict[str, list[Subject]]:
    """Kernels by what they do."""
    found: dict[str, list[Subject]] = {}
    for kernels in made.values():
        for subject in kernels:
            found.setdefault(subject.fingerprint, []).append(subject)
    return found


def _rows(table: Table, made: dict[str, list[Subject]], target: str) -> Iterator[Sequence[str]]:
    for same in _alike(made).values():
        pair = [table.figures[key(same[0], target, dtype)] for dtype in DTYPES]
        both = [
            " / ".join(f"{one[name]:g}" for one in pair)
            for name in ("bytes", "instructions", "special", "registers", "barriers")
        ]
        flight = " / ".join(f"{one['flight'] / 1000:.0f}" for one in pair)
        accesses = [f"{widths(one['loads'])}; {widths(one['stores'])}" for one in pair]
        names = ", ".join(subject.name for subject in same)
        yield names, *both, flight, *accesses, str(same[0].variants)


def _over(table: Table, made: dict[str, list[Subject]], target: str) -> Iterator[str]:
    for same in _alike(made).values():
        for dtype in DTYPES:
            found = same[0].excess(table.figures[key(same[0], target, dtype)], target, dtype)
            if found:
                yield f"- {same[0].name}, {dtype}: {'; '.join(found.values())}"
