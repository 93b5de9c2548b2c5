"""`stepc roles`: which parameter of a model gets which role, before a long training finds out.

$ stepc roles my_package.models:make_model
role       parameter               shape        by the rule
embedding  transformer.wte.weight  50257 x 768  name ~ "embed|embeds|..."
"""

from __future__ import annotations

import argparse
import json
from math import prod

from ..dsl.describe import expression
from ..dsl.roles import RoleRules, role_of, role_rules
from .parameters import parameters_of
from .terminal import table

EXAMPLES = """examples:
  stepc roles my_package.models:make_model   a module and what to call in it (or a torch Module)
  stepc roles model.safetensors              the names in a checkpoint
  stepc roles weights.pt --summary           one line a role
  stepc roles names.txt --rules my.opt       lines `name rows cols`; your own `roles:`
  stepc roles names.txt --json               for a program"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODULE:NAME|CHECKPOINT|TEXT")
    parser.add_argument("--rules", metavar="FILE", help="a spec with `roles:` (lib/roles.opt)")
    parser.add_argument("--summary", action="store_true", help="one line for each role")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    rules = role_rules(options.rules) if options.rules else role_rules()
    found = [Found(rules, name, shape) for name, shape in parameters_of(options.model).items()]
    if options.json:
        print(json.dumps([one.record() for one in found], indent=2))
    elif options.summary:
        print(summary(found))
    else:
        rows = [(one.role or "-", one.name, shown(one.shape), one.rule) for one in found]
        print(table(("role", "parameter", "shape", "by the rule"), rows))
    return 0


class Found:
    """A parameter, its role, and the rule that gave it."""

    def __init__(self, rules: RoleRules, name: str, shape: tuple[int, ...]):
        self.name, self.shape = name, shape
        self.role, test = role_of(rules, name, shape)
        self.rule = "else" if test is None else expression(test)

    def record(self) -> dict[str, object]:
        return {"name": self.name, "shape": self.shape, "role": self.role, "rule": self.rule}


def summary(found: list[Found]) -> str:
    """How many parameters, and how many numbers, each role has."""
    rows: list[tuple[str, str, str, str]] = []
    for role in dict.fromkeys(one.role for one in found):
        mine = [one for one in found if one.role == role]
        numbers = sum(prod(one.shape) for one in mine)
        rows.append((role or "-", str(len(mine)), str(numbers), mine[0].name))
    return table(("role", "parameters", "numbers", "the first"), rows)


def shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
