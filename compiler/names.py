"""What the names of a step stand for at one point of it, as far as the host knows them.

    beta = lerp(beta1, 1, t / 100)      a host local: an expression, named in the generated code
    when t > 10: scale = 2              no path of its own: scale = select(t > 10, 2, ...)
    per hessian_blocks                  a partition: the level that this path's decisions choose

Host values stay expressions over hypers, facts and host states. Device values are `trace`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..dsl.diagnostics import Diagnostic, SpecError
from ..dsl.levels import ELEMENT, Level
from ..dsl.model import Apply, Assign, Const, Expr, Model, Read, Repeat, When, walk
from .decisions import Decisions, Refused
from .hosts import apply, substitute
from .ir import Node


@dataclass(slots=True)
class Names:
    """The model that this path follows, and the present values of its names."""

    model: Model
    decisions: Decisions
    hypers: dict[str, Expr] = field(default_factory=dict[str, Expr])
    locals: dict[str, Node | Expr] = field(default_factory=dict[str, Node | Expr])
    host_stores: dict[str, Expr] = field(default_factory=dict[str, Expr])
    _old_read: set[str] = field(default_factory=set[str])  # host states whose old value is in use

    def is_host(self, expr: Expr) -> bool:
        """Whether `generated.host` can compute a value: it sees one tensor at a time, so a sum over
        all of them is made on the device even if what it adds up is on the host."""
        return expr.host and self._on_device(expr) is None

    def host(self, expr: Expr) -> Expr:
        """A host expression with the present values of its names. Raises SpecError for a sum over
        tensors where only the host can have it."""
        part = self._on_device(expr)
        if part is not None:
            raise SpecError(
                Diagnostic(
                    "E511",
                    "a sum over several tensors is understood here, not compiled yet",
                    part.span,
                    "conditions, shapes and host states see one tensor at a time",
                )
            )
        return substitute(expr, self._present)

    def _on_device(self, expr: Expr) -> Expr | None:
        """The part of a host expression that the device computes."""
        for part in walk(expr):
            match part:
                case Apply(per=Level()):
                    return part
                case Read(kind="local", name=name) if isinstance(self.locals.get(name), Node):
                    return part
                case _:
                    pass
        return None

    def decide(self, condition: Expr) -> bool:
        """The outcome of a condition with the present values of its names."""
        return self.decisions.decide(self.host(condition))

    def _present(self, read: Read) -> Expr | None:
        match read.kind:
            case "hyper":
                return self.hypers.get(read.name)
            case "local":
                found = self.locals.get(read.name)
                if isinstance(found, Node):
                    raise AssertionError(f"{read.name} is on the device")
                return found
            case "state":
                if read.name not in self.host_stores:
                    self._old_read.add(read.name)
                return self.host_stores.get(read.name, read)
            case _:
                return None

    def level(self, level: Level) -> Level:
        """A level with its partition chosen and its arguments in host terms. matrix(rows, cols) is
        the parameter's own shape: an element level like any other."""
        if level.kind == "partition":
            partition = next(p for p in self.model.partitions if p.name == level.name)
            return self.level(self.first_of(partition.rules))
        facts = [arg.name for arg in level.args if isinstance(arg, Read) and arg.kind == "fact"]
        if level.kind == "matrix" and facts == ["rows", "cols"]:
            return ELEMENT
        return replace(level, args=tuple(self._spelled_out(arg) for arg in level.args))

    def _spelled_out(self, size: Expr) -> Expr:
        """A size in terms of hypers and facts: written in two ways, it is the same level."""
        lets = dict(self.decisions.lets)

        def definition(read: Read) -> Expr | None:
            known = lets.get(read.name) if read.kind == "local" else None
            return None if known is None else substitute(known, definition)

        return substitute(self.host(size), definition)

    def first_of(self, rules: tuple[tuple[Expr | None, Level], ...]) -> Level:
        """The level of the first rule whose condition holds."""
        for condition, level in rules:
            if condition is None or self.decide(condition):
                return level
        raise AssertionError("the last rule has no condition")

    def follow_route(self) -> None:
        """Go on with the model of the first branch whose condition holds, down to a rule."""
        while self.model.route:
            for branch in self.model.route:
                if branch.condition is None or self.decide(branch.condition):
                    bindings = {name: self.host(value) for name, value in branch.bindings}
                    self.hypers = {**self.hypers, **bindings}
                    outer, inner = self.model, branch.model
                    if not inner.roles:
                        inner = replace(inner, roles=outer.roles)
                    self.model = replace(
                        inner,
                        storage=(*inner.storage, *outer.storage),
                        hypers=(*outer.hypers, *inner.hypers),  # the outer default wins
                    )
                    break
            else:
                raise Refused(f"no line of {self.model.name}'s route takes this tensor")

    # ------------------------------------------------------------ host locals and states

    def keep(self, name: str, value: Expr) -> None:
        """Assign a host state. Its name goes on to the new value, unless the old one is in use."""
        in_use = frozenset({name}) & self._old_read
        self.host_stores[name] = self.let(name, self.host(value), in_use)

    def let(self, name: str, value: Expr, taken: frozenset[str] = frozenset()) -> Expr:
        """A host local keeps its name in the generated code, numbered when assigned again."""
        if isinstance(value, Const | Read):
            return value
        lets = self.decisions.lets
        taken = taken | {known for known, _ in lets} | (self._reserved() - {name})
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        lets.append((unique, value))
        return Read("local", unique, level=value.level, host=True, span=value.span)

    def _reserved(self) -> set[str]:
        """Names that the generated code has already for hypers and states."""
        hypers = {item for hyper in self.model.hypers for item in (hyper.name, *hyper.items)}
        return hypers | {state.name for state in self.model.states}

    def merge_branches(self, stmt: When) -> bool:
        """A `when` that only assigns host locals becomes a conditional expression, not a path."""
        if not all(
            isinstance(s, Assign) and s.kind == "local" and self.is_host(s.value)
            for s in (*stmt.then, *stmt.otherwise)
        ):
            return False
        before = dict(self.locals)
        outcomes: list[dict[str, Node | Expr]] = []
        for body in (stmt.then, stmt.otherwise):
            self.locals = dict(before)
            for s in body:
                assert isinstance(s, Assign)
                self.locals[s.name] = self.host(s.value)
            outcomes.append(self.locals)
        self.locals = before
        then, otherwise = outcomes
        changed = [n for n in then | otherwise if then.get(n) is not otherwise.get(n)]
        if not all(n in then and n in otherwise for n in changed):
            return False
        condition = self.host(stmt.condition)
        for name in changed:
            a, b = then[name], otherwise[name]
            if isinstance(a, Node) or isinstance(b, Node):
                return False
            self.locals[name] = self.let(name, apply("select", condition, a, b))
        return True

    # ------------------------------------------------------------ counts

    def count(self, stmt: Repeat) -> int:
        """How often a `repeat` runs: a constant, or a hyper compiled in at its default."""
        count = self.host(stmt.count)
        if isinstance(count, Read) and count.kind == "hyper":
            hyper = next((h for h in self.model.hypers if h.name == count.name), None)
            if hyper is not None and isinstance(hyper.default, Const):
                if not self.decisions.decide(apply("eq", count, hyper.default)):
                    raise Refused(
                        f"{hyper.name} is compiled in as {hyper.default.value}: for another value "
                        f"compile it anew, with `({hyper.name} = ...)` behind its name"
                    )
                count = hyper.default
        if isinstance(count, Const) and not isinstance(count.value, str):
            return int(count.value)
        raise SpecError(
            Diagnostic(
                "E512",
                "`repeat` is compiled for a count that is a number or a hyper",
                stmt.span,
                "write the count as an integer hyper",
            )
        )
