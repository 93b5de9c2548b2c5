"""Every mistake that LANGUAGE.md lists has its message: a code, line and caret, advice.

The exact words are in tests/cases/errors; here is the list, rule by rule, as somebody would make
the mistake.
"""

from __future__ import annotations

import re

import pytest
from language import rule

import stepc
from stepc.dsl.diagnostics import Diagnostic
from stepc.dsl.load import load

DEF = "def f(x):\n    return f(x)\n"
MODIFIER = "modifier Scaled:\n    direction:\n        direction = 2 * direction\n"
NEEDING = "modifier Needing:\n    needs v\n    direction:\n        direction /= v\n"
WITH = "\noptimizer Added extends Tried + {}\n"

# what is wrong: (code, spec, a word of the message or the advice)
MISTAKES: dict[str, tuple[str, str, str]] = {
    "an unknown name": ("E201", rule("direction = grda"), "`grad`"),
    "an unknown function": ("E202", rule("direction = sqtr(grad)"), "`sqrt`"),
    "a keyword as a name": ("E106", rule("like = grad\ndirection = like"), "keyword"),
    "a fact as a name": ("E205", rule("direction = grad", "state t: like param"), "`t`"),
    "data in `when`": ("E304", rule("when norm(grad) > 1:\n    direction = grad"), "where"),
    "data in a ternary": ("E304", rule("direction = grad if mean(grad) > 0 else 0"), "where"),
    "a reduction of what is not finer": ("E302", rule("direction = sum(norm(grad))"), "finer"),
    "a finer value in a state": (
        "E303", rule("v = grad\ndirection = v", "state v: per rows"), "per rows"),
    "a state never used": ("E215", rule("direction = grad", "state v: like param"), "`v`"),
    "a hyper never used": ("E214", rule("direction = grad", "hyper b = 1.0"), "`b`"),
    "a direction section without direction": (
        "E403", MODIFIER + rule("param -= grad") + WITH.format("Scaled"), "direction"),
    "needs not met": ("E404", NEEDING + rule("direction = grad") + WITH.format("Needing"), "`v`"),
    "a rule list without else": (
        "E405", rule("direction = grad", "lr *=\n    t < 3 -> 1"), "else"),
    "a rule list with two": (
        "E405", rule("direction = grad", "lr *=\n    else -> 1\n    else -> 2"), "else"),
    "replace of nothing": (
        "E406", rule("direction = grad")
        + "\noptimizer B extends Tried:\n    replace v = grad\n", "`v`"),
    "replace of many": (
        "E406", rule("x = grad\nx = 2 * x\ndirection = x")
        + "\noptimizer B extends Tried:\n    replace x = grad\n", "`x`"),
    "skip under data": ("E305", rule("when norm(grad) > 1:\n    skip\ndirection = grad"), "data"),
    "a worker's own value": (
        "E413", rule("direction = grad", "gradients local"), "all_reduce"),
    "views that are not inverses": (
        "E414", rule("direction = grad", "", "view eval = 2 * param\nview train = param / 3"),
        "undo"),
    "quantize of an unknown state": (
        "E409", rule("m += grad\ndirection = m", "state m: like param\nquantize v: dynamic8"),
        "`v`"),
    "quantize of an exact state": (
        "E409", rule("m += grad\ndirection = m",
                     "state m: like param, exact\nquantize m: dynamic8"), "exact"),
    "an unknown codec": (
        "E410", rule("m += grad\ndirection = m", "state m: like param\nquantize m: dynamc8"),
        "dynamic8"),
    "a matrix product of what may be a vector": (
        "E308", rule("direction = grad @ grad.T @ grad"), "vector"),
    "a hyper outside its interval": (
        "E411", rule("direction = grad * b", "hyper b = 2.0 in [0, 1]"), "[0, 1]"),
    "recursion": ("E407", DEF + rule("direction = f(grad)"), "itself"),
    "repeat without a host count": (
        "E311", rule("x = grad\nrepeat norm(grad):\n    x = 2 * x\ndirection = x"), "host"),
    "a state where it may not exist": (
        "E309", rule("m = m + grad\ndirection = m", "state m: like param when t > 1"), "`m`"),
    "a name assigned on one branch only": (
        "E204", rule("when t > 1:\n    x = grad\ndirection = x"), "`x`"),
    "division by a literal zero": ("E412", rule("direction = grad / 0"), "zero"),
    "optimizers that extend each other": (
        "E408", "optimizer A extends B\n\noptimizer B extends A\n", "itself"),
}  # fmt: skip


def diagnostics(spec: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(stepc.SpecError) as caught:
        load(spec)
    return caught.value.diagnostics


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_has_its_message(mistake: str) -> None:
    code, spec, word = MISTAKES[mistake]
    found = next(d for d in diagnostics(spec) if d.code == code)
    assert word in str(found)
    assert found.help, "no advice"
    head, line, caret, *_ = str(found).splitlines()
    assert re.match(rf"<text>:\d+:\d+: error {code}: ", head)
    assert spec.splitlines()[int(head.split(":")[1]) - 1].strip() in line
    assert re.fullmatch(r" *\| +\^+", caret)


def test_all_mistakes_are_said_at_once_in_source_order() -> None:
    spec = rule("a = grda\nb = sqtr(grad)\ndirection = sum(norm(grad)) + a + b")
    assert [d.code for d in diagnostics(spec)] == ["E201", "E202", "E302"]


def test_a_zero_code_under_a_root_is_a_warning() -> None:
    spec = rule("v += grad^2\ndirection = grad / sqrt(v)",
                "state v: like param\nquantize v: dynamic8(signed = false)")  # fmt: skip
    assert [d.code for d in load(spec).warnings] == ["W402"]
    guarded = load(spec.replace("/ sqrt(v)", "/ (sqrt(v) + 1e-8)"))
    assert not guarded.warnings and any("dynamic8" in note for note in guarded.notes)


def test_a_state_that_only_its_own_update_reads_is_a_warning() -> None:
    spec = rule("m = m / 2 + grad\ndirection = grad", "state m: like param")
    assert [d.code for d in load(spec).warnings] == ["W401"]


def test_what_is_not_compiled_yet_says_so() -> None:
    """Understood, with a diagnostic of its own and never a traceback."""
    for code, spec in (
        ("E501", rule("direction = all_reduce(grad, mean)")),
        ("E503", rule("e, Q = eigh(grad @ grad.T)\ndirection = Q @ grad", "requires ndim >= 2")),
        ("E504", rule("direction = grad + normal()")),
        ("E525", rule("direction = mean(grad, per axis(1))", "requires ndim >= 2")),
        ("E525", rule("v = v + mean(grad, per axis(1))\ndirection = v",
                      "requires ndim >= 2\nstate v: per axis(1)")),
        ("E526", rule("v = v + 1\ndirection = grad * sum(v)", "state v: vector(3)")),
        ("E521", rule("direction = grad / norm(grad, per cols)",
                      "layout:\n    ndim == 1 -> column\n    else -> plain")),
        ("E512", rule("x = grad\nrepeat t:\n    x = x / 2\ndirection = x")),
        ("E514", rule("direction = grad", "round param: master(bits = 4)")),
        ("E513", rule("r += mean(grad, per rows)\ndirection = r",
                      "state r: per rows\nquantize r: dynamic8")),
    ):  # fmt: skip
        with pytest.raises(stepc.SpecError, match=code):
            stepc.compile(spec)
