"""Hypers, routes and roles: what differs from group to group and from tensor to tensor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from language import BASE, Run, compiled, every_target, rule, same
from language import MATRIX as P
from language import MATRIX_GRAD as G
from language import VECTOR as V

import stepc


def moved(target: str, spec: str, **hypers: object) -> np.ndarray:
    """What one step of the last optimizer subtracts."""
    run = Run(target, spec, P, hypers=hypers)
    run.step(G)
    return P - run.params[0]


# ---------------------------------------------------------------- routes and roles

ROUTED = """
roles:
    name ~ "ln|bias" -> small
    name ~ "embed"   -> embedding
    else             -> hidden

optimizer Signs:
    hyper lr = 1.0 in [0, inf)
    update:
        direction = sign(grad)

optimizer Router:
    hyper lr = 1.0 in [0, inf)
    hyper sign_lr = 0.25 in [0, inf)
    route:
        ndim >= 2 and role == hidden -> Signs(lr = sign_lr * lr_scale)
        else                         -> Base(lr = 2 * lr, beta = 0.9)
"""


@every_target
def test_a_route_sends_tensors_to_rules_with_bindings(target: str) -> None:
    names = ("h.0.ln_1.weight", "h.kiln.weight", "embed.weight", "h.0.bias")
    run = Run(target, BASE + ROUTED, P, P, P, V, names=names)
    for _ in range(2):
        run.step(G, G, G, V)
    same(run.params[1], P - 0.5 * np.sign(G))
    same(run.params[0], 0.5 * (0.5 * P - 2 * G) - 2 * 1.9 * G)
    same(run.params[2], run.params[0])
    same(run.params[3], 0.5 * (0.5 * V - 2 * V) - 2 * 1.9 * V)
    assert run.has("m", 0) and not run.has("m", 1)


def test_an_explicit_role_of_a_group_wins() -> None:
    cls = compiled(BASE + ROUTED, ())
    first, second = (torch.nn.Parameter(torch.tensor(P)) for _ in range(2))
    optimizer = cls(
        [{"params": [("a.weight", first)]}, {"params": [("b.weight", second)], "role": "small"}]
    )  # type: ignore[call-arg]
    first.grad = second.grad = torch.tensor(G)
    optimizer.step()
    same(first.detach().numpy(), P - 0.25 * np.sign(G))
    same(second.detach().numpy(), 0.5 * P - 2 * G)


@every_target
def test_a_pattern_s_words_end_at_borders(target: str) -> None:
    spec = rule('when name ~ "ln|q_proj":\n    direction = 1\notherwise:\n    direction = 0')
    names = (
        "ln.weight",
        "ln_1.weight",
        "h.0.ln2",
        "mln.weight",
        "lnx",
        "a.q_proj.weight",
        "q_projx",
        "Ln",
    )
    run = Run(target, spec, *[V] * len(names), names=names)
    run.step(*[0] * len(names))
    assert [float(V[0] - p[0]) for p in run.params] == [1, 1, 1, 0, 0, 1, 0, 0]


# ---------------------------------------------------------------- hypers


@every_target
def test_tuples_lists_and_derived_defaults(target: str) -> None:
    spec = rule(
        "direction = b1 + 10 * b2 + 100 * c + 1000 * list_of[1] + 10000 * length(list_of)",
        "hyper betas = (b1 = 1.0, b2 = 2.0)\nhyper c = b1 + b2\nhyper list_of = list(5, 6, 7)",
    )
    same(moved(target, spec), 1 + 20 + 300 + 6000 + 30000)
    same(moved(target, spec, betas=(2.0, 3.0)), 2 + 30 + 500 + 6000 + 30000)
    same(moved(target, spec, c=9.0, list_of=[1, 2]), 1 + 20 + 900 + 2000 + 20000)


@every_target
def test_groups_have_their_own_hypers(target: str) -> None:
    run = Run(target, BASE, V, V, groups=({"lr": 0.5}, {"beta": 0.0}), of=(0, 1))
    run.step(V, V)
    run.step(V, V)
    same(run.params[0], 0.5 * (0.5 * V - 0.5 * V) - 0.5 * 1.5 * V)
    same(run.params[1], 0.5 * (0.5 * V - V) - V)


def test_hypers_are_checked_at_construction() -> None:
    spec = rule("direction = grad * a * n", "hyper a = required in (0, 1]\nhyper n = 2 in [1, 5]")
    params = [torch.nn.Parameter(torch.ones(2))]
    cls = stepc.compile(spec)
    with pytest.raises(TypeError, match="a"):
        cls(params)
    for wrong in ({"a": 0.0}, {"a": 2.0}, {"a": float("nan")}, {"a": 1.0, "n": 6}):
        with pytest.raises(ValueError, match="is outside"):
            cls(params, **wrong)
    with pytest.raises(TypeError):
        cls(params, a=0.5, nn=3)
    cls(params, a=1.0, n=1)


@every_target
def test_an_integer_hyper_in_a_shape(target: str) -> None:
    """A structural hyper: another value is another kernel, and another number of values."""
    spec = rule(
        "v += sum(grad, per chunks(k))\ndirection = v", "hyper k = 3\nstate v: per chunks(k)"
    )
    x = np.arange(8.0)
    for k, sums in ((3, [3, 12, 13]), (4, [6, 22])):
        run = Run(target, spec, np.zeros(8), hypers={"k": k})
        run.step(x)
        same(run.state("v"), sums)
        same(-run.params[0], np.repeat(sums, k)[:8])


@every_target
def test_a_boolean_and_a_choice_are_structural(target: str) -> None:
    spec = rule(
        "u = grad\nwhen twice:\n    u = 2 * u\nu = u + 1 if mode == plus else u - 1\ndirection = u",
        "hyper twice = false\nhyper mode = one_of(plus, minus)",
    )
    same(moved(target, spec), G + 1)
    same(moved(target, spec, twice=True, mode="minus"), 2 * G - 1)
