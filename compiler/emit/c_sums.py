"""A vector loop over elements, and what is combined in it.

    REAL norm_part = 0;
    #pragma omp simd reduction(+ : norm_part)
    for (...) norm_part += u * u;
    norm_total += norm_part;

In REAL inside the loop; the sums of pieces of `TILE` elements are added in double: a fixed order
whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

TILE = 1024
START = {"sum": "0", "max": "-INFINITY", "min": "INFINITY"}


@dataclass(frozen=True, slots=True)
class Sum:
    """Something combined over a loop, into the double `name`. `of_sizes`: the largest of numbers
    that are not below 0. `alone`: one loop is all there is of it, and `name` is a REAL."""

    name: str
    kind: str
    value: str
    of_sizes: bool = False
    alone: bool = False

    def into(self, target: str) -> str:
        """The statement that adds one more to `target`, in double."""
        if self.alone:
            return f"{target} = {self.value};"
        if self.kind == "sum":
            return f"{target} += {self.value};"
        combine = "maximum" if self.kind == "max" else "minimum"
        return f"{target} = {combine}({target}, {self.value});"


def vector_loop(
    inner: Sequence[str], sums: Sequence[Sum], begin: str, end: str, tiled: bool
) -> list[str]:
    """A vector loop over elements; with sums, over tiles whose sums are added in double."""
    if not sums:
        loop = [f"for (int64_t i = {begin}; i < {end}; i++) {{", *indented(inner), "}"]
        return ["#pragma omp simd", *loop]
    start, stop = ("tile", "stop") if tiled else (begin, end)
    parts = [_Part(s, s.name.removesuffix("_total")) for s in sums]
    lines = [
        *(line for part in parts for line in part.declared),
        f"#pragma omp simd{''.join(part.clause for part in parts)}",
        f"for (int64_t i = {start}; i < {stop}; i++) {{",
        *indented([*inner, *(line for part in parts for line in part.added)]),
        "}",
        *(part.joined for part in parts),
    ]
    if not tiled:
        return ["{", *indented(lines), "}"]
    head = f"for (int64_t tile = {begin}; tile < {end}; tile += {TILE}) {{"
    return [head, *indented([f"const int64_t stop = SMALLER(tile + {TILE}, {end});", *lines]), "}"]


@dataclass(frozen=True, slots=True)
class _Part:
    """A sum inside a vector loop, in REAL. A maximum is taken of the numbers, and whether there was
    a NaN is remembered beside it: vector instructions know no maximum that keeps NaN. But sizes are
    in order as their bits are, NaN above all."""

    sum: Sum
    name: str

    @property
    def declared(self) -> list[str]:
        if self.sum.of_sizes:
            return [f"WORD {self.name}_part = 0;"]
        part = f"REAL {self.name}_part = {START[self.sum.kind]};"
        return [part] if self.sum.kind == "sum" else [part, f"int {self.name}_lost = 0;"]

    @property
    def clause(self) -> str:
        if self.sum.kind == "sum":
            return f" reduction(+ : {self.name}_part)"
        if self.sum.of_sizes:
            return f" reduction(max : {self.name}_part)"
        return f" reduction({self.sum.kind} : {self.name}_part) reduction(| : {self.name}_lost)"

    @property
    def added(self) -> list[str]:
        if self.sum.kind == "sum":
            return [f"{self.name}_part += {self.sum.value};"]
        if self.sum.of_sizes:
            return [
                f"const WORD {self.name}_next = WORD_OF({self.sum.value});",
                f"{self.name}_part = LARGER({self.name}_next, {self.name}_part);",
            ]
        choose = {"max": "MAX_NUMBER", "min": "MIN_NUMBER"}[self.sum.kind]
        return [
            f"const REAL {self.name}_next = {self.sum.value};",
            f"{self.name}_part = {choose}({self.name}_next, {self.name}_part);",
            f"{self.name}_lost |= {self.name}_next != {self.name}_next;",
        ]

    @property
    def joined(self) -> str:
        part = f"{self.name}_part"
        if self.sum.of_sizes:
            part = f"REAL_OF({part})"
        elif self.sum.kind != "sum":
            part = f"{self.name}_lost ? NAN : {part}"
        return replace(self.sum, value=part).into(self.sum.name)


def indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
