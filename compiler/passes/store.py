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
from ...dsl.levels import ELEMENT, GLOBAL, Level
from ...dsl.model import Const, Read, Rounding, Storage, constant
from ...dsl.source import NOWHERE
from ..codecs import CODECS, SMALLEST_SCALE, Codec
from ..ir import GUARD, Graph, Node, Program, Store, Stream

ROUNDING_KEY = Read("fact", "rounding_key", level=GLOBAL, host=True, span=NOWHERE)


def store(program: Program) -> Program:
    """Spell out codecs and the parameter's rounding."""
    program = _spell_codecs(program)
    return _round_param(program, program.rounding)


def _with(program: Program, streams: list[Stream], stores: list[Store]) -> Program:
    return replace(program, streams=tuple(streams), stores=tuple(stores))


# ---------------------------------------------------------------- codecs


def _spell_codecs(program: Program) -> Program:
    graph = program.graph
    codecs = {s.name: codec_of(s.codec, s.level) for s in program.streams if s.codec is not None}
    if not codecs:
        return program

    def decode(node: Node) -> Node:
        codec = codecs.get(node.attr) if node.op == "load" and isinstance(node.attr, str) else None
        if codec is None:
            return node
        return _decoded(graph, node, codec)

    program = program.mapped(decode)
    streams: list[Stream] = []
    stores: list[Store] = []
    for stream in program.streams:
        codec = codecs.get(stream.name)
        if codec is None:
            streams.append(stream)
        else:
            streams += _coded(stream, codec)
    for old in program.stores:
        codec = codecs.get(old.stream.name)
        stores += [old] if codec is None else _encoded(graph, old, codec)
    return _with(program, streams, stores)


def _decoded(graph: Graph, load: Node, codec: Codec) -> Node:
    """What a load of a quantized state stands for."""
    scale = graph.node("load", attr=f"{load.attr}_scale", level=_blocks(codec))
    value = graph.node("mul", codec.decode(graph, load), scale)
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


def _blocks(codec: Codec) -> Level:
    return Level("chunks", (constant(codec.block, NOWHERE),))


def _coded(stream: Stream, codec: Codec) -> list[Stream]:
    return [
        Stream(stream.name, ELEMENT, "uint8", float(codec.zero)),
        Stream(f"{stream.name}_scale", _blocks(codec), "float32", 0.0),
    ]


def _encoded(graph: Graph, old: Store, codec: Codec) -> list[Store]:
    codes, scales = _coded(old.stream, codec)
    load = graph.node("load", attr=codes.name, level=ELEMENT)
    guards, value = _guards(old.value, _decoded(graph, load, codec))
    if value.level != ELEMENT:
        value = graph.node("spread", value, level=ELEMENT)
    largest = graph.node("max", graph.node("abs", value), level=_blocks(codec))
    largest.label = f"{old.stream.name}_largest"
    fits = graph.node("gt", largest, graph.const(SMALLEST_SCALE))
    lost = graph.node("ne", largest, largest)  # NaN: the block must not read back as zeros
    scale = graph.node("where", graph.node("or", fits, lost), largest, graph.const(0))
    scale.label = scales.name
    inverse = graph.node("where", fits, graph.node("div", graph.const(1), largest), graph.const(0))
    inverse.label = f"{old.stream.name}_per_scale"
    code = codec.encode(graph, graph.node("mul", value, inverse))
    code.label = f"{old.stream.name}_code"
    return [_kept(graph, Store(codes, code), guards), _kept(graph, Store(scales, scale), guards)]


def _guards(value: Node, old: Node) -> tuple[list[Node], Node]:
    """The guards around what is stored, and that itself, if they keep `old`, the stored value. (In
    a state's first call they keep its initial value, which is not stored yet.)"""
    guards: list[Node] = []
    while value.attr == GUARD and value.args[2] is old:
        guards.append(value.args[0])
        value = value.args[1]
    return guards, value


def _kept(graph: Graph, new: Store, guards: list[Node]) -> Store:
    """A store that leaves what is there, bit by bit, where a guard does not hold."""
    stream, value = new.stream, new.value
    old = graph.node("load", attr=stream.name, level=stream.level)
    for guard in guards:
        value = graph.node("where", guard, value, old, level=stream.level, attr=GUARD)
    return Store(stream, value)


# ---------------------------------------------------------------- rounding of the parameter


def _round_param(program: Program, rounding: Rounding) -> Program:
    place = next((i for i, s in enumerate(program.stores) if s.stream.name == "param"), None)
    if rounding.how == "nearest" or place is None:
        return program
    graph = program.graph
    old = graph.node("load", attr="param", level=ELEMENT)
    guards, new = _guards(program.stores[place].value, old)
    streams, stores = list(program.streams), list(program.stores)
    param = program.stores[place].stream
    match rounding.how:
        case "stochastic":
            key = graph.node("operand", attr=ROUNDING_KEY, level=GLOBAL)
            rounded = graph.node("round_stochastic", new, key, level=ELEMENT)
            stores[place] = _kept(graph, Store(param, rounded), guards)
        case "kahan":
            kahan = Stream("kahan", ELEMENT, "param", 0.0)
            lost = graph.node("load", attr="kahan", level=ELEMENT)
            change = graph.node("add", _change(graph, new, old), lost)
            change.label = "change"
            rounded = graph.node("cast", graph.node("add", old, change), attr="param")
            rounded.label = "rounded"
            stores[place] = _kept(graph, Store(param, rounded), guards)
            left = graph.node("sub", change, graph.node("sub", rounded, old))
            stores.append(_kept(graph, Store(kahan, left), guards))
            streams.append(kahan)
        case "master":
            _check_master(rounding)
            master = Stream("master", ELEMENT, "real", "param")
            exact = graph.node("load", attr="master", level=ELEMENT)
            exact.label = "param"
            program = program.mapped(lambda node: exact if node is old else node)
            stores = [*program.stores, Store(master, program.stores[place].value)]
            streams.append(master)
        case _:
            raise SpecError(
                Diagnostic("E514", f"rounding `{rounding.how}` is not compiled yet", rounding.span)
            )
    return _with(program, streams, stores)


def _change(graph: Graph, new: Node, old: Node) -> Node:
    """new - old without forming `new`, whose rounding is what Kahan's sum is there to catch."""
    if new is old:
        return graph.const(0)
    match new.op, new.args:
        case "add" | "sub" as op, (a, b):
            return graph.node(op, _change(graph, a, old), b)
        case "mul", (a, b) if b is old and a.is_host:
            return graph.node("mul", graph.node("sub", a, graph.const(1)), old)
        case "where", (c, a, b):
            changes = _change(graph, a, old), _change(graph, b, old)
            return graph.node("where", c, *changes, level=new.level)
        case _:
            return graph.node("sub", new, old)


def _check_master(rounding: Rounding) -> None:
    for name, value in rounding.options:
        if name == "bits" and isinstance(value, Const) and value.value != 32:
            raise SpecError(
                Diagnostic(
                    "E514",
                    f"master(bits = {value.value}) is not compiled yet",
                    rounding.span,
                    "`master` alone keeps a float32 copy",
                )
            )
