"""What a Triton kernel does, apart from what things in it are called: 12 hexadecimal digits.

    fingerprint(kernel of AdamW) == fingerprint(kernel of AdamW8bit for small tensors)

Names of variables and functions, comments and docstrings make no machine code; tables' columns do.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from .emit.syntaxes import TRITON_PLACES
from .emit.triton_frame import CONSTANTS, TABLES, KernelText

_RUNTIME = Path(__file__).parents[1] / "runtime"


@cache
def fingerprint(kernel: KernelText) -> str:
    """Equal for two kernels exactly if they differ in names and remarks at most."""
    tree = ast.parse(kernel.text)
    bound = _bound(tree) - {*TABLES, *CONSTANTS}
    text = ast.unparse(_Anonymous(bound).visit(tree)) + f"\nblock {kernel.block}"
    text += "".join(_taken(kernel.functions))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _taken(names: Iterable[str]) -> list[str]:
    """The text of each function of the runtime that is called, there too."""
    known, found, wanted = _functions(), dict[str, str](), sorted(names)
    while wanted:
        name = wanted.pop()
        if name in known and name not in found:
            found[name] = known[name]
            wanted += re.findall(r"\w+", known[name])
    return [found[name] for name in sorted(found)]


@cache
def _functions() -> dict[str, str]:
    trees = [
        ast.parse((_RUNTIME / f"{place}.py").read_text(encoding="utf-8")) for place in TRITON_PLACES
    ]
    nodes = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.unparse(_Anonymous(set()).visit(node)) for node in nodes}


def _bound(tree: ast.AST) -> set[str]:
    """The names that a text gives."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.arg(arg=name) | ast.Name(name, ast.Store()):
                found.add(name)
            case _:
                pass
    return found


class _Anonymous(ast.NodeTransformer):
    """Calls what is `bound` x0, x1, ... in the order in which it occurs; removes docstrings."""

    def __init__(self, bound: set[str]) -> None:
        self.bound = bound
        self.known: dict[str, str] = {}

    def name(self, name: str) -> str:
        return self.known.setdefault(name, f"x{len(self.known)}") if name in self.bound else name

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.name(node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        self.generic_visit(node)
        return ast.arg(self.name(node.arg), node.annotation)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.name = self.name(node.name)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        self.generic_visit(node)
        return node
