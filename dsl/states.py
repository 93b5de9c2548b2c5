"""States: shapes, attributes, initial values; inputs; and named partitions.

state L: matrix(rows, rows) if rows <= max_dim else none
    ->  State L with two alternatives, the second of which stores nothing
"""

from __future__ import annotations

from dataclasses import replace

from . import syntax as s
from .context import MOST_STATES, UNKNOWN, Context, DeclaredState, Frame, is_poison, number
from .expressions import complete, condition, expression
from .granules import granule
from .infer import apply, fits
from .levels import ELEMENT, GLOBAL, TENSOR, Level
from .model import Apply, Expr, Partition, State
from .slots import capacity
from .source import NOWHERE
from .suggest import nearest
from .words import DTYPE_NAMES, DTYPES, PLAIN_LEVELS

Alternatives = tuple[tuple[Expr | None, Level], ...]
_NAMED = {"none": 0, "identity": 1, "matrix": 2, "vector": 1, "diagonal": 1, "triangular": 1}
_ATTRIBUTES = ("exact", "host", "local", "transient")


def understand_states(c: Context) -> None:
    """Work out every declared state, in source order."""
    for number_, (name, declared) in enumerate(c.declared_states.items()):
        if number_ >= MOST_STATES:
            c.error("E416", f"more than {MOST_STATES} states", declared.node.span)
            return
        c.states[name] = _state(c, name, declared)
    if c.loss:  # the caller of a step writes it
        zero = number(0, NOWHERE)
        c.states["loss"] = State("loss", ((None, GLOBAL),), zero, exact=True, span=NOWHERE)


def _state(c: Context, name: str, declared: DeclaredState) -> State:
    node = declared.node
    with c.aside("shape", declared.frame):
        shapes = alternatives(c, node.shape)
    dtype = ""
    for attribute in node.attributes:
        word = DTYPE_NAMES.get(attribute, attribute)
        if word in DTYPES:
            dtype = word
        elif attribute not in _ATTRIBUTES:
            known = [*_ATTRIBUTES, *DTYPES, *DTYPE_NAMES]
            c.error(
                "E212",
                f"`{attribute}` is not an attribute of a state",
                node.span,
                nearest(attribute, known) or "attributes: exact, host, local, or a dtype",
            )
    test = None
    if node.condition is not None:
        mode = "let" if "transient" in node.attributes else "shape"
        with c.aside(mode, declared.frame):
            test = condition(c, node.condition, "`when`")
        c.conditions.append(test)
    if "transient" in node.attributes:
        c.not_compiled("E520", f"transient state {name}", node.span)
    if "local" in node.attributes:
        c.not_compiled("E501", f"local state {name}", node.span)
    for _, level in shapes:
        if level.kind == "top" or (level.kind == "slots" and not _is_counted(c, level)):
            c.not_compiled("E505", f"slots of {name}", node.span)
    state = State(
        name,
        shapes,
        number(0, node.span),
        condition=test,
        dtype=dtype,
        exact="exact" in node.attributes,
        host="host" in node.attributes,
        local="local" in node.attributes,
        transient="transient" in node.attributes,
        origin=declared.origin,
        span=node.span,
    )
    if state.host and not all(level.is_coarse for _, level in shapes):
        c.error(
            "E318",
            f"`{node.name}` has many values and cannot live on the host",
            node.span,
            "leave out `host`",
        )
    if node.initial is None:
        return state
    return replace(state, initial=_initial(c, node, node.initial, declared.frame, state))


def _is_counted(c: Context, level: Level) -> bool:
    """Whether slots are of a plain level and as many as is known when compiling."""
    plain = level.of is not None and not level.of.is_shaped
    return plain and capacity(level.args[0], c.hypers) is not None


def _initial(c: Context, node: s.State, written: s.Expr, frame: Frame, state: State) -> Expr:
    if isinstance(written, s.Name) and written.id == "identity":
        return Apply("identity", (), level=state.level, host=False, span=written.span)
    with c.aside("initial", frame):
        value = expression(c, written)
    if is_poison(value):
        return number(0, node.span)
    levels = [level for _, level in state.shapes if level.kind not in ("none", "identity")]
    if not value.host and not all(fits(c, value.level, level, node.span) for level in levels):
        c.error(
            "E303",
            f"the initial value of `{node.name}` has more values than the state",
            written.span,
            "reduce it, or declare a finer state",
        )
    return value


def alternatives(c: Context, shape: s.Shape) -> Alternatives:
    """The shapes a declaration may choose, each with its condition."""
    if not isinstance(shape, s.ShapeChoice):
        return shape_levels(c, shape)
    test = condition(c, shape.condition, "a choice of shapes")
    c.conditions.append(test)
    found: list[tuple[Expr | None, Level]] = []
    for inner, level in alternatives(c, shape.then):
        both = test if inner is None else apply(c, "and", (test, inner), shape.span)
        found.append((both, level))
    return (*found, *alternatives(c, shape.otherwise))


def shape_levels(c: Context, shape: s.Shape) -> Alternatives:
    match shape:
        case s.LikeShape(name=name) if name in c.frame.names:
            other = c.states.get(c.frame.prefix + name)
            if other is not None:
                return other.shapes
            c.error("E203", f"`{name}` is no state declared above", shape.span)
            return ((None, UNKNOWN),)
        case _:
            return ((None, shape_level(c, shape)),)


def shape_level(c: Context, shape: s.Shape) -> Level:
    """The level of one shape without a choice."""
    match shape:
        case s.LikeShape(name="param" | "grad"):
            return ELEMENT
        case s.LikeShape(name=name):
            c.error("E201", f"`{name}` has no shape here", shape.span, "write `like param`")
            return UNKNOWN
        case s.PerShape(granule=node):
            return granule(c, node, expression)
        case s.NamedShape():
            return _named(c, shape)
        case s.SlotsShape(count=count, of=of):
            size = condition(c, count, "`slots`")
            c.counts.append(size)
            return Level("slots", (size,), of=shape_level(c, of))
        case s.ShapeChoice(span=span):
            c.error("E318", "a choice of shapes inside `slots`", span, "choose outside")
            return UNKNOWN


def _named(c: Context, shape: s.NamedShape) -> Level:
    if shape.name == "top":
        sizes = [arg for arg in shape.args if not isinstance(arg, s.Granule)]
        per = next(
            (granule(c, a, expression) for a in shape.args if isinstance(a, s.Granule)), TENSOR
        )
        return Level("top", tuple(_size(c, size) for size in sizes), of=per)
    if shape.name not in _NAMED:
        known = [*_NAMED, "slots", "like", "per"]
        c.error("E211", f"`{shape.name}` is not a shape", shape.span, nearest(shape.name, known))
        return UNKNOWN
    sizes = [arg for arg in shape.args if not isinstance(arg, s.Granule)]
    if len(sizes) != _NAMED[shape.name] or len(sizes) != len(shape.args):
        wanted = _NAMED[shape.name]
        c.error("E208", f"`{shape.name}` takes {wanted} size{'s' * (wanted != 1)}", shape.span)
        return UNKNOWN
    return Level(shape.name, tuple(_size(c, size) for size in sizes))


def _size(c: Context, node: s.Expr) -> Expr:
    size = condition(c, node, "a shape")
    c.counts.append(size)
    return size


def understand_partitions(c: Context) -> tuple[Partition, ...]:
    """The partitions that levels name, as rule lists of levels."""
    found: list[Partition] = []
    done: set[str] = set()
    while waiting := [name for name in c.written if name not in done]:
        name = waiting[0]
        done.add(name)
        table = c.tables[name]
        frame = c.table_frames.get(name)
        with c.aside("shape", frame):
            found.append(_partition(c, table))
    return tuple(found)


def _partition(c: Context, table: s.RuleTable) -> Partition:
    complete(c, table.rules)
    rules: list[tuple[Expr | None, Level]] = []
    for rule in table.rules.rules:
        test = None
        if rule.condition is not None:
            test = condition(c, rule.condition, "a partition")
            c.conditions.append(test)
        rules.append((test, _partition_level(c, table, rule)))
    return Partition(table.name, tuple(rules))


def _partition_level(c: Context, table: s.RuleTable, rule: s.Rule) -> Level:
    match rule.value:
        case s.Name(id=name, span=span):
            node = s.Granule(name, span=span)
        case s.Call(function=name, args=args, span=span):
            node = s.Granule(name, tuple(arg.value for arg in args), span=span)
        case value:
            c.error("E211", "a partition's lines give levels", value.span, ", ".join(PLAIN_LEVELS))
            return UNKNOWN
    if node.name in c.tables or isinstance(c.library.find(node.name, span.source), s.RuleTable):
        c.error(
            "E211",
            f"`{node.name}` is a partition, and `{table.name}` is made of plain levels",
            node.span,
            ", ".join(PLAIN_LEVELS),
        )
        return UNKNOWN
    return granule(c, node, expression)
