"""One tensor during one step: what every name stands for, and the value of any expression.

    visit.value(lerp(m, grad, 1 - beta1))   ->   Value(element, [...])

Every value is laid out by the level that the model gives its expression. A reduction `per global`
or `per group` needs other tensors: `value` then raises `Waiting`, and the interpreter, which sees
all of them, puts the total into `totals` and asks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .cells import (
    ELEMENT,
    GLOBAL,
    TENSOR,
    Array,
    Cells,
    Shape,
    Value,
    as_array,
    carry,
    cells_inside,
    from_array,
    identity,
    join,
)
from .codes import read_back
from .evaluate import ELEMENTARY, MATRICES, REDUCTIONS, elementary, number, reduce
from .factorise import ONE, SEVERAL, put, take
from .keep import Keep
from .levels import Level
from .model import Apply, Const, Expr, Model, Read, State
from .storage import round_to

ACROSS = ("global", "group", "layers")  # levels that hold more than one tensor


class Waiting(Exception):
    """A reduction over several tensors was reached."""

    def __init__(self, reduction: Apply):
        super().__init__(reduction.op)
        self.reduction = reduction


@dataclass(slots=True, eq=False)
class Visit:
    """`start` is the parameter before anything has written it, `assigned` the states that this
    tensor has assigned: of one that it shares it sees no other tensor's assignment."""

    model: Model
    name: str
    shape: Shape
    facts: dict[str, Any]
    role: str | None
    hypers: dict[str, Any]
    start: Value
    grad: Value
    own: Keep
    group: Keep
    common: Keep
    param: Value = field(init=False)
    roles: tuple[tuple[Expr | None, str], ...] = field(init=False)
    locals: dict[str, Value] = field(default_factory=dict[str, Value])
    totals: dict[Apply, Value] = field(default_factory=dict[Apply, Value])
    assigned: set[str] = field(default_factory=set[str])
    wrote_param: bool = False
    ended: bool = False

    def __post_init__(self) -> None:
        self.param = self.start
        self.roles = self.model.roles

    # ------------------------------------------------------------ the model it follows

    def follow_route(self) -> None:
        """Go on with the model of the first branch whose condition holds, down to a rule."""
        self._require()
        while self.model.route:
            branch = next(b for b in self.model.route if not b.condition or self.holds(b.condition))
            self.hypers = {name: self.value(value).data for name, value in branch.bindings}
            self.model = branch.model
            self.roles = branch.model.roles or self.roles
            self._require()

    def _require(self) -> None:
        for requirement in self.model.requires:
            if not self.holds(requirement.condition):
                advice = f": {requirement.advice}" if requirement.advice else ""
                raise ValueError(f"{self.model.name} does not take {self.name}{advice}")

    def keep(self, state: State) -> Keep:
        """Where a state is kept: one for the tensor, for its group, or for all."""
        shared = {"global": self.common, "group": self.group}
        return shared.get(state.level.kind, self.own)

    def has(self, name: str) -> bool:
        return name in self.keep(self.model.state(name)).present

    def lacks(self, state: State) -> bool:
        """Whether a state should be there by its conditions, and is not yet."""
        if self.has(state.name) or (state.condition and not self.holds(state.condition)):
            return False
        return self.first_of(state.shapes).kind != "none"

    def write(self, name: str, value: Value) -> None:
        keep = self.keep(self.model.state(name))
        keep.present[name] = carry(value, keep.present[name].cells, self.shape)
        keep.written.add(name)
        self.assigned.add(name)

    # ------------------------------------------------------------ levels

    def cells(self, level: Level) -> Cells:
        """A level on this tensor."""
        if level.kind == "partition":
            partition = next(p for p in self.model.partitions if p.name == level.name)
            return self.first_of(partition.rules)
        sizes = tuple(int(self.size(size)) for size in level.args)
        return Cells(level.kind, sizes, level.args)

    def first_of(self, rules: tuple[tuple[Expr | None, Level], ...]) -> Cells:
        """The level of the first rule that fits."""
        return next(self.cells(level) for test, level in rules if not test or self.holds(test))

    # ------------------------------------------------------------ values

    def holds(self, condition: Expr) -> bool:
        return bool(self.value(condition).data)

    def size(self, expr: Expr) -> float:
        return float(self.value(expr).data)

    def initial(self, state: State) -> Value:
        """The declared initial value; it sees the parameter as it was when the step began."""
        cells = self.first_of(state.shapes)
        if cells.kind == "identity" or (
            isinstance(state.initial, Apply) and state.initial.op == "identity"
        ):
            return identity(cells, self.shape)
        now, self.param = self.param, self.start
        try:
            return carry(self.value(state.initial), cells, self.shape)
        finally:
            self.param = now

    def value(self, expr: Expr) -> Value:
        """The value of an expression at this point of the step, at the expression's level."""
        return carry(self._value(expr), self.cells(expr.level), self.shape)

    def _value(self, expr: Expr) -> Value:
        match expr:
            case Const(value=value):
                return Value(GLOBAL, number(value))
            case Read():
                return self._read(expr)
            case Apply(op="select", args=(condition, then, otherwise)):
                return self.value(then if self.holds(condition) else otherwise)
            case Apply(op="and" | "or", args=(left, right), host=True):
                decided = self.holds(left) == (expr.op == "or")
                return self.value(left if decided else right)
            case Apply(op=op) if op in REDUCTIONS:
                return self._reduction(expr)
            case Apply(op=op) if op in MATRICES:
                arrays = [as_array(self.value(arg), self.shape) for arg in expr.args]
                return from_array(MATRICES[op](*arrays), self.cells(expr.level))
            case Apply(op=op) if op in SEVERAL or op in ONE:
                return self._factorised(expr)
            case Apply(op=op) if op in ELEMENTARY:
                cells = self.cells(expr.level)
                args = [carry(self.value(arg), cells, self.shape).data for arg in expr.args]
                return Value(cells, elementary(op, args))
            case Apply():
                return self._special(expr)

    def _read(self, read: Read) -> Value:
        match read.kind:
            case "local":
                return self.locals[read.name]
            case "state":
                state = self.model.state(read.name)
                keep = self.keep(state)
                return (keep.present if read.name in self.assigned else keep.before)[read.name]
            case "param":
                return self.param
            case "grad":
                return self.grad
            case "hyper":
                return Value(GLOBAL, number(self.hypers[read.name]))
            case _:
                return Value(TENSOR, number(self._fact(read.name)))

    def _fact(self, name: str) -> Any:
        if name != "role":
            if name not in self.facts:
                raise ValueError(
                    f"{self.name}: the rule reads `{name}`, which its group does not give; write "
                    f'{{"{name}": 512}} in the group'
                )
            return self.facts[name]
        if self.role is not None:
            return self.role
        return next((role for test, role in self.roles if not test or self.holds(test)), "")

    def _factorised(self, expr: Apply) -> Value:
        arrays = [as_array(self.value(arg), self.shape) for arg in expr.args]
        options = {name: self.size(value) for name, value in expr.options}
        if expr.op in ONE:
            return from_array(ONE[expr.op](*arrays, **options), self.cells(expr.level))
        results = SEVERAL[expr.op](*arrays)
        data = np.empty(len(results), dtype=object)
        data[:] = results
        return Value(self.cells(expr.level), data)

    def _place(self, item: Expr) -> slice | Array:
        match item:
            case Apply(op="all"):
                return slice(None)
            case Apply(op="slice", args=bounds):
                return slice(*(int(self.size(bound)) for bound in bounds))
            case _:
                return self.value(item).data.astype(int)

    def _special(self, expr: Apply) -> Value:
        value = self._value(expr.args[0])
        match expr.op:
            case "sync":
                return value
            case "cast":
                return Value(value.cells, round_to(value.data, str(self.value(expr.args[1]).data)))
            case "size":
                return Value(TENSOR, number(self.shape.axes[int(value.data)]))
            case "length":
                return Value(GLOBAL, number(value.data.size))
            case "item":
                return from_array(value.data[int(self.size(expr.args[1]))], self.cells(expr.level))
            case "index":
                places = [self._place(item) for item in expr.args[1:]]
                found = take(as_array(value, self.shape), places)
                return from_array(found, self.cells(expr.level))
            case "put":
                places = [self._place(item) for item in expr.args[1:-1]]
                new = as_array(self.value(expr.args[-1]), self.shape)
                changed = put(as_array(value, self.shape), places, new)
                return from_array(changed, value.cells)
            case "stored":
                codec = str(self.value(expr.args[1]).data)
                options = {name: int(self.size(option)) for name, option in expr.options}
                return Value(value.cells, read_back(value.data, "float32", codec, options))
            case "is_diagonal":
                return Value(TENSOR, number(value.cells.kind == "diagonal"))
            case op:
                raise AssertionError(f"{op} is not an operation")

    # ------------------------------------------------------------ reductions

    def operands(self, expr: Apply) -> list[Value]:
        """What a reduction reduces: its arguments at one level, that of the finest."""
        values = [self.value(arg) for arg in expr.args]
        cells = values[0].cells
        for value in values[1:]:
            cells = join(cells, value.cells)
        return [carry(value, cells, self.shape) for value in values]

    def options(self, expr: Apply) -> dict[str, bool]:
        return {name: self.holds(value) for name, value in expr.options}

    def _reduction(self, expr: Apply) -> Value:
        assert expr.per is not None
        values, options = self.operands(expr), self.options(expr)
        per = self.cells(expr.per)
        if per.kind in ACROSS:
            if expr not in self.totals:
                raise Waiting(expr)
            return self.totals[expr]
        if per.is_coarse:
            columns = [value.data.reshape(-1) for value in values]
            return Value(per, number(reduce(expr.op, columns, **options)))
        if values[0].cells.is_shaped and per.kind in ("rows", "cols"):
            lines = [as_array(value, self.shape) for value in values]
            if per.kind == "cols":
                lines = [line.T for line in lines]
            found = [reduce(expr.op, line, **options) for line in zip(*lines, strict=True)]
            return Value(self.cells(expr.level), np.array(found))
        if values[0].cells.is_shaped:
            values = [carry(value, ELEMENT, self.shape) for value in values]
        found = [
            reduce(expr.op, [value.data[inside] for value in values], **options)
            for inside in cells_inside(per, values[0].cells, self.shape)
        ]
        return Value(per, np.array(found))
