"""Names for values: the spec's own, made unique, and used again where that reads like the spec.

    m = beta1 * m + one_minus_beta1 * grad        the old m is not needed any more: `m` again
    param_new = ...                               the old one still is: another name

Who needs a name, and in which order lines stand, is `body.py`'s to say. A name is an identifier in
Python and C, no keyword of either, and none of the names that kernels use for themselves.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..ir import REDUCTIONS, Node
from .expressions import is_integer
from .rounds import CELL

_C_WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void
volatile while bool f32 f64 bf16 f16
""".split()
_LIBRARY = """
sqrt exp exp2 log log2 fabs floor ceil rint tanh sin cos tan atan erf cbrt atan2 pow rsqrt sign
sign_bit sigmoid softplus maximum minimum clamp mod modulo power round_even round_stochastic spread
round_by_chance base reduce sum min max abs range byte binade half_ulp copysign e4m3_code e4m3_value
e5m2_code e5m2_value dynamic_code dynamic_value inverse affine_product affine_quotient affine_root
malloc free memset
in_half_ulps look_up place_of quotient finish_table look_up_most look_up_bytes weave_bytes
weave_pairs Table Bytes Signs Pairs Fours ahead encode encode_most each_fourth finish_map places_of
least_with repeated repeat_last pack unpack bits_of float_of upper_bf16 max_number min_number where
""".split()
_KERNEL = """
tl torch kernel count tasks pointers shapes scalars values totals partials spans task tensor
begin end cell first last row rows cols numel length width strip tile index inside offsets
address block i j k R REAL PARAM GRAD BLOCK ALIGNED LANES dtype shape size start full lanes
lines column columns here group whole place numbers streams pieces piece results larger smaller
lesser cells head like stop strip_width mixed sizes size_0 size_1 size_2 size_3 size_4
size_5 tile_top tile_left tile_bottom tile_right tile_width tiles_across first bytes_at begun
place strips down at tiles_down band bands_end
""".split()
_RESERVED = frozenset([*keyword.kwlist, *keyword.softkwlist, *_C_WORDS, *_LIBRARY, *_KERNEL])
# Ends of the names that targets make for themselves: pointers, sums as they grow, values kept,
# functions of one dtype.
_ENDS = re.compile(
    r"_(all|at|cell|kept|lanes|length|lost|next|part|table|tile|total|f16|bf16|f32|f64)$"
)
_LONGEST = 32
_WORDS = {"min_number": "least", "max_number": "most", "round_even": "rounded"}
_INVENTED = re.compile(r"^(?:(?:least|most|rounded|abs|sqrt|floor|binade|byte|clamp|copysign)_)+")


@dataclass(frozen=True, slots=True)
class Event:
    """One place in the text: it may define a value, and it reads some. `stretch` numbers the
    pieces of text (rounds) between which element values do not live on."""

    defines: Node | None
    reads: frozenset[Node]
    stretch: int


@dataclass(slots=True)
class Naming:
    """Gives names one by one; `zone` says in which loop a value lives, `sums` are the names of
    sums that a step passes on."""

    events: Sequence[Event]
    zone: dict[Node, int]
    streams: frozenset[str]
    sums: frozenset[str]
    names: dict[Node, str] = field(default_factory=dict[Node, str])
    _holders: dict[str, list[Node]] = field(default_factory=dict[str, list[Node]])

    def fix(self, node: Node, base: str) -> None:
        """A name that is never taken over from another value (loads, operands, slots)."""
        self._give(node, next(n for n in self._candidates(base) if n not in self._holders))

    def name(self, node: Node) -> bool:
        """Name a computed value; True if the name was another value's until here."""
        for candidate in self._candidates(_base(node, self.names)):
            holders = self._holders.get(candidate, [])
            taken = candidate in self.sums or not all(self._yields(h, node) for h in holders)
            if not taken:
                self._give(node, candidate)
                return bool(holders)
        raise AssertionError("candidates never end")

    def _give(self, node: Node, name: str) -> None:
        self.names[node] = name
        self._holders.setdefault(name, []).append(node)

    def _candidates(self, base: str) -> Iterable[str]:
        safe = identifier(base)
        yield safe
        if safe in self.streams:
            yield f"{safe}_new"
        number = 1
        while True:
            yield f"{safe}_{number}"
            number += 1

    def _yields(self, holder: Node, node: Node) -> bool:
        """Whether `holder` is not read any more once `node` is computed, in every stretch."""
        if self.zone[holder] != self.zone[node] or is_integer(holder) != is_integer(node):
            return False
        if self.zone[node] == CELL and (holder.op in REDUCTIONS or node.op in REDUCTIONS):
            return False  # those of one round are collected side by side
        for stretch in {e.stretch for e in self.events if e.defines is node}:
            here = [(at, e) for at, e in enumerate(self.events) if e.stretch == stretch]
            made = min(at for at, e in here if e.defines is node)
            if any(e.defines is holder and at > made for at, e in here):
                return False
            if any(holder in e.reads and at > made for at, e in here):
                return False
        return True


def identifier(text: str) -> str:
    """The last dotted part of `text` as an identifier that nothing else means."""
    safe = re.sub(r"\W", "_", text.rpartition(".")[2], flags=re.ASCII) or "x"
    if safe[0].isdigit():
        safe = f"x{safe}"
    is_macro = len(safe) > 1 and safe.isupper()
    return f"{safe}_" if is_macro or safe in _RESERVED or _ENDS.search(safe) else safe


def _base(node: Node, names: dict[Node, str]) -> str:
    """The spec's name, or one that hints at what the value is."""
    if node.label:
        return node.label
    inner = next((hint for arg in node.args if (hint := _hint(arg, names))), "")
    base = ""
    match node.op:
        case "mul" if node.args[0] is node.args[1]:
            base = _hint(node, names) or "square"
        case "where":
            base = next((names[a] for a in reversed(node.args[1:]) if a in names), "choice")
        case "lt" | "le" | "gt" | "ge" | "eq" | "ne" | "and" | "or" | "not":
            base = "holds"
        case op if op in REDUCTIONS:
            base = f"{op}_{inner}" if inner else f"{op}_"
        case "add" | "sub":
            base = "term"
        case "mul" | "div":
            base = "factor"
        case "cast" | "neg":
            base = inner
        case op:
            base = "_".join(filter(None, (_WORDS.get(op, op), _subject(inner))))
    return base if base and len(base) <= _LONGEST else "x"


def _hint(node: Node, names: dict[Node, str]) -> str:
    """What a value is about: its name, `x_squared`, or what its first argument is about."""
    if node in names:
        return _stem(names[node])
    inner = next((hint for arg in node.args if (hint := _hint(arg, names))), "")
    square = node.op == "mul" and node.args[0] is node.args[1]
    return f"{inner}_squared" if inner and square else inner


def _subject(name: str) -> str:
    """What an invented name is about: `least_abs_m` is about `m`."""
    return _INVENTED.sub("", name)


def _stem(name: str) -> str:
    """A name without the number that made it unique."""
    return re.sub(r"_\d+$", "", name)
