"""What a module says of its coded states: functions from codes to numbers and back, and `coded`.

def adamw8bit_decode_m(m_code: Tensor, m_scale: Tensor) -> tuple[Tensor, ...]: ...
def adamw8bit_encode_m(plain: Tensor) -> tuple[Tensor, ...]: ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..conversions import Conversion, conversions
from ..ir import Tree
from .kernels import snake
from .layout import Group, call, lines, tuple_of
from .paths import stream_literal
from .torch import TorchFunction, torch_function


@dataclass(frozen=True, slots=True)
class CodedStates:
    """The functions, and the lines of the class's `coded`."""

    functions: tuple[TorchFunction, ...]
    literal: tuple[str, ...]


def coded_states(optimizer: str, tree: Tree) -> CodedStates:
    """Of every codec of every state."""
    functions: list[TorchFunction] = []
    entries: list[Group | str] = []
    for name, conversion in _named(f"{snake(optimizer)}_", conversions(tree)):
        state, pair = conversion.state, (conversion.decode, conversion.encode)
        docs = (
            f"The numbers that the codes of {state} stand for.",
            f"The codes nearest to numbers of {state}.",
        )
        decode, encode = (
            torch_function(plan, plan.steps[0], name.format(word), doc)
            for plan, word, doc in zip(pair, ("decode", "encode"), docs, strict=True)
        )
        functions += [decode, encode]
        streams = [stream_literal(conversion.decode, stream) for stream in conversion.streams]
        parts = [f'"{state}"', tuple_of("streams", streams)]
        entries.append(call("Coded", [*parts, f"decode={decode.name}", f"encode={encode.name}"]))
    literal = lines(Group("coded = ", tuple(entries)), 4) if entries else []
    return CodedStates(tuple(functions), tuple(literal))


def _named(stem: str, found: list[Conversion]) -> Iterator[tuple[str, Conversion]]:
    """Names for functions; with a number where a state has several codecs."""
    states = [conversion.state for conversion in found]
    for place, conversion in enumerate(found):
        state = conversion.state
        number = f"_{states[: place + 1].count(state)}" if states.count(state) > 1 else ""
        yield f"{stem}{{}}_{state.replace('.', '_')}{number}", conversion
