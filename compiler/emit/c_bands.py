"""Sums per column in two steps, in C (`compiler/bands.py`).

    REAL *restrict column_sum = column_sum_at + row / 64 * cols;    in a sweep over rows, of a band
    for (i ...) column_sum[i - start] += g * g;

    for (k ...) for (j ...) column_sum_total[j] += column_sum_part[j];    in the one over columns

To the first a band is a stream that it stores to, to the second one that it loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...dsl.levels import COLS
from ..bands import BAND_ROWS
from ..ir import Store, ordered
from ..plan import Band, Plan, Sweep
from .c_streams import pointer
from .c_sums import START, indented
from .spelled import rewritten


def by_bands(plan: Plan, sweep: Sweep) -> Sweep:
    """The sweep as C walks it: what it begins is stored, what it resumes is loaded."""
    if not sweep.begins and not sweep.resumes:
        return sweep
    known = {
        band.total: plan.program.graph.node("fresh", attr=band.stream.name, level=COLS)
        for band in sweep.resumes
    }
    made = rewritten(plan, sweep, lambda _, node: known.get(node, node))
    sums = (Store(band.stream, band.total.args[0]) for band in sweep.begins)
    made = replace(made, stores=(*made.stores, *sums))
    read = {node.attr for node in ordered(made.roots()) if node.op in ("load", "fresh")}
    loads = [*sweep.loads, *(band.stream for band in sweep.resumes)]
    return replace(made, loads=tuple(stream for stream in loads if stream.name in read))


def bands_emptied(bands: Sequence[Band]) -> list[str]:
    """The lines that a task over rows begins with."""
    if not bands:
        return []
    lines = [f"const int64_t band = begin / {BAND_ROWS} * cols;"]
    lines += [f"const int64_t bands_end = (end + {BAND_ROWS - 1}) / {BAND_ROWS} * cols;"]
    for band in bands:
        lines += begun(band.total.op, pointer(band.stream), "band", "bands_end")
    return lines


def bands_of_row(bands: Sequence[Band]) -> list[str]:
    """The lines that a row begins with."""
    return [
        f"REAL *restrict {band.stream.name} = {pointer(band.stream)} + row / {BAND_ROWS} * cols;"
        for band in bands
    ]


def begun(kind: str, array: str, first: str, end: str) -> list[str]:
    """What an array of sums begins with."""
    if kind == "sum":
        at, count = (array, end) if first == "0" else (f"{array} + {first}", f"({end} - {first})")
        return [f"memset({at}, 0, {count} * sizeof *{array});"]
    return over_columns(first, end, [f"{array}[j] = {START[kind]};"])


def added(kind: str, element: str, value: str) -> str:
    """The statement that adds a number to an element of an array of sums, in REAL."""
    if kind == "sum":
        return f"{element} += {value};"
    return f"{element} = {'MAXIMUM' if kind == 'max' else 'MINIMUM'}({element}, {value});"


def over_columns(first: str, end: str, lines: Sequence[str], *, simd: bool = True) -> list[str]:
    """A loop over columns; none without lines."""
    loop = [f"for (int64_t j = {first}; j < {end}; j++) {{", *indented(lines), "}"]
    return [] if not lines else ["#pragma omp simd", *loop] if simd else loop
