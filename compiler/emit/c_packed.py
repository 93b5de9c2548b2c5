"""States of 4 bits in C: two codes to a byte.

    uint8_t m_codes_kept[128];                                 a block's codes, one to a byte
    unpack(m_codes_kept, m_here, 128, 64);
    ...
    pack(m_here, 128, 64, m_written_kept);

Only a sweep over a state's own blocks does so (`c_blocks.py`), and only that may write it; others
read single codes by `HALF_BYTE`.
"""

from __future__ import annotations

from ...dsl.levels import Level
from ..ir import Stream
from .c_streams import pointer


def is_open(stream: Stream, cell: Level | None) -> bool:
    """Whether the loops over a cell have a packed stream's codes one to a byte."""
    return stream.dtype == "uint4" and cell == stream.walk


def code(stream: Stream, at: str) -> str:
    """The code of one element."""
    return f"HALF_BYTE({pointer(stream)}, {at}, {stream.plane})"


def unpacked(stream: Stream, at: str, array: str, count: int) -> str:
    """The statement that reads `count` codes."""
    return f"unpack({array}, {at}, {count}, {stream.plane});"


def packed(stream: Stream, at: str, array: str, count: int) -> str:
    """The statement that writes them."""
    return f"pack({at}, {count}, {stream.plane}, {array});"
