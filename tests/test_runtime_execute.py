"""Running steps: buckets and families, finishes over all groups, host states, shared states."""

from __future__ import annotations

import copy
from typing import Any

import handwritten
import pytest
import torch
from contract import parameters, same, set_gradients, states, train, values
from torch.nn import Parameter

from stepc.runtime import (
    Choice,
    CompiledOptimizer,
    Facts,
    Finish,
    Hyper,
    Path,
    Stream,
    Sweep,
    use_target,
)

PARAM = Stream("param", dtype="param", kind="param")
GRAD = Stream("grad", dtype="grad", kind="grad")


@pytest.mark.parametrize("cls", handwritten.ALL, ids=lambda cls: cls.__name__)
def test_the_torch_form_and_c_agree(cls: type[CompiledOptimizer]) -> None:
    results = []
    for name in ("c", "torch"):
        params = parameters(cls)
        with use_target(name):
            train(cls(params), range(4))
        results.append(params)
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(ValueError, match="no target 'cuda'"), use_target("cuda"):
        pass


def test_handwritten_adamw_is_torchs() -> None:
    ours, theirs = parameters(handwritten.AdamW), parameters(handwritten.AdamW)
    train(handwritten.AdamW(ours, weight_decay=0.1), range(5))
    train(torch.optim.AdamW(theirs, weight_decay=0.1), range(5))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- global reductions


@pytest.mark.parametrize("target", ["c", "torch"])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_global_norm_is_over_all_groups_and_dtypes(target: str, grouped: bool) -> None:
    dtypes = (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.float32)
    base = parameters(handwritten.ClippedSGD)
    params = [Parameter(p.detach().to(d)) for p, d in zip(base, dtypes, strict=True)]
    groups: list[Any] = [{"params": [p]} for p in params] if grouped else params
    optimizer = handwritten.ClippedSGD(groups, lr=1.0, max_norm=2.0)
    before = values(params)
    set_gradients(params, 0)
    grads = [p.grad.double() for p in params if p.grad is not None]
    scale = min(1.0, 2.0 / (float(sum((g * g).sum() for g in grads)) ** 0.5 + 1e-6))
    with use_target(target):
        optimizer.step()
    for param, old, grad in zip(params, before, grads, strict=True):
        expected = (old.double() - scale * grad).to(param.dtype)
        tolerance = {torch.bfloat16: 1e-2, torch.float16: 2e-3}.get(param.dtype, 1e-5)
        torch.testing.assert_close(param, expected, rtol=tolerance, atol=tolerance)


def test_many_tasks_per_tensor_are_all_counted() -> None:
    param = Parameter(torch.zeros(300, 301))
    param.grad = torch.ones_like(param)
    handwritten.ClippedSGD([param], lr=1.0, max_norm=1.0).step()
    expected = -1 / (300 * 301) ** 0.5
    torch.testing.assert_close(param, torch.full_like(param, expected), rtol=1e-5, atol=0.0)


def test_a_norm_per_tensor_spans_tasks() -> None:
    param = Parameter(torch.full((300, 301), 2.0))
    param.grad = torch.ones_like(param)
    handwritten.Lamb([param], lr=0.5, beta=0.0, weight_decay=0.0).step()
    torch.testing.assert_close(param, torch.full_like(param, 1.0), rtol=1e-5, atol=0.0)


def test_groups_must_agree_on_what_they_share() -> None:
    one, two, *_ = parameters(handwritten.ClippedSGD)
    groups = [{"params": [one]}, {"params": [two], "max_norm": 3.0}]
    message = "max_norm must be the same in all parameter groups.* group 0 has 1.0, group 1 has 3"
    with pytest.raises(ValueError, match=message):
        handwritten.ClippedSGD(groups)
    optimizer = handwritten.ClippedSGD([{"params": [one]}, {"params": [two], "lr": 0.5}])
    optimizer.param_groups[1]["max_norm"] = 3.0
    set_gradients([one, two], 0)
    with pytest.raises(ValueError, match=message):
        optimizer.step()


# ---------------------------------------------------------------- paths, hosts, shared states


def averaged_torch(param, grad, mean, pulls, lr):
    """One pass: reads param, grad, mean, pulls; writes param."""
    return (param - lr * (grad + 0.1 * (param - mean)) / (1 + pulls),)


def counted_torch(pulls, size):
    """Global: pulls grows by the size of everything."""
    return (pulls + size,)


def sized_torch(grad):
    """One pass: reads grad; sums its size."""
    return ((grad * 0 + 1).sum(),)


class Shared(CompiledOptimizer):
    """States of every kind: like the parameter, global, and on the host; every third call counts
    for nothing, names that begin with `out` are refused."""

    hypers = (
        Hyper("lr", 1e-2, low=0.0, high_closed=False),
        Hyper("k", 3, low=1.0, type="int"),
        Hyper("twice", None, derived=lambda hyper: 2 * hyper["lr"]),
        Hyper("mode", "plain", type="choice", choices=("plain", "held")),
    )
    paths = (
        Path(
            streams=(PARAM, GRAD, Stream("mean", initial="param"), Stream("pulls", "global")),
            steps=(
                Sweep("a", loads=("grad",), stores=(), partials=("sum",), torch=sized_torch),
                Finish(
                    "b",
                    "global",
                    completes=((0, "sum", 0),),
                    loads=("pulls",),
                    stores=("pulls",),
                    totals=(0,),
                    torch=counted_torch,
                ),
                Sweep(
                    "c",
                    loads=("param", "grad", "mean", "pulls"),
                    stores=("param",),
                    scalars=(0,),
                    torch=averaged_torch,
                ),
            ),
        ),
        Path(streams=(PARAM, GRAD), steps=(), counts=False),
    )
    host_states = {"product": "tensor", "calls": "global"}  # noqa: RUF012
    values, totals, partials = 0, 1, 1

    def __init__(self, params, lr=1e-2, k=3, twice=None, mode="plain", *, maximize=False) -> None:
        super().__init__(
            params, {"lr": lr, "k": k, "twice": twice, "mode": mode, "maximize": maximize}
        )

    @staticmethod
    def host(hyper: dict[str, Any], fact: Facts, state: dict[str, float]) -> Choice:
        if fact.name.startswith("out"):
            raise ValueError(f"{fact}: route it elsewhere")
        product = state.get("product", 1.0) * 0.5
        calls = state.get("calls", 0.0) + 1
        hosts = {"product": product, "calls": calls}
        if calls % hyper["k"] == 0:
            return Choice(1, hosts=hosts)
        return Choice(0, scalars=(hyper["twice"] / 2,), hosts=hosts)


def shared(**options: Any) -> tuple[list[Parameter], Shared]:
    params = parameters(handwritten.AdamW, shapes=((3, 4), (5,)))
    return params, Shared(params, **options)


def test_states_are_kept_where_they_belong() -> None:
    params, optimizer = shared(k=100)
    before = values(params)
    with use_target("torch"):
        train(optimizer, range(2))
    assert {name for p in params for name in optimizer.state[p]} == {"step", "mean", "product"}
    assert same([optimizer.state[p]["mean"] for p in params], before)
    assert float(optimizer.param_groups[0]["pulls"]) == 2 * 17
    assert optimizer.param_groups[0]["calls"] == 2.0
    assert [optimizer.state[p]["product"] for p in params] == [0.25, 0.25]


def test_calls_that_do_not_count() -> None:
    params, optimizer = shared(k=1)
    before = values(params)
    with use_target("torch"):
        train(optimizer, range(3))
    assert same(params, before)
    assert [optimizer.state[p]["step"] for p in params] == [0, 0]


def test_shared_and_host_states_survive_a_checkpoint() -> None:
    params, optimizer = shared(k=100)
    with use_target("torch"):
        train(optimizer, range(2))
        others = [Parameter(value) for value in values(params)]
        other = Shared(others)
        saved = copy.deepcopy(optimizer.state_dict())
        other.load_state_dict(saved)
        train(optimizer, [2, 3])
        train(other, [2, 3])
    assert same(params, others)
    assert str(states(optimizer)) == str(states(other))
    assert float(other.param_groups[0]["pulls"]) == 4 * 17
    assert float(saved["param_groups"][0]["pulls"]) == 2 * 17


def test_a_refused_tensor_stops_the_whole_step() -> None:
    params = parameters(handwritten.AdamW, shapes=((3, 4), (5,)))
    optimizer = Shared([("inner", params[0]), ("out.weight", params[1])])
    before = values(params)
    with pytest.raises(ValueError, match=r"Shared: parameter `out.weight` of shape \(5,\): route"):
        train(optimizer, [0])
    assert same(params, before) and not optimizer.state


def test_derived_hypers_choices_and_whole_numbers() -> None:
    _, optimizer = shared(lr=0.25)
    assert optimizer.param_groups[0]["twice"] == 0.5
    with pytest.raises(ValueError, match="mode = 'loud' is not one of 'plain', 'held'"):
        shared(mode="loud")
    with pytest.raises(ValueError, match=r"k = 1.5 is not a whole number"):
        shared(k=1.5)
    with pytest.raises(ValueError, match=r"k = 0 is outside \[1, inf\)"):
        shared(k=0)


def test_a_state_that_all_share_has_one_dtype() -> None:
    params = [Parameter(torch.ones(3, dtype=d)) for d in (torch.float32, torch.float64)]
    with use_target("torch"), pytest.raises(ValueError, match=r"`pulls` has dtype torch\.float32"):
        train(Shared(params), [0])


def test_roles_and_names_reach_the_host() -> None:
    seen: list[tuple[str, str, int, int, int]] = []

    class Curious(handwritten.AdamW):
        @staticmethod
        def host(hyper: dict[str, Any], fact: Facts, state: dict[str, float]) -> Choice:
            seen.append((fact.name, fact.role, fact.t, fact.rows, fact.cols))
            return handwritten.AdamW.host(hyper, fact, state)

    one, two = parameters(handwritten.AdamW, shapes=((3, 4, 2), (5,)))
    groups = [{"params": [("a.weight", one)], "role": "head"}, {"params": [("b", two)]}]
    train(Curious(groups), range(2))
    assert seen == [
        ("a.weight", "head", 1, 3, 8),
        ("b", "", 1, 1, 5),
        ("a.weight", "head", 2, 3, 8),
        ("b", "", 2, 1, 5),
    ]


def test_equal_questions_are_asked_once() -> None:
    asked: list[int] = []

    class Counting(handwritten.AdamW):
        @staticmethod
        def host(hyper: dict[str, Any], fact: Facts, state: dict[str, float]) -> Choice:
            asked.append(fact.t)
            return Choice(0, scalars=(1.0, 1.0, 0.1, 0.001, 1e-3, 1.0, fact.grad_scale))

    params = parameters(handwritten.AdamW)
    optimizer = Counting(params)
    train(optimizer, range(2))
    params[0].grad = None
    set_gradients(params[1:], 2)
    optimizer.step()
    train(optimizer, [3])
    assert asked == [1, 2, 3, 3, 4]


def test_a_parameter_that_changed_dtype_is_refused() -> None:
    params = parameters(handwritten.AdamW)
    optimizer = handwritten.AdamW(params)
    train(optimizer, [0])
    params[0].data = params[0].data.double()
    set_gradients(params, 1)
    with pytest.raises(ValueError, match=r"`m` has dtype torch\.float32, not torch\.float64"):
        optimizer.step()


def test_a_parameter_that_grew_is_refused() -> None:
    (param,) = parameters(handwritten.AdamW, shapes=((3, 4),))
    optimizer = handwritten.AdamW([param])
    train(optimizer, [0])
    param.data = torch.zeros(30, 40)
    with pytest.raises(RuntimeError, match="does not go with its parameter"):
        optimizer.step()
    param.grad = None
    with pytest.raises(ValueError, match=r"`m` has shape \(3, 4\), not \(30, 40\)"):
        train(optimizer, [1])


def test_a_parameter_made_bfloat16_goes_on() -> None:
    (param,) = parameters(handwritten.AdamW, shapes=((3, 4),))
    optimizer = handwritten.AdamW([param])
    train(optimizer, [0])
    param.data = param.data.bfloat16()
    param.grad = None
    train(optimizer, [1])
    assert optimizer.state[param]["m"].dtype is torch.float32
