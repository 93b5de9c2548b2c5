"""Any stage of the compiler as text: what `inspect` prints and what tests compare.

when t % k == 0:
  path 1                       plan 1: 1 sweep, 28 B per parameter
    m = 0.9*m + 0.1*grad         sweep_1   load param grad m v   store param m v
"""

from __future__ import annotations

from ..dsl.levels import Level
from ..dsl.model import Apply, Const, Expr, Read
from .ir import ORDER, REDUCTIONS, Decide, Node, Program, Refuse, Tree, ordered
from .plan import Finish, MatrixStep, Plan, Sweep
from .schedule import traffic

_INFIX = {
    "add": (" + ", 1), "sub": (" - ", 1), "mul": ("*", 2), "div": ("/", 2), "mod": (" % ", 2),
    "pow": ("^", 4), "eq": (" == ", 0), "ne": (" != ", 0), "lt": (" < ", 0), "le": (" <= ", 0),
    "gt": (" > ", 0), "ge": (" >= ", 0), "and": (" and ", -1), "or": (" or ", -1),
    "matmul": (" @ ", 2),
}  # fmt: skip


def show(stage: object) -> str:
    """A tree of programs, a program, or plans, as text."""
    match stage:
        case Decide() | Program() | Refuse():
            return "\n".join(_tree(stage, 0, [0]))
        case Plan():
            return "\n".join(_plan(stage))
        case tuple() | list():
            return "\n\n".join(show(part) for part in stage)  # type: ignore[reportUnknownVariableType]
        case _:
            return str(stage)


def show_level(level: Level) -> str:
    """`rows`, `heads(num_heads)`."""
    inner = ", ".join(show_host(arg) for arg in level.args)
    return f"{level.kind}({inner})" if inner else level.kind


def show_host(expr: Expr) -> str:
    """A host expression in the language's syntax."""
    return _host(expr)[0]


def _host(expr: Expr) -> tuple[str, int]:
    match expr:
        case Const(value=value):
            return (f"{value:g}" if isinstance(value, float) else str(value)), 9
        case Read():
            return expr.name, 9
        case Apply(op="neg", args=(a,)):
            return "-" + _wrapped(*_host(a), 3), 3
        case Apply(op="select", args=(c, a, b)):
            return f"{_host(a)[0]} if {_host(c)[0]} else {_host(b)[0]}", -2
        case Apply(op=op, args=(a, b)) if op in _INFIX:
            return _binary(op, _host(a), _host(b))
        case Apply():
            return f"{expr.op}({', '.join(_host(a)[0] for a in expr.args)})", 9


def _binary(op: str, a: tuple[str, int], b: tuple[str, int]) -> tuple[str, int]:
    sign, level = _INFIX[op]
    tight = level + 1 if op in ("sub", "div", "mod") else level
    left = _wrapped(*a, level + 1 if op == "pow" else level)
    return f"{left}{sign}{_wrapped(*b, tight)}", level


def _wrapped(text: str, level: int, least: int) -> str:
    return text if level >= least else f"({text})"


def _tree(tree: Tree, depth: int, count: list[int]) -> list[str]:
    pad = "  " * depth
    match tree:
        case Decide():
            return [
                f"{pad}when {show_host(tree.condition)}:",
                *_tree(tree.then, depth + 1, count),
                f"{pad}otherwise:",
                *_tree(tree.otherwise, depth + 1, count),
            ]
        case Refuse():
            return [f"{pad}refuse: {tree.message}"]
        case Program():
            count[0] += 1
            return [f"{pad}path {count[0] - 1}", *(f"{pad}  {line}" for line in _program(tree))]


def _program(program: Program) -> list[str]:
    lines = [f"host {name} = {show_host(value)}" for name, value in program.lets]
    lines += _values([(s.stream.name, s.value) for s in program.stores], "store ")
    lines += [f"add {_node(node, {})[0]}" for node in program.adds]
    lines += [f"host store {name} = {show_host(value)}" for name, value in program.host_stores]
    if not program.counts:
        lines.append("skip")
    return lines


def _values(roots: list[tuple[str, Node]], verb: str) -> list[str]:
    """Labelled and shared values as assignments, then the roots."""
    uses: dict[Node, int] = {}
    for node in ordered(n for _, n in roots):
        for arg in node.args:
            uses[arg] = uses.get(arg, 0) + 1
    names: dict[Node, str] = {}
    lines: list[str] = []
    for node in ordered(n for _, n in roots):
        if node.args and (node.label or uses.get(node, 0) > 1):
            base = node.label.rpartition(".")[2] or "x"
            name, number = base, 1
            while name in names.values():
                number += 1
                name = f"{base}_{number}"
            lines.append(f"{name} = {_node(node, names)[0]}  [{show_level(node.level)}]")
            names[node] = name
    return lines + [f"{verb}{name} = {_node(node, names)[0]}" for name, node in roots]


def _node(node: Node, names: dict[Node, str]) -> tuple[str, int]:
    if node in names:
        return names[node], 9
    match node.op, node.args:
        case "load", _:
            return f"old.{node.attr}", 9
        case "fresh", _:
            return f"new.{node.attr}", 9
        case "value", _:
            return getattr(node.attr, "name", "?"), 9
        case "operand", _:
            return _host(node.attr)  # type: ignore[arg-type]
        case "const", _:
            return f"{node.attr:g}", 9
        case "neg", (a,):
            return "-" + _wrapped(*_node(a, names), 3), 3
        case op, (a, b) if op in _INFIX:
            return _binary(op, _node(a, names), _node(b, names))
        case op, args if op in REDUCTIONS | ORDER:
            inner = ", ".join(_node(a, names)[0] for a in args)
            return f"{op}({inner}, per {show_level(node.level)})", 9
        case op, args:
            inner = ", ".join(_node(a, names)[0] for a in args)
            return f"{op}({inner}{f', {node.attr}' if node.attr else ''})", 9


def _plan(plan: Plan) -> list[str]:
    total = sum(map(traffic, plan.sweeps))
    decisions = " and ".join(
        show_host(c) if taken else f"not ({show_host(c)})" for c, taken in plan.program.decisions
    )
    when = f" when {decisions}" if decisions else ""
    counts = f"{_count(len(plan.sweeps), 'pass', 'es')}, {_count(len(plan.steps), 'step', 's')}"
    lines = [f"{plan.program.name}{when}: {counts}, {total:g} B per parameter"]
    for name, expr in plan.scalars:
        lines.append(f"  host {name} = {show_host(expr)}")
    for step in plan.steps:
        lines += [f"  {line}" for line in show_step(step)]
    return lines


def _count(number: int, word: str, plural: str) -> str:
    return f"{number} {word}{'' if number == 1 else plural}"


def show_step(step: Sweep | Finish | MatrixStep) -> list[str]:
    loads = " ".join(s.name for s in step.loads)
    stores = " ".join(s.stream.name for s in step.stores)
    match step:
        case Sweep():
            over = f" over {show_level(step.cell)}" if step.cell else ""
            lines = [f"{step.name}{over}: load {loads}; store {stores}; {traffic(step):g} B"]
            roots = [(p.slot.name, p.value) for p in step.partials]
            body = _values([(s.stream.name, s.value) for s in step.stores], "store ")
            sums = [f"{p.kind} per {show_level(p.slot.level)} {p.slot.name}" for p in step.partials]
            sums += [f"in C: {b.total.op} by bands of rows {b.stream.name}" for b in step.begins]
            sums += [f"in C: resumes {b.stream.name}" for b in step.resumes]
            if roots:
                body = _values([(s.stream.name, s.value) for s in step.stores] + roots, "")
            return lines + [f"  {line}" for line in (*body, *sums)]
        case Finish():
            lines = [f"{step.name} per {show_level(step.level)}"]
            lines += [f"  {slot.name} = {kind} of partials" for slot, kind in step.completes]
            lines += [f"  {slot.name} = {kind} of {of.name}" for slot, kind, of in step.gathers]
            values = [(slot.name, node) for slot, node in step.values]
            values += [(s.stream.name, s.value) for s in step.stores]
            return lines + [f"  {line}" for line in _values(values, "")]
        case MatrixStep():
            body = _values([(s.stream.name, s.value) for s in step.stores], "store ")
            head = f"{step.name}: load {loads}; store {stores}; through torch, not counted"
            return [head, *(f"  {line}" for line in body)]
