"""How values are stored: codecs of quantized states and the rounding of the parameter.

Before:  load m ... store m = x                  m: dynamic8(block = 256)
After:   load m (codes), load m_scale            m = decode(codes) * scale
         s = max(abs(x), per chunks(256))        store m_scale = s, store m = encode(x / s)

Rounding happens here, once, at the end of the step: what the program computes stays unrounded.
Plain dtypes need nothing: loads and stores convert.
"""

from __future__ import annotations

from dataclasses import replace

from ...dsl.describe import each
from ...dsl.diagnostics import Diagnostic, SpecError
from ...dsl.levels import ELEMENT, Level
from ...dsl.model import Const, Storage
from ..codecs import CODECS, Codec
from ..guards import guarded, unguarded
from ..ir import Graph, Node, Program, Store, Stream
from ..rounding import round_param


def store(program: Program) -> Program:
    """Spell out codecs and the parameter's rounding."""
    return round_param(_spell_codecs(program))


def _spell_codecs(program: Program) -> Program:
    graph = program.graph
    codecs = {s.name: codec_of(s.codec, s.level) for s in program.streams if s.codec is not None}
    if not codecs:
        return program

    def decode(node: Node) -> Node:
        codec = codecs.get(node.attr) if node.op == "load" and isinstance(node.attr, str) else None
        return node if codec is None else _decoded(graph, node, codec)

    program = program.mapped(decode)
    streams: list[Stream] = []
    stores: list[Store] = []
    for stream in program.streams:
        codec = codecs.get(stream.name)
        streams += [stream] if codec is None else _coded(stream, codec)
    for old in program.stores:
        codec = codecs.get(old.stream.name)
        stores += [old] if codec is None else _encoded(graph, old, codec)
    coded = tuple(s for s in program.streams if s.name in codecs and codecs[s.name].decode)
    return replace(program, streams=tuple(streams), stores=tuple(stores), coded=coded)


def _decoded(graph: Graph, load: Node, codec: Codec) -> Node:
    """What a load of a quantized state stands for."""
    if codec.scale is None or codec.decode is None:
        return load
    ratio = codec.decode(graph, load)
    value = codec.scale.restore(graph, str(load.attr), ratio, codec.top)
    if codec.expand is not None:
        value = codec.expand(graph, value)
    value.label = str(load.attr)
    return value


def codec_of(line: Storage, level: Level) -> Codec:
    """The codec that a storage line names, for a state of this level. Raises SpecError for what is
    not compiled yet."""
    if level != ELEMENT:
        raise SpecError(
            Diagnostic(
                "E513",
                f"a codec for a state with one value {each(level)} is not compiled yet",
                line.span,
                f"leave it out, or write `quantize {line.state}: none`",
            )
        )
    make = CODECS.get(line.codec)
    options = {name: value.value for name, value in line.options if isinstance(value, Const)}
    if make is None or len(options) < len(line.options):
        raise SpecError(
            Diagnostic("E513", f"codec `{line.codec}` is not compiled yet", line.span,
                       f"compiled today: {', '.join(sorted(CODECS))}")
        )  # fmt: skip
    return make(**options)


def _coded(stream: Stream, codec: Codec) -> list[Stream]:
    """The streams that hold the codes of a state, and their scales."""
    if codec.scale is None:
        initial = stream.initial if stream.initial != "param" else 0.0
        return [Stream(stream.name, ELEMENT, codec.dtype, initial)]
    block = codec.scale.block if codec.plane else 0
    codes = Stream(
        stream.name, ELEMENT, codec.dtype, float(codec.zero), block=block, plane=codec.plane
    )
    return [codes, *codec.scale.streams(stream.name)]


def _encoded(graph: Graph, old: Store, codec: Codec) -> list[Store]:
    codes, *_ = _coded(old.stream, codec)
    if codec.scale is None or codec.encode is None:
        return [Store(codes, old.value)]
    load = graph.node("load", attr=codes.name, level=ELEMENT)
    guards, value = unguarded(old.value, _decoded(graph, load, codec))
    if value.level != ELEMENT:
        value = graph.node("spread", value, level=ELEMENT)
    if codec.compress is not None:
        value = codec.compress(graph, value)
    ratio, scales = codec.scale.find(graph, codes.name, value, codec.top)
    code = codec.encode(graph, ratio)
    code.label = f"{codes.name}_code"
    stores = [Store(codes, code), *(Store(stream, scale) for stream, scale in scales)]
    return [guarded(graph, store, guards) for store in stores]
