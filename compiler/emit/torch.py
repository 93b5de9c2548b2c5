"""The torch target: a step as a function on tensors. It is the form to read, runs on any device,
and is a second opinion in tests.

    def adamw_torch(param: Tensor, grad: Tensor, m: Tensor, v: Tensor, lr: float, ...):
        m = beta1 * m + one_minus_beta1 * grad  # adamw.opt:18
        ...
        return param, m, v

Arguments: the loads, then scalars, values, totals, sizes, last `dtype` (the parameter's) if the
function rounds to it. A sweep returns its stores, then its partials; a finish its values, then its
stores. Shapes: elements (rows, cols), rows (rows, 1), cols (1, cols), other cells one-dimensional,
which `spread` and `reduce` of runtime/forms.py carry to elements and back; per tensor 0-d. A matrix
step takes stacks (batch, rows, cols) and scalars (batch, 1, 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...dsl.levels import ELEMENT, Level
from ...dsl.model import Const
from ..ir import ORDER, REDUCTIONS, Node
from ..plan import Finish, MatrixStep, Plan, PlanStep, Sweep
from .body import Body, Line, straight_body
from .expressions import expression
from .layout import WIDTH, assignment, call, lines
from .names import identifier
from .render import render
from .spelled import spelled_out
from .spelling import commented, fitted, spell
from .torch_syntax import TORCH

_COMPACT = frozenset({"heads", "chunks", "tiles"})
_REDUCE = {"sum": "sum", "max": "amax", "min": "amin"}
_FUNCTIONS = (
    "affine_product_of",
    "affine_quotient_of",
    "affine_root_of",
    "argmax",
    "argmin",
    "binade_of",
    "byte_of",
    "half_ulp_of",
    "quantile",
    "reduce",
    "round_stochastic",
    "spread",
)


@dataclass(frozen=True, slots=True)
class TorchFunction:
    """One function as text. `scalars`, `values`, `totals`, `sizes`: the columns it is called with
    after its loads, in order; `functions`: what it takes from runtime/forms.py."""

    name: str
    text: str
    scalars: tuple[int, ...]
    values: tuple[int, ...]
    totals: tuple[int, ...]
    sizes: tuple[int, ...]
    functions: tuple[str, ...]
    dtype: bool


def torch_function(plan: Plan, step: PlanStep, name: str, doc: str = "") -> TorchFunction:
    """The torch form of one step."""
    plain = spelled_out(plan, step)
    return _Writer(plan, plain, straight_body(plan, plain, TORCH)).function(name, doc or _doc(step))


@dataclass(slots=True)
class _Writer:
    plan: Plan
    step: PlanStep
    body: Body
    among_elements: dict[Node, str] = field(default_factory=dict[Node, str])

    def __post_init__(self) -> None:
        self.among_elements = {
            node: self._spread(node.level, name) if node.level.kind in _COMPACT else name
            for node, name in self.body.names.items()
        }

    def function(self, name: str, doc: str) -> TorchFunction:
        code = [line for part in self.body.prologue for line in self._line(part)]
        code += self._returned()
        text = "\n".join(code)
        scalars = sorted(self._column(n) for n in self.body.operands)
        values = sorted(self.plan.values.index(n.attr) for n in self._slots(total=False))  # type: ignore[arg-type]
        totals = sorted(self.plan.totals.index(n.attr) for n in self._slots(total=True))  # type: ignore[arg-type]
        sizes = [k for k in range(len(self.plan.sizes)) if f"size_{k}" in text]
        dtype = "dtype)" in text.replace("dtype=torch.float64)", "")
        number = "Tensor" if isinstance(self.step, MatrixStep) else "float"
        named = {self._column(n): self.body.names[n] for n in self.body.operands}
        parameters = [f"{loaded}: Tensor" for loaded in self._loads()]
        parameters += [f"{named[column]}: {number}" for column in scalars]
        parameters += [f"{n}: Tensor" for n in self._slot_names()]
        parameters += [f"size_{k}: int" for k in sizes]
        parameters += ["dtype: torch.dtype"] if dtype else []
        parameters += ["like: Tensor"] if re.search(r"\blike\b(?!=)", text) else []
        head = call(f"def {name}", parameters, ") -> tuple[Tensor, ...]")
        made = render("torch_function", signature=lines(head, tail=":"), doc=doc, lines=code)
        functions = tuple(f for f in _FUNCTIONS if re.search(rf"\b{f}\(", text))
        return TorchFunction(
            name, made.rstrip("\n"), tuple(scalars), tuple(values), tuple(totals), tuple(sizes),
            functions, dtype,
        )  # fmt: skip

    # ------------------------------------------------------------ arguments

    def _column(self, operand: Node) -> int:
        return next(k for k, (_, expr) in enumerate(self.plan.scalars) if expr == operand.attr)

    def _slots(self, total: bool) -> list[Node]:
        return [n for n in self.body.values if (n.attr in self.plan.totals) == total]

    def _slot_names(self) -> list[str]:
        per_tensor = {self.plan.values.index(n.attr): n for n in self._slots(total=False)}  # type: ignore[arg-type]
        in_all = {self.plan.totals.index(n.attr): n for n in self._slots(total=True)}  # type: ignore[arg-type]
        ordered = [per_tensor[k] for k in sorted(per_tensor)] + [in_all[k] for k in sorted(in_all)]
        return [self.body.names[n] for n in ordered]

    def _loads(self) -> list[str]:
        """Names for the loads, in the step's order."""
        known = {n.attr: self.body.names[n] for n in self.body.names if n.op in ("load", "fresh")}
        return [known.get(s.name, identifier(s.name)) for s in self.step.loads]

    @property
    def _like(self) -> str:
        """An argument with one value per element."""
        for stream, name in zip(self.step.loads, self._loads(), strict=True):
            if stream.level == ELEMENT:
                return name
        return "like"

    # ------------------------------------------------------------ lines

    def _line(self, line: Line) -> list[str]:
        if line.node.op in REDUCTIONS:
            text = f"{line.name} = {self._reduced(line.node)}"
            return commented(fitted(text), line.where)
        if line.node.op in ORDER:
            text = f"{line.name} = {self._ordered(line.node)}"
            return commented(fitted(text), line.where)
        return commented(
            spell(line.name, line.node, self._names(line.node.level), TORCH), line.where
        )

    def _names(self, level: Level) -> Mapping[Node, str]:
        """What values are called where one of `level` is computed."""
        return self.body.names if level.kind in _COMPACT else self.among_elements

    def _reduced(self, node: Node) -> str:
        """A reduction inside the step."""
        value = self._tensor(node.args[0])
        function = _REDUCE[node.op]
        in_stack = isinstance(self.step, MatrixStep)
        match node.level.kind:
            case kind if in_stack and kind not in _COMPACT:
                dims = {"rows": "-1", "cols": "-2"}.get(kind, "(-2, -1)")
                return f"torch.{function}({value}, dim={dims}, keepdim=True)"
            case "rows":
                return f"torch.{function}({value}, dim=1, keepdim=True)"
            case "cols":
                return f"torch.{function}({value}, dim=0, keepdim=True)"
            case _:
                return f'reduce({value}, "{function}", {self._level(node.level)})'

    def _ordered(self, node: Node) -> str:
        """An order statistic in a matrix step, of all elements even where they are equal."""
        x, *fraction = node.args
        args = [self._tensor(x), *(expression(q, self.body.names, TORCH) for q in fraction)]
        return f'{node.op}({", ".join(args)}, "{node.level.kind}")'

    def _tensor(self, node: Node) -> str:
        """A value as a tensor with all its elements, for a reduction."""
        inner = node
        while inner.op == "spread":
            inner = inner.args[0]
        text = expression(node, self._names(node.level), TORCH)
        if inner.is_host:
            return f"torch.full_like({self._one_each(node.level)}, {text})"
        if inner.level != node.level and not node.level.is_shaped:
            return f"{text}.expand_as({self._one_each(node.level)})"
        return text

    def _one_each(self, level: Level) -> str:
        """A tensor with one value for each cell of a level."""
        match level.kind:
            case "rows":
                return f"{self._like}[..., :1]"
            case "cols":
                return f"{self._like}[..., :1, :]"
            case kind if kind in _COMPACT:
                return f'reduce({self._like}, "amax", {self._level(level)})'
            case _:
                return self._like

    def _returned(self) -> list[str]:
        parts = list(self._results())
        if not parts:
            return ["return ()"]
        before: list[str] = []
        short: list[str] = []
        for name, part in parts:
            long = len(part) > WIDTH // 2
            before += [line[4:] for line in assignment(name, part, 4)] if long else []
            short.append(name if long else part)
        flat = f"return {', '.join(short)}" if len(short) > 1 else f"return ({short[0]},)"
        if len(flat) + 4 <= WIDTH:
            return [*before, flat]
        return [*before, "return (", *(f"    {part}," for part in short), ")"]

    def _results(self) -> Iterator[tuple[str, str]]:
        """What is returned: a name to use where the expression is long, and the expression."""
        if isinstance(self.step, Finish):
            for slot, node in self.step.values:
                yield f"{slot.name}_value", self._value(node, slot.level)
        for store in self.step.stores:
            yield (
                f"{identifier(store.stream.name)}_stored",
                self._value(store.value, store.stream.level),
            )
        if isinstance(self.step, Sweep):
            for partial in self.step.partials:
                value = self._tensor(partial.value)
                kind = _REDUCE[partial.kind]
                exact = ", dtype=torch.float64" if kind == "sum" else ""
                yield f"{partial.slot.name}_total", f"torch.{kind}({value}{exact})"

    def _value(self, node: Node, level: Level) -> str:
        inner = node
        while inner.op == "spread":
            inner = inner.args[0]
        text = expression(node, self._names(level), TORCH)
        if inner.is_host and not isinstance(self.step, MatrixStep):
            return f"torch.tensor({text}, dtype=torch.float64)"
        return text

    # ------------------------------------------------------------ levels

    def _spread(self, level: Level, name: str) -> str:
        return f"spread({name}, {self._level(level)}, like={self._like})"

    def _level(self, level: Level) -> str:
        """`"chunks", 256`"""
        sizes = [
            str(arg.value) if isinstance(arg, Const) else f"size_{self.plan.sizes.index(arg)}"
            for arg in level.args
        ]
        return ", ".join([f'"{level.kind}"', *sizes])


def _doc(step: PlanStep) -> str:
    match step:
        case Sweep(cell=cell):
            return f"The pass over {cell.kind if cell else 'elements'} in torch."
        case Finish(level=level):
            return f"What is computed per {level.kind} after a pass."
        case MatrixStep():
            return "Matrix products on stacks of equal shape."
