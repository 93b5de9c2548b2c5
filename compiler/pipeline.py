"""The compiler from end to end. This file fixes the order and nothing else.

    model -> decision tree of programs -> (passes) -> a plan per path -> text of a Python module

Every pass maps a program to a program and lives in passes/<its name>.py. `watch` is told the name
of each stage and what it made; no pass prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..dsl.model import Model
from .emit.module import module
from .ir import Program, Tree, map_leaves
from .lower import lower
from .passes.hoist import hoist
from .passes.norms import norms
from .passes.simplify import simplify
from .passes.store import store
from .passes.sums import sums
from .plan import Plan
from .schedule import schedule_all
from .verify import verify_plan, verify_program

Watch = Callable[[str, object], None]
Pass = Callable[[Program], Program]

PASSES: tuple[Pass, ...] = (
    simplify,  # identities first, while terms still look as the author wrote them
    sums,  # what need not be walked for, then
    norms,  # before factors move: sums whose terms wait for another sum, taken apart
    store,  # codecs and rounding become arithmetic, so that it too is shared and hoisted
    hoist,  # last: what touches no tensor moves to the host, products are regrouped
)


@dataclass(frozen=True, slots=True)
class Build:
    """What compiling one model made."""

    model: Model
    tree: Tree
    plans: tuple[Plan, ...]
    module: str


def silent(stage: str, made: object) -> None:
    """The watch that looks away."""


def plan(model: Model, watch: Watch = silent) -> tuple[Tree, tuple[Plan, ...]]:
    """From a model to a plan for each of its paths."""
    tree = verify_program(lower(model))
    watch("lower", tree)
    for run in PASSES:
        tree = verify_program(map_leaves(tree, run))
        watch(run.__name__, tree)
    plans = tuple(verify_plan(plan) for plan in schedule_all(tree))
    watch("plan", plans)
    return tree, plans


def build(model: Model, watch: Watch = silent) -> Build:
    """From a model to the text of its module."""
    tree, plans = plan(model, watch)
    text = module(model, tree, plans)
    watch("module", text)
    return Build(model, tree, plans, text)
