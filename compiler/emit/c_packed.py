"""States of 4 bits in C: two codes to a byte.

    uint8_t m_codes_kept[128], m_written_kept[128] = {0};      a block's codes, one to a byte
    unpack(m_codes_kept, m_at + start / 2, 128, 64);
    ... loops over elements read m_codes_kept[i - start], write m_written_kept[i - start] ...
    pack(m_at + start / 2, m_written_kept, 128, 64);

Only a sweep over a state's own blocks does so, and only that may write it; others read single codes
by `HALF_BYTE`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...dsl.levels import Level
from ..ir import Stream
from .c_streams import pointer
from .names import identifier


def is_open(stream: Stream, cell: Level | None) -> bool:
    """Whether the loops over a cell have a packed stream's codes one to a byte."""
    return stream.dtype == "uint4" and cell == stream.walk


def opened(
    loads: Iterable[Stream], stores: Iterable[Stream], cell: Level | None
) -> tuple[list[str], list[str]]:
    """What stands before the loops over a cell, and after them."""
    before: list[str] = []
    after: list[str] = []
    for stream in loads:
        if is_open(stream, cell):
            before.append(f"uint8_t {_array(stream, False)}[{stream.block}];")
            before.append(f"unpack({_array(stream, False)}, {_where(stream)});")
    for stream in stores:
        if is_open(stream, cell):
            before.append(f"uint8_t {_array(stream, True)}[{stream.block}] = {{0}};")
            after.append(f"pack({_where(stream)}, {_array(stream, True)});")
    return before, after


def code(stream: Stream, cell: Level | None, at: str) -> str:
    """The code of one element."""
    if is_open(stream, cell):
        return f"{_array(stream, False)}[{at} - start]"
    return f"HALF_BYTE({pointer(stream)}, {at}, {stream.plane})"


def written(stream: Stream, at: str, value: str) -> str:
    """The statement that writes the code of one element."""
    return f"{_array(stream, True)}[{at} - start] = (uint8_t)({value});"


def _array(stream: Stream, new: bool) -> str:
    return f"{identifier(stream.name.replace('.', '_'))}_{'written' if new else 'codes'}_kept"


def _where(stream: Stream) -> str:
    return f"{pointer(stream)} + start / 2, {stream.block}, {stream.plane}"
