"""Specs become the models that LANGUAGE.md promises: names, order, composition, hypers, defs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import HERE

from stepc.dsl.describe import describe, expression, statements
from stepc.dsl.diagnostics import SpecError
from stepc.dsl.library import SPECS, Entry, catalogue
from stepc.dsl.load import load
from stepc.dsl.model import Apply, Const, Hyper, Model, Read
from stepc.dsl.patterns import PatternError, matches, regex

MODIFIERS = """
modifier Halve(lr_scale2 = 0.5):
    direction:
        direction *= lr_scale2
    after:
        seen = direction

modifier Clip(eps = 1e-6):
    grad:
        grad /= norm(grad) + eps
"""


def rule(body: str, members: str = "", before: str = "") -> Model:
    """The model of a small optimizer with this update."""
    lines = "".join(f"        {line}\n" for line in body.strip("\n").splitlines())
    declared = "".join(f"    {line}\n" for line in members.strip("\n").splitlines() if line)
    return load(f"{before}\noptimizer Rule:\n    hyper lr = 1e-3\n{declared}    update:\n{lines}")


def codes(text: str) -> set[str]:
    with pytest.raises(SpecError) as raised:
        load(text)
    return {diagnostic.code for diagnostic in raised.value.diagnostics}


def hyper(model: Model, name: str) -> Hyper:
    return next(one for one in model.hypers if one.name == name)


def lines(model: Model) -> list[str]:
    """The step, one statement a line, without the comments."""
    return [line.split("  #")[0].rstrip() for line in statements(model.body)]


# ---------------------------------------------------------------- the order of a step


def test_sections_run_in_the_order_of_a_step() -> None:
    model = load("AdamW + Cautious + Lookahead(k = 5) + GlobalNormClip")
    order = [(section.title, section.origin) for section in model.sections]
    assert order == [
        ("grad", "GlobalNormClip"),
        ("update", "AdamW"),
        ("direction", "Cautious"),
        ("decay", "AdamW"),
        ("ending", "AdamWCautiousLookaheadGlobalNormClip"),
        ("param", "Lookahead"),
    ]


def test_own_section_is_nearest_to_its_update() -> None:
    model = load(
        f"""{MODIFIERS}
optimizer Base:
    hyper lr = 1e-3
    grad:
        grad *= 2
    update:
        direction = grad
    direction:
        direction = sign(direction)

optimizer Rule extends Base + Clip + Halve
"""
    )
    order = [(section.title, section.origin) for section in model.sections]
    assert order[:5] == [
        ("grad", "Clip"),
        ("grad", "Base"),
        ("update", "Base"),
        ("direction", "Base"),
        ("direction", "Halve"),
    ]


def test_lr_is_applied_once_by_the_ending() -> None:
    assert lines(rule("direction = grad"))[-1] == "param = param - lr * direction"


def test_a_rule_with_its_rate_inside_assigns_step() -> None:
    model = load(
        f"{MODIFIERS}\noptimizer Base:\n    hyper lr = 1e-3\n    update:\n"
        "        step = lr * grad\n\noptimizer Rule extends Base + Halve\n"
    )
    assert lines(model)[:3] == [
        "step = lr * grad",
        "step = step * lr_scale2",
        "param = param - step",
    ]


def test_a_rule_that_assigns_param_has_no_ending() -> None:
    model = rule("param -= lr * sign(grad)")
    assert [section.title for section in model.sections] == ["update"]
    assert any("param" in note for note in model.notes)


def test_every_and_first_are_conditions_on_facts() -> None:
    model = rule("first: skip\nevery 10: m = grad\ndirection = m", "state m: like param")
    assert lines(model)[:4] == ["when first:", "    skip", "when t % 10 == 0:", "    m = grad"]


def test_rule_list_of_a_hyper_is_a_nested_select() -> None:
    model = load("AdamMini(num_heads = 4)")
    (section,) = (section for section in model.sections if section.title == "hyper")
    text = statements(section.body)[0]
    assert text.startswith("weight_decay = 0 if role in (bias, norm) else weight_decay")


# ---------------------------------------------------------------- names and composition


def test_modifiers_names_are_their_own() -> None:
    model = load("AdamW + Cautious + Lookahead(k = 7)")
    assert [state.name for state in model.states] == ["m", "v", "Lookahead.slow"]
    k = hyper(model, "k").default
    assert isinstance(k, Const) and k.value == 7
    assert any(line.strip().startswith("Cautious.agree =") for line in lines(model))
    assert model.lineage == ("AdamW", "Cautious", "Lookahead")


def test_colliding_hypers_take_the_modifiers_name() -> None:
    model = load(f"{MODIFIERS}\noptimizer Rule extends AdamW + Clip\n")
    assert [one.name for one in model.hypers][-2:] == ["weight_decay", "clip_eps"]
    assert "grad = grad / (norm(grad, per tensor) + clip_eps)" in lines(model)


def test_needs_makes_a_name_of_the_rule_visible() -> None:
    text = """
modifier Show:
    needs v, beta2, m
    decay:
        param *= 1 - lr * mean(v) * beta2
        m *= 0.5

optimizer Rule extends AdamW + Show
"""
    assert "m = m * 0.5" in lines(load(text))


def test_redeclared_members_replace_the_parents() -> None:
    model = load(
        "optimizer Rule extends AdamW(lr = 0.5):\n    hyper eps = 1e-3\n    state v: per rows\n"
        "    replace v = mean(grad^2, per rows)\n"
    )
    values = {one.name: one.default for one in model.hypers}
    assert [one.name for one in model.hypers] == ["lr", "betas", "eps", "weight_decay"]
    assert isinstance(values["eps"], Const) and values["eps"].value == 1e-3
    assert isinstance(values["lr"], Const) and values["lr"].value == 0.5
    assert "v = mean(grad ^ 2, per rows)" in lines(model)
    assert model.state("v").level.kind == "rows"


def test_a_modifier_may_replace_a_statement_of_the_rule() -> None:
    text = """
modifier Belief:
    needs m
    replace v = lerp(v, (grad - m)^2, 0.5)

optimizer Rule extends AdamW + Belief
"""
    assert codes(text) == {"E201"}  # it needs `v` too, to read it
    model = load(text.replace("needs m", "needs m, v"))
    assert "v = lerp(v, (grad - m) ^ 2, 0.5)" in lines(model)


def test_storage_composes_and_later_lines_come_last() -> None:
    model = load("AdamW8bit", quantize={"m": "dynamic4(block = 64)"}, rounding="stochastic")
    assert [line.state for line in model.storage] == ["m", "v", "all", "m"]
    assert model.storage[-1].codec == "dynamic4"
    assert model.rounding.how == "stochastic"
    with pytest.raises(SpecError, match="E409"):
        load("AdamW", quantize={"w": "dynamic8"})


# ---------------------------------------------------------------- hypers


def test_types_and_structure_of_hypers() -> None:
    model = rule(
        """
x = grad
repeat steps: x = x / 2
when decay > 0: x += decay * param
when t <= warmup: x *= 2
direction = x if mode == plain else sign(x)
when flag: direction *= 2
""",
        """
hyper steps = 5
hyper decay = 0
hyper warmup = 10
hyper mode = one_of(plain, signed)
hyper flag = false
""",
    )
    found = {one.name: (one.type, one.structural) for one in model.hypers}
    assert found == {
        "lr": ("real", False),
        "steps": ("int", True),
        "decay": ("real", False),
        "warmup": ("int", True),
        "mode": ("choice", True),
        "flag": ("bool", True),
    }


def test_defaults_may_read_hypers_and_lists_are_indexed() -> None:
    model = rule(
        "direction = grad * beta3 * betas[1] * length(betas)",
        "hyper beta = 0.81\nhyper beta3 = sqrt(beta)\nhyper betas = list(0, 0.9)",
    )
    derived = hyper(model, "beta3").default
    assert isinstance(derived, Apply) and expression(derived) == "sqrt(beta)"
    listed = hyper(model, "betas")
    assert listed.type == "list" and isinstance(listed.default, tuple)
    assert lines(model)[0] == "direction = grad * beta3 * betas[1] * length(betas)"


# ---------------------------------------------------------------- defs, lets, schedules


def test_a_def_takes_the_place_of_its_call() -> None:
    model = rule(
        "direction = twice(grad, 2)",
        before="def twice(x, n, scale = 1):\n    repeat n: x = scale * x + x\n    return x / 2\n",
    )
    assert lines(model)[:4] == [
        "twice.1.x = grad",
        "repeat 2:",
        "    twice.1.x = 1 * twice.1.x + twice.1.x",
        "direction = twice.1.x / 2",
    ]


def test_returns_on_branches_become_branches() -> None:
    model = rule(
        "a, b = both(grad)\ndirection = a + b",
        before="def both(x):\n    when ndim > 1:\n        return x, -x\n"
        "    y = 2 * x\n    return y, y\n",
    )
    text = lines(model)
    assert text[0] == "when ndim > 1:"
    assert text[3] == "otherwise:"
    assert text[4] == "    both.1.y = 2 * grad"
    assert sum("both.1.result.0" in line for line in text) == 3


def test_values_of_several_targets_are_worked_out_first() -> None:
    model = rule(
        "a = grad\nb = param\na, b = swap(a, b)\ndirection = a + b",
        before="def swap(x, y):\n    return y, x\n",
    )
    text = lines(model)
    assert text[2:6] == ["aside.1 = b", "aside.2 = a", "a = aside.1", "b = aside.2"]


def test_a_let_is_inlined_in_shapes_and_dropped_when_only_shapes_read_it() -> None:
    model = load(
        "optimizer Rule:\n    requires ndim >= 2\n    hyper lr = 1\n"
        "    let side = min(rows, cols)\n"
        "    state q: matrix(side, side)\n    update:\n        q = q + 1\n"
        "        direction = trace(q) * grad\n"
    )
    assert "min" in expression(model.state("q").level.args[0])
    assert all(section.title != "hyper" for section in model.sections)


def test_a_schedule_is_a_function_of_the_host() -> None:
    model = rule(
        "direction = grad",
        "hyper total = 100\nlr *= Ramp(total)",
        "schedule Ramp(total, floor = 0.1):\n"
        "    t < total -> max(floor, t / total)\n    else -> 1\n",
    )
    assert lines(model)[0] == "lr = lr * (maximum(0.1, t / total) if t < total else 1)"


# ---------------------------------------------------------------- routes


def test_a_route_binds_and_joins_hypers() -> None:
    model = load(
        "optimizer Both:\n    hyper lr_1d = 3e-3\n    route:\n"
        "        ndim == 2 -> AdamW(betas = (0.95, 0.99)) + Cautious\n"
        "        else      -> AdamW(lr = 2 * lr_1d, betas = (0.9, 0.95))\n"
    )
    assert [one.name for one in model.hypers] == [
        "lr_1d", "lr", "betas", "eps", "weight_decay", "normaliser", "floor", "adamw_betas",
    ]  # fmt: skip
    first, second = model.route
    assert dict(second.bindings).keys() == {"lr", "beta1", "beta2", "eps", "weight_decay"}
    bound = {name: expression(value) for name, value in second.bindings}
    assert bound["lr"] == "2 * lr_1d"
    assert bound["beta1"] == "adamw_beta1"
    assert first.model.lineage == ("AdamW", "Cautious")
    assert second.condition is None


def test_an_argument_reaches_a_branch_through_the_routing_hyper() -> None:
    model = load("Muon(ns_steps = 7)")
    steps = hyper(model, "ns_steps")
    assert isinstance(steps.default, Const) and steps.default.value == 7
    assert (steps.type, steps.structural) == ("int", True)
    bound = dict(model.route[0].bindings)["ns_steps"]
    assert isinstance(bound, Read) and bound.name == "ns_steps"


def test_modifiers_and_storage_of_a_route_go_to_every_branch() -> None:
    model = load("Muon + Lookahead(k = 3)", quantize="dynamic8")
    for branch in model.route:
        assert branch.model.lineage[-1] == "Lookahead"
        assert {line.codec for line in branch.model.storage} == {"dynamic8"}
    assert [one.name for one in model.hypers].count("k") == 1


# ---------------------------------------------------------------- everything that is shipped


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.opt")), ids=lambda path: path.stem)
def test_shipped_specs_are_understood_without_warnings(path: Path) -> None:
    model = load(path)
    assert not model.warnings
    assert model.unsupported == ()
    assert describe(model).startswith(f"optimizer {model.name}:")


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.name)
def test_catalogue_says_what_is_there(entry: Entry) -> None:
    assert entry.doc and re.match(r"[A-Z]\w*$", entry.name)
    if entry.kind == "optimizer":
        assert load(entry.name).paper == entry.paper
    else:
        assert load(f"AdamW + {entry.name}").lineage == ("AdamW", entry.name)


def test_a_spec_is_the_same_by_name_and_by_path() -> None:
    by_name, by_path = load("AdamMini"), load(SPECS / "adammini.opt")
    assert by_name == by_path


# ---------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        ("ln", ["ln_1", "h.0.ln.weight", "ln"], ["mln", "lnorm"]),
        (r"attn\.proj", ["h.attn.proj.weight"], ["attn_proj", "h.attnxproj"]),
        (r"\bwq\b|bias", ["layers.wq.weight", "fc.bias"], ["wqkv", "biased"]),
        ("h.w", ["h1w", "h.w"], ["hw"]),
    ],
)
def test_patterns(pattern: str, found: list[str], not_found: list[str]) -> None:
    assert [name for name in found + not_found if matches(pattern, name)] == found


@pytest.mark.parametrize("pattern", ["a*", "(a)", "[ab]", "a|", r"\d", r"\b", "a\\", ""])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(PatternError):
        regex(pattern)


def test_every_mistake_is_said_at_once_and_in_order() -> None:
    with pytest.raises(SpecError) as raised:
        load((HERE / "cases" / "errors" / "E205.case").read_text().partition("\n----\n")[0] + "\n")
    spans = [d.span.line for d in raised.value.diagnostics if d.span is not None]
    assert len(spans) == 3 and spans == sorted(spans)


# ---------------------------------------------------------------- the hardest specs

SKETCHES = {
    "adafisher": {"E506"},
    "adamcm": set[str](),
    "adammini": set[str](),
    "conda": {"E503"},
    "demo": {"E501", "E503"},
    "frugal": {"E504", "E522"},
    "mars": {"E508"},
    "mezo": {"E502", "E504"},
    "microadam": {"E503", "E505"},
    "onebitadam": {"E501", "E503", "E520"},
    "prodigy": set[str](),
    "psgdkron": {"E503", "E504", "E522"},
    "ranger21": set[str](),
    "schedulefree": {"E507"},
    "soap": {"E503", "E522"},
    "stablespam": set[str](),
}


@pytest.mark.parametrize(("name", "missing"), SKETCHES.items(), ids=SKETCHES)
def test_sketches_are_understood(name: str, missing: set[str]) -> None:
    model = load(HERE / "sketches" / f"{name}.opt")
    assert {one.code for one in model.unsupported} == missing
    assert not model.warnings
