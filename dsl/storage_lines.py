"""How states and the parameter are stored, as a spec says it, with what an option may be.

quantize v: dynamic8(signed = false) when numel >= 4096   ->  Storage
round param: master(bits = 8)                             ->  Rounding
"""

from __future__ import annotations

from collections.abc import Sequence

from . import syntax as s
from .codecs import CODECS, LARGEST_PACKED, ROUNDINGS, Options
from .context import Context, Named, is_poison
from .expressions import condition, expression
from .model import Const, Expr, Rounding, Storage
from .source import Span
from .suggest import nearest

_MASTERS = "8 and 16 keep a remainder, 32 a float32 copy"


def storage(c: Context, node: s.Quantize) -> Storage | None:
    """A `quantize` line."""
    name = node.target
    if name != "all":
        meaning = c.frame.names.get(name)
        state = c.states.get(meaning.name) if isinstance(meaning, Named) else None
        if state is None or not isinstance(meaning, Named) or meaning.kind != "state":
            states = [key for key, value in c.frame.names.items() if _is_state(value)]
            c.error(
                "E409",
                f"there is no state `{name}` to quantize",
                node.span,
                nearest(name, [*states, "all"]) or "states: " + ", ".join(states),
            )
            return None
        if state.exact and node.codec.name != "none":
            c.error(
                "E409",
                f"the state `{name}` is exact and is not quantized",
                node.span,
                "remove this line, or `exact` from the state",
                ("declared here", state.span),
            )
            return None
        name = state.name
    options = codec_options(c, node.codec)
    if options is None:
        return None
    test = None
    if node.condition is not None:
        with c.aside("storage"):
            test = condition(c, node.condition, "`quantize ... when`")
        c.conditions.append(test)
    return Storage(name, node.codec.name, options, test, span=node.span)


def _is_state(meaning: object) -> bool:
    return isinstance(meaning, Named) and meaning.kind == "state"


def codec_options(c: Context, codec: s.Codec) -> tuple[tuple[str, Expr], ...] | None:
    if codec.name not in CODECS:
        c.error(
            "E410",
            f"there is no codec `{codec.name}`",
            codec.span,
            nearest(codec.name, CODECS) or "codecs: " + ", ".join(CODECS),
        )
        return None
    known = CODECS[codec.name].options
    options = _options(c, codec, tuple(known))
    spans = {arg.name: arg.span for arg in codec.args}
    for name, value in options or ():
        if isinstance(value, Const):
            _check_option(c, codec.name, known, name, value.value, spans[name])
    said = {name for name, value in options or () if isinstance(value, Const) and value.value}
    if said >= {"asymmetric", "rank1"}:
        c.error("E209", "`asymmetric` codes have no scale, so no `rank1`", codec.span, "leave one")
    return options


def _check_option(
    c: Context, codec: str, known: Options, name: str, value: object, span: Span
) -> None:
    """Refuse a value that an option cannot have. Half bytes are packed in blocks of a power of two
    that Triton holds at once."""
    if isinstance(known[name], bool):
        if not isinstance(value, bool):
            c.error("E209", f"`{name}` is true or false", span)
    elif "pairs" in known:
        if type(value) is not int or value & (value - 1) or not 2 <= value <= LARGEST_PACKED:
            text = f"a block of `{codec}` is a power of two, from 2 to {LARGEST_PACKED}"
            c.error("E318", text, span)
    elif type(value) is not int or not 1 <= value < 2**31:
        c.error("E318", f"a block of `{codec}` is a whole number from 1 on", span)


def _options(
    c: Context, codec: s.Codec, known: Sequence[str]
) -> tuple[tuple[str, Expr], ...] | None:
    options: list[tuple[str, Expr]] = []
    for arg in codec.args:
        if arg.name not in known:
            listed = ", ".join(f"`{name}`" for name in known)
            c.error(
                "E209",
                f"`{codec.name}` has no option `{arg.name}`"
                if arg.name
                else f"options of `{codec.name}` are named",
                arg.span,
                nearest(arg.name, known) or (f"it has {listed}" if known else "it has none"),
            )
            return None
        with c.aside("storage"):
            value = expression(c, arg.value)
        if not is_poison(value):
            c.counts.append(value)
            options.append((arg.name, value))
    return tuple(options)


def rounding(c: Context, node: s.Round) -> Rounding:
    """A `round param:` line."""
    if node.target != "param":
        c.error(
            "E409",
            f"`round` is for `param`, not `{node.target}`",
            node.span,
            "how a state is stored is said by its dtype or `quantize`",
        )
    if node.how.name not in ROUNDINGS:
        c.error(
            "E410",
            f"there is no rounding `{node.how.name}`",
            node.how.span,
            nearest(node.how.name, ROUNDINGS) or "roundings: " + ", ".join(ROUNDINGS),
        )
        return Rounding()
    options = _options(c, node.how, tuple(ROUNDINGS[node.how.name])) or ()
    for name, value in options:
        if not isinstance(value, Const):
            c.error("E514", f"`{name}` is written as a number", value.span, _MASTERS)
        elif value.value not in (8, 16, 32):
            text = f"{node.how.name}({name} = {value.value}) does not exist"
            c.error("E514", text, node.span, _MASTERS)
    return Rounding(node.how.name, options, node.span)
