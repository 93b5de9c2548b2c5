"""A model as text: what `stepc inspect --stage model` prints, and levels in messages.

    state v: per rows
    update:  AdamW
        v = lerp(v, mean(grad ^ 2, per rows), 1 - beta2)      # per rows

The text looks like the language, but is not meant to be parsed back.
"""

from __future__ import annotations

from .levels import Level
from .model import (
    Apply,
    Assign,
    Branch,
    Const,
    Expr,
    Guard,
    Hyper,
    Model,
    Read,
    Repeat,
    Reset,
    Skip,
    State,
    Stmt,
    When,
)

_BINARY = {
    "or": ("or", 1),
    "and": ("and", 2),
    "eq": ("==", 4),
    "ne": ("!=", 4),
    "lt": ("<", 4),
    "le": ("<=", 4),
    "gt": (">", 4),
    "ge": (">=", 4),
    "match": ("~", 4),
    "add": ("+", 5),
    "sub": ("-", 5),
    "mul": ("*", 6),
    "div": ("/", 6),
    "matmul": ("@", 6),
    "mod": ("%", 6),
    "pow": ("^", 8),
}


def phrase(level: Level) -> str:
    """A level as it is written: `per rows`, `matrix(rows, cols)`."""
    match level.kind:
        case "matrix" | "vector" | "diagonal" | "triangular" | "identity" | "top":
            return f"{level.kind}({', '.join(expression(arg) for arg in level.args)})"
        case "slots":
            inner = "" if level.of is None else phrase(level.of)
            return f"slots({expression(level.args[0])}) of {inner}"
        case "none" | "unknown" | "tuple":
            return level.kind
        case "partition" | "layers":
            return f"per {level.name}"
        case kind if level.args:
            return f"per {kind}({', '.join(expression(arg) for arg in level.args)})"
        case kind:
            return f"per {kind}"


def each(level: Level) -> str:
    """What there is one value of: `per row`, `of shape matrix(rows, rows)`."""
    match level.kind:
        case "global":
            return "for all tensors"
        case "rows" | "heads" | "chunks" | "tiles":
            return f"per {level.kind[:-1]}"
        case "cols":
            return "per column"
        case "tensor" | "group" | "element" | "partition" | "layers" | "axis":
            return phrase(level)
        case _:
            return f"of shape {phrase(level)}"


def expression(expr: Expr, least: int = 0) -> str:
    """An expression; parentheses only where precedence asks for them."""
    match expr:
        case Const(value=bool() as value):
            return "true" if value else "false"
        case Const(value=str() as value):
            return value
        case Const(value=value):
            return f"{value!r}" if isinstance(value, int) else f"{value:.12g}"
        case Read(name=name):
            return name
        case Apply(op="neg", args=(inner,)):
            return _wrap(f"-{expression(inner, 7)}", 7, least)
        case Apply(op="not", args=(inner,)):
            return _wrap(f"not {expression(inner, 3)}", 3, least)
        case Apply(op="select", args=(condition, then, otherwise)):
            text = (
                f"{expression(then, 1)} if {expression(condition, 1)} else {expression(otherwise)}"
            )
            return _wrap(text, 0, least)
        case Apply(op="transpose", args=(inner,)):
            return f"{expression(inner, 9)}.T"
        case Apply(op="index", args=(value, *items)):
            return f"{expression(value, 9)}[{', '.join(expression(item) for item in items)}]"
        case Apply(op="item", args=(value, at)):
            return f"{expression(value, 9)}[{expression(at)}]"
        case Apply(op="all"):
            return ":"
        case Apply(op="tuple", args=args):
            return f"({', '.join(expression(arg) for arg in args)})"
        case Apply(op="match", args=(name, Const(value=pattern))):
            return _wrap(f'{expression(name)} ~ "{pattern}"', 4, least)
        case Apply(op="member", args=(value, *words)):
            inside = ", ".join(expression(word) for word in words)
            return _wrap(f"{expression(value, 5)} in ({inside})", 4, least)
        case Apply(op=op, args=(left, right)) if op in _BINARY:
            sign, strength = _BINARY[op]
            tight = strength + 1
            a = expression(left, tight if op == "pow" else strength)
            b = expression(right, strength if op == "pow" else tight)
            return _wrap(f"{a} {sign} {b}", strength, least)
        case Apply(op=op, args=args, options=options, per=per):
            parts = [expression(arg) for arg in args]
            parts += [f"{name} = {expression(value)}" for name, value in options]
            parts += [phrase(per)] if per is not None else []
            return f"{op}({', '.join(parts)})"


def _wrap(text: str, strength: int, least: int) -> str:
    return f"({text})" if strength < least else text


def describe(model: Model) -> str:
    """The whole model, section by section, each assignment with its level and place."""
    lines = [f"optimizer {model.name}:"]
    if len(model.lineage) > 1:
        lines.append(f"    # {' + '.join(model.lineage)}")
    lines += [f"    {_hyper(hyper)}" for hyper in model.hypers]
    lines += [f"    {_state(state)}" for state in model.states]
    for storage in model.storage:
        options = ", ".join(f"{name} = {expression(value)}" for name, value in storage.options)
        when = "" if storage.condition is None else f" when {expression(storage.condition)}"
        lines.append(f"    quantize {storage.state}: {storage.codec}({options}){when}")
    if model.rounding.how != "nearest":
        lines.append(f"    round param: {model.rounding.how}")
    if model.roles:
        lines.append("    roles:")
        lines += [f"        {_test(test)} -> {role}" for test, role in model.roles]
    for partition in model.partitions:
        lines.append(f"    partition {partition.name}:")
        lines += [f"        {_test(test)} -> {phrase(at)}" for test, at in partition.rules]
    for requirement in model.requires:
        lines.append(f"    requires {expression(requirement.condition)}")
    for section in model.sections:
        lines.append(f"    {section.title}:  # {section.origin}")
        lines += statements(section.body, 8)
    if model.route:
        lines.append("    route:")
        for branch in model.route:
            lines += _branch(branch)
    for view in model.views:
        if not isinstance(view.value, tuple):
            lines.append(f"    view {view.name} = {expression(view.value)}")
    lines += [f"    # note: {note}" for note in model.notes]
    for missing in model.unsupported:
        lines.append(f"    # not compiled yet: {missing.what} ({missing.code})")
    return "\n".join(lines) + "\n"


def _test(condition: Expr | None) -> str:
    return "else" if condition is None else expression(condition)


def _branch(branch: Branch) -> list[str]:
    given = ", ".join(f"{name} = {expression(value)}" for name, value in branch.bindings)
    head = f"        {_test(branch.condition)} -> {branch.model.name}({given})"
    return [head] + ["    " * 3 + line for line in describe(branch.model).splitlines()]


def default(hyper: Hyper) -> str:
    """The default as the language writes it."""
    match hyper.default:
        case None:
            return "required"
        case tuple() as items if hyper.items:
            pairs = zip(hyper.items, items, strict=True)
            return f"({', '.join(f'{name} = {expression(item)}' for name, item in pairs)})"
        case tuple() as items:
            return f"list({', '.join(expression(item) for item in items)})"
        case single:
            return expression(single)


def _hyper(hyper: Hyper) -> str:
    bounds = "" if hyper.bounds is None else f" in {hyper.bounds}"
    marks = ", structural" if hyper.structural else ""
    return (
        f"hyper {hyper.name} = {default(hyper)}{bounds}  # {hyper.type}{marks}, of {hyper.origin}"
    )


def _state(state: State) -> str:
    shapes = " else ".join(
        phrase(level) + ("" if condition is None else f" if {expression(condition)}")
        for condition, level in state.shapes
    )
    words = [
        word
        for word, on in (
            (state.dtype, bool(state.dtype)),
            ("exact", state.exact),
            ("host", state.host),
            ("local", state.local),
            ("transient", state.transient),
        )
        if on
    ]
    attributes = "".join(f", {word}" for word in words)
    when = "" if state.condition is None else f" when {expression(state.condition)}"
    return f"state {state.name}: {shapes}{attributes} = {expression(state.initial)}{when}"


def statements(body: tuple[Stmt, ...], indent: int = 0) -> list[str]:
    """The lines of a suite."""
    lines: list[str] = []
    space = " " * indent
    for stmt in body:
        match stmt:
            case Assign(name=name, value=value):
                place = "host, " if value.host else ""
                text = f"{space}{name} = {expression(value)}"
                lines.append(f"{text:<72}  # {place}{phrase(value.level)}")
            case When(condition=condition, then=then, otherwise=otherwise):
                lines.append(f"{space}when {expression(condition)}:")
                lines += statements(then, indent + 4)
                if otherwise:
                    lines.append(f"{space}otherwise:")
                    lines += statements(otherwise, indent + 4)
            case Repeat(count=count, counter=counter, body=inner):
                named = f" as {counter}" if counter else ""
                lines.append(f"{space}repeat {expression(count)}{named}:")
                lines += statements(inner, indent + 4)
            case Skip():
                lines.append(f"{space}skip")
            case Guard(condition=condition):
                lines.append(f"{space}guard {expression(condition)}")
            case Reset(states=states):
                lines.append(f"{space}reset {', '.join(states)}")
    return lines
