"""The class's hypers and constructor, in the field's own form: `betas` is a tuple, `lr` may be a
tensor, a default that depends on other hypers is None until construction."""

from __future__ import annotations

from ...dsl.levels import GLOBAL
from ...dsl.model import Bounds, Const, Expr, Hyper, Model
from ..hosts import reads
from ..ir import Tree, leaves, ordered
from .host import hyper_names
from .layout import Group, call, lines
from .python import python
from .words import wrapped

_TYPES = {"real": "float", "int": "int", "bool": "bool", "choice": "str", "list": "list[float]"}
_FLAGS = {
    "maximize": "ascend instead of descend.",
    "capturable": "keep t and lr on the device, so that a CUDA graph can hold the step.",
}


def hyper_literals(model: Model, tree: Tree) -> list[str]:
    """The entries of `hypers`, one `Hyper(...)` each."""
    shared = _shared(model, tree)
    entries: list[str] = []
    for hyper in model.hypers:
        parts = [f'"{hyper.name}"', _default(hyper)]
        if hyper.type != "real":
            parts.append(f'type="{hyper.type}"')
        if hyper.bounds is not None:
            parts += _bounds(hyper.bounds)
        if hyper.items:
            parts.append(f"items={_words(hyper.items)}")
        if hyper.choices:
            parts.append(f"choices={_words(hyper.choices)}")
        if hyper.default is None:
            parts.append("required=True")
        if hyper.name in shared:
            parts.append("agree=True")
        if is_derived(hyper):
            parts.append(f"derived=default_{hyper.name}")
        entries += lines(call("Hyper", parts), 8, ",")
    return entries


def _shared(model: Model, tree: Tree) -> set[str]:
    """Hypers that reach a state of which there is one in all: groups may not differ in them."""
    found: set[str] = set()
    owner = {item: h.name for h in model.hypers for item in h.items}
    for program in leaves(tree):
        for store in program.stores:
            if store.stream.level != GLOBAL:
                continue
            for node in ordered([store.value]):
                if node.op == "operand" and isinstance(node.attr, Expr):
                    found |= {
                        owner.get(r.name, r.name) for r in reads(node.attr) if r.kind == "hyper"
                    }
    return found


def _words(words: tuple[str, ...]) -> str:
    inner = ", ".join(f'"{word}"' for word in words)
    return f"({inner},)" if len(words) == 1 else f"({inner})"


def _bounds(bounds: Bounds) -> list[str]:
    parts = [f"low={bounds.low!r}"] if bounds.low != float("-inf") else []
    if bounds.high != float("inf"):
        parts.append(f"high={bounds.high!r}")
    if not bounds.high_closed:
        parts.append("high_closed=False")
    if bounds.low != float("-inf") and not bounds.low_closed:
        parts.append("low_closed=False")
    return parts


def is_derived(hyper: Hyper) -> bool:
    """Whether the default is computed from other hypers."""
    return isinstance(hyper.default, Expr) and not isinstance(hyper.default, Const)


def _default(hyper: Hyper) -> str:
    match hyper.default:
        case None:
            return "None"
        case tuple() as items:
            values = ", ".join(python(item) for item in items)
            if hyper.type == "list":
                return f"[{values}]"
            return f"({values},)" if len(items) == 1 else f"({values})"
        case Const() as value:
            return python(value)
        case _:
            return "None"


def derived_defaults(model: Model) -> list[str]:
    """A function for each default that depends on other hypers."""
    text: list[str] = []
    for hyper in model.hypers:
        if is_derived(hyper):
            assert isinstance(hyper.default, Expr)
            names = {r.name for r in reads(hyper.default) if r.kind == "hyper"}
            text += [
                "",
                "",
                f"def default_{hyper.name}(hyper: dict[str, Any]) -> float:",
                f'    """{hyper.name} where it is not given."""',
                *(f"    {line}" for line in hyper_names(model, names)),
                f"    return {python(hyper.default)}",
            ]
    return text


def constructor(model: Model) -> list[str]:
    """`__init__`, one argument a line."""
    given: list[str] = []
    for hyper in sorted(model.hypers, key=lambda h: h.default is not None):
        kind = _type(hyper)
        default = "" if hyper.default is None else f" = {_default(hyper)}"
        given.append(f"        {hyper.name}: {kind}{default},")
    pairs = [f'"{name}": {name}' for name in (*(h.name for h in model.hypers), *_FLAGS)]
    defaults = Group("", tuple(pairs), "{", "}")
    return [
        "    def __init__(",
        "        self,",
        "        params: ParamsT,",
        *given,
        "        *,",
        *(f"        {flag}: bool = False," for flag in _FLAGS),
        "    ) -> None:",
        *lines(call("super().__init__", ["params", defaults]), 8),
    ]


def _type(hyper: Hyper) -> str:
    if hyper.type == "tuple":
        return f"tuple[{', '.join(['float'] * len(hyper.items))}]"
    kind = "float | Tensor" if hyper.name == "lr" else _TYPES[hyper.type]
    return f"{kind} | None" if is_derived(hyper) else kind


def class_doc(model: Model) -> list[str]:
    """The class's docstring: arguments with their ranges, what is refused, where it comes from."""
    head = (model.doc.strip().splitlines() or [f"{model.name}."])[0]
    text = [*wrapped('"""' + head, 92), "", "Args:"]
    text.append(
        "    params: parameters, named parameters or groups of them, as torch.optim takes them."
    )
    for hyper in model.hypers:
        text += wrapped(f"    {hyper.name}: {_range(hyper)}", 92, " " * 8)
    for flag, meaning in _FLAGS.items():
        text += wrapped(f"    {flag}: {meaning}", 92, " " * 8)
    text += ["", "Raises:"]
    text.append(
        "    ValueError: a value outside its range, or a parameter the optimizer does not take."
    )
    if model.paper:
        text += ["", *wrapped(f"Source: {model.paper}", 92)]
    return [f"    {line}".rstrip() for line in [*text, '"""']]


def _range(hyper: Hyper) -> str:
    words = f"one of {', '.join(hyper.choices)}" if hyper.choices else ""
    if hyper.bounds is not None:
        words = f"{'each ' if hyper.items else ''}in {hyper.bounds}"
    parts = [f"({', '.join(hyper.items)})" if hyper.items else hyper.type, words]
    if hyper.default is None:
        parts.append("required")
    if is_derived(hyper):
        assert isinstance(hyper.default, Expr)
        parts.append(f"{python(hyper.default)} where not given")
    return ", ".join(part for part in parts if part) + "."
