"""One entry of the gallery as Markdown: what a spec says, and what its plan costs."""

from __future__ import annotations

from ..compiler.pipeline import plan as plan_of
from ..dsl.describe import default
from ..dsl.latex import equations
from ..dsl.library import Entry
from ..dsl.load import load
from ..dsl.model import Hyper
from .declarations import text_of
from .explain import Cost, cost


def page(entry: Entry) -> str:
    """A heading, and all about the optimizer or modifier under it."""
    lines = [f"## {entry.name}", "", entry.doc, "", f"*{entry.paper}*", ""]
    if entry.kind == "optimizer":
        lines += _optimizer(entry)
    else:
        lines += ["```opt", text_of(entry).rstrip(), "```", ""]
    return "\n".join(lines)


def _optimizer(entry: Entry) -> list[str]:
    model = load(entry.name)
    lines = ["```math", r"\begin{aligned}"]
    lines += [row + r" \\" for row in equations(model)]
    lines += [r"\end{aligned}", "```", ""]
    lines += ["| hyper | default | in |", "|---|---|---|"]
    lines += [f"| `{h.name}` | `{default(h)}` | {_bounds(h)} |" for h in model.hypers]
    lines += ["", "| path | passes | bytes a parameter | state bytes | ", "|---|---|---|---|"]
    _, plans = plan_of(model)
    lines += [_row(cost(plan, "float32", 0.0)) for plan in plans]
    lines += ["", f"![{entry.name} on two test functions]({entry.name}.png)", ""]
    return lines


def _row(c: Cost) -> str:
    when = c.when.replace("|", r"\|")
    passes = f"{len(c.passes)}" + (f" and {c.matrix_steps} matrix step" if c.matrix_steps else "")
    return (
        f"| {when} | {passes} | {c.bytes_per_parameter:.4g} | {c.state_bytes_per_parameter:.4g} |"
    )


def _bounds(hyper: Hyper) -> str:
    if hyper.choices:
        return ", ".join(f"`{choice}`" for choice in hyper.choices)
    return "true, false" if hyper.bounds is None else str(hyper.bounds)
