"""The contract of torch.optim, in our own words, kept by every optimizer there is.

Each check is a function of a class; it is run for the handwritten modules and for all generated.
"""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from itertools import pairwise

import pytest
import torch
from contract import (
    NAMES,
    SHAPES,
    Optimizer,
    classes,
    make,
    parameters,
    reaches,
    same,
    same_states,
    set_gradients,
    states,
    train,
    trained,
    uncounted,
    values,
)
from torch.nn import Parameter

from stepc.runtime.facts import is_ordered

CLASSES = classes()
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def has(cls: Optimizer, name: str) -> bool:
    return any(hyper.name == name for hyper in cls.hypers)


# ---------------------------------------------------------------- copies and checkpoints


@every_class
def test_a_deep_copy_steps_on_its_own(cls: Optimizer) -> None:
    params, optimizer = trained(cls)
    twins, copied = copy.deepcopy((params, optimizer))
    train(optimizer, [3, 4])
    assert not same(params, twins)
    train(copied, [3, 4])
    assert same(params, twins) and same_states(optimizer, copied)


@every_class
def test_a_pickled_one_continues(cls: Optimizer) -> None:
    params, optimizer = trained(cls)
    twins, copied = pickle.loads(pickle.dumps((params, optimizer)))
    train(optimizer, [3, 4])
    train(copied, [3, 4])
    assert same(params, twins) and same_states(optimizer, copied)


@every_class
def test_public_attributes_survive_a_deep_copy(cls: Optimizer) -> None:
    _, optimizer = trained(cls)
    copied = copy.deepcopy(optimizer)
    public = {name for name in vars(optimizer) if not name.startswith("_")}
    assert public == {name for name in vars(copied) if not name.startswith("_")}


@every_class
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_resuming_from_a_file_equals_going_on(cls: Optimizer, dtype: torch.dtype) -> None:
    params, optimizer = trained(cls, dtype=dtype)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    others = [Parameter(value) for value in values(params)]
    resumed = make(cls, others)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert same_states(optimizer, resumed)
    train(optimizer, [3, 4, 5])
    train(resumed, [3, 4, 5])
    assert same(params, others) and same_states(optimizer, resumed)


@every_class
def test_states_keep_their_dtypes_beside_bfloat16(cls: Optimizer) -> None:
    _, optimizer = trained(cls, dtype=torch.bfloat16)
    before = {k: v.dtype for k, v in states(optimizer).items() if isinstance(v, torch.Tensor)}
    optimizer.load_state_dict(optimizer.state_dict())
    after = {k: v.dtype for k, v in states(optimizer).items() if isinstance(v, torch.Tensor)}
    assert before == after
    declared = {
        stream.dtype for path in cls.paths for stream in path.streams if stream.kind == "state"
    }
    assert "param" in declared or torch.bfloat16 not in before.values()


@every_class
def test_loading_copies(cls: Optimizer) -> None:
    params, optimizer = trained(cls)
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    other = make(cls, [Parameter(value) for value in values(params)])
    other.load_state_dict(saved)
    train(other, [7])
    assert str(saved) == str(kept)


@every_class
def test_states_hold_tensors_and_numbers_only(cls: Optimizer) -> None:
    _, optimizer = trained(cls)
    kinds = {type(value) for value in states(optimizer).values()}
    assert kinds <= {torch.Tensor, int, float}
    assert {type(optimizer.state[p]["step"]) for p in optimizer.state} == {int}
    assert {optimizer.state[p]["step"] for p in optimizer.state} == {3 - uncounted(cls)}


@every_class
def test_a_step_saved_as_a_tensor_is_a_number_again(cls: Optimizer) -> None:
    _, optimizer = trained(cls)
    saved = optimizer.state_dict()
    for entry in saved["state"].values():
        entry["step"] = torch.tensor(float(entry["step"]))
    optimizer.load_state_dict(saved)
    assert {type(optimizer.state[p]["step"]) for p in optimizer.state} == {int}


@every_class
@pytest.mark.parametrize("step", [-1, 1.5, float("nan"), "three", torch.tensor([1.0, 2.0])])
def test_a_step_that_counts_nothing_is_refused(cls: Optimizer, step: object) -> None:
    _, optimizer = trained(cls)
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0]["step"] = step
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match="step"):
        optimizer.load_state_dict(saved)
    assert str(before) == str(optimizer.state_dict())


@every_class
def test_states_of_wrong_shape_dtype_or_name_are_refused(cls: Optimizer) -> None:
    _, optimizer = trained(cls)
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0]["exp_average"] = torch.zeros(SHAPES[0])
    with pytest.raises(ValueError, match="`exp_average`, which is no state"):
        optimizer.load_state_dict(saved)
    for name, value in optimizer.state_dict()["state"][0].items():
        if isinstance(value, torch.Tensor):
            for wrong in (
                torch.zeros(3, 3, 3),
                value.to(torch.int32),
                value.to(torch.complex64),
                3,
            ):
                saved = copy.deepcopy(optimizer.state_dict())
                saved["state"][0][name] = wrong
                with pytest.raises(ValueError, match=f"`{name}`"):
                    optimizer.load_state_dict(saved)


@every_class
def test_hypers_of_an_older_file_get_their_defaults(cls: Optimizer) -> None:
    _, optimizer = trained(cls)
    saved = copy.deepcopy(optimizer.state_dict())
    for group in saved["param_groups"]:
        del group["maximize"]
        for hyper in cls.hypers:
            del group[hyper.name]
    optimizer.load_state_dict(saved)
    train(optimizer, [3])
    assert optimizer.param_groups[0]["maximize"] is False


@every_class
def test_a_bad_hyper_in_a_file_is_refused(cls: Optimizer) -> None:
    _, optimizer = trained(cls)
    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"][0]["lr"] = -1.0
    with pytest.raises(ValueError, match=r"lr = -1\.0 is outside"):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] > 0


@every_class
def test_states_follow_names_where_both_sides_have_them(cls: Optimizer) -> None:
    params = parameters(cls)
    optimizer = make(cls, list(zip(NAMES, params, strict=True)))
    train(optimizer, range(3))
    order = [3, 0, 4, 2, 1]
    others = [Parameter(values([params[k]])[0]) for k in order]
    shuffled = make(cls, [(NAMES[k], other) for k, other in zip(order, others, strict=True)])
    shuffled.load_state_dict(optimizer.state_dict())
    for k, other in zip(order, others, strict=True):
        assert shuffled.state[other].keys() == optimizer.state[params[k]].keys()
        for name, value in shuffled.state[other].items():
            mine = optimizer.state[params[k]][name]
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(mine))


@every_class
def test_names_that_only_partly_agree_are_refused(cls: Optimizer) -> None:
    params = parameters(cls)
    optimizer = make(cls, list(zip(NAMES, params, strict=True)))
    train(optimizer, range(1))
    renamed = ("something.else", *NAMES[1:])
    other = make(cls, list(zip(renamed, parameters(cls), strict=True)))
    with pytest.raises(ValueError, match=r"only here: something\.else"):
        other.load_state_dict(optimizer.state_dict())


# ---------------------------------------------------------------- construction and groups


@every_class
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), -float("inf")])
def test_a_rate_outside_its_interval_is_refused(cls: Optimizer, value: float) -> None:
    with pytest.raises(ValueError, match=r"lr = .* is outside"):
        make(cls, parameters(cls), lr=value)


@every_class
def test_every_bound_is_checked(cls: Optimizer) -> None:
    for hyper in cls.hypers:
        if hyper.type in ("real", "int") and hyper.low > float("-inf"):
            with pytest.raises(ValueError, match=f"{hyper.name} = .* is outside"):
                make(cls, parameters(cls), **{hyper.name: hyper.low - 1})
        if hyper.type == "tuple":
            with pytest.raises(ValueError, match=f"{hyper.items[0]} = .* is outside"):
                wrong = tuple(hyper.low - 1 for _ in hyper.items)
                make(cls, parameters(cls), **{hyper.name: wrong})
            with pytest.raises(ValueError, match=f"{len(hyper.items)} parts"):
                make(cls, parameters(cls), **{hyper.name: (0.5,) * (len(hyper.items) + 1)})


@every_class
def test_words_are_not_numbers(cls: Optimizer) -> None:
    with pytest.raises(TypeError, match="is not a number"):
        make(cls, parameters(cls), lr="fast")


@every_class
def test_what_is_no_list_of_parameters_is_refused(cls: Optimizer) -> None:
    with pytest.raises(TypeError, match="params argument given to the optimizer should be"):
        make(cls, Parameter(torch.randn(3, 3)))
    with pytest.raises(ValueError, match="empty parameter list"):
        make(cls, [])
    with pytest.raises(TypeError, match="can only optimize Tensors"):
        make(cls, [1.0])
    with pytest.raises(ValueError, match="non-leaf"):
        make(cls, [parameters(cls)[0] * 2])


@every_class
def test_parameters_given_twice(cls: Optimizer) -> None:
    (param, *_) = parameters(cls)
    with pytest.warns(UserWarning, match="a parameter group with duplicate parameters"):
        make(cls, [param, param])
    with pytest.raises(ValueError, match="some parameters appear in more than one"):
        make(cls, [{"params": [param]}, {"params": [param]}])


@every_class
def test_a_rate_tensor_of_two_elements_is_refused(cls: Optimizer) -> None:
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        make(cls, parameters(cls), lr=torch.tensor([0.1, 0.2]))


@every_class
def test_kinds_of_parameters_that_are_refused(cls: Optimizer) -> None:
    with pytest.raises(TypeError, match="view_as_real"):
        make(cls, [Parameter(torch.zeros(3, 3, dtype=torch.complex64))])
    with pytest.raises(TypeError, match="float8"):
        make(cls, [Parameter(torch.zeros(3, 3).to(torch.float8_e4m3fn), requires_grad=False)])


@every_class
def test_a_refused_group_leaves_nothing_behind(cls: Optimizer) -> None:
    params, optimizer = trained(cls)
    with pytest.raises(ValueError, match="outside"):
        optimizer.add_param_group({"params": parameters(cls, 1), "lr": -1.0})
    assert len(optimizer.param_groups) == 1
    train(optimizer, [3])
    assert all(torch.isfinite(param).all() for param in params)


@every_class
def test_groups_have_their_own_rates(cls: Optimizer) -> None:
    still, moving = parameters(cls, shapes=((5, 8), (5, 8)))
    before = values([still, moving])
    decay = {"weight_decay": 0.0} if has(cls, "weight_decay") else {}
    groups = [{"params": [still], "lr": 0.0, **decay}, {"params": [moving]}]
    train(make(cls, groups), range(3))
    assert torch.equal(still, before[0])
    assert not torch.equal(moving, before[1])


@every_class
def test_a_group_added_in_training_moves_at_once(cls: Optimizer) -> None:
    _, optimizer = trained(cls)
    late = parameters(cls, 5)
    fresh = [Parameter(value) for value in values(late)]
    optimizer.add_param_group({"params": late})
    train(optimizer, [3])
    assert all(optimizer.state[p]["step"] == 1 - uncounted(cls) for p in late)
    moved = [bool((a != b).any()) for a, b in zip(late, fresh, strict=True)]
    assert all(moved) or uncounted(cls)


@every_class
def test_splitting_groups_changes_nothing(cls: Optimizer) -> None:
    one, two = parameters(cls), parameters(cls)
    whole = make(cls, one)
    split = make(cls, [{"params": two[:2]}, {"params": two[2:]}])
    for number in range(3):
        set_gradients(one, number)
        set_gradients(two, number)
        whole.step()
        split.step()
    assert same(one, two)


@every_class
def test_it_can_be_printed(cls: Optimizer) -> None:
    _, optimizer = trained(cls)
    assert repr(optimizer).startswith(f"{cls.__name__} (\nParameter Group 0\n")
    assert "lr: " in repr(optimizer)


# ---------------------------------------------------------------- steps


@every_class
@pytest.mark.parametrize("strided", [False, True])
def test_the_loss_falls(cls: Optimizer, strided: bool) -> None:
    random = torch.Generator().manual_seed(0)
    wide = torch.randn(10, 5, 2, generator=random)
    weight = Parameter(wide[..., 0] if strided else wide[..., 0].contiguous())
    bias = Parameter(torch.randn(1, 10, generator=random))
    x = torch.randn(5, generator=random)
    optimizer = make(cls, [weight, bias])

    def closure() -> float:
        optimizer.zero_grad()
        loss = (weight.mv(x) + bias[0]).pow(2).sum()
        loss.backward()
        return loss.item()

    first = closure()
    for _ in range(20):
        last = optimizer.step(closure)
    assert last < first


@every_class
def test_the_loss_rises_under_maximize(cls: Optimizer) -> None:
    """By more than roundings, and by a loss that also rises where weights keep their length."""
    random = torch.Generator().manual_seed(0)
    weight, x = Parameter(torch.randn(6, 6, generator=random)), torch.randn(6, generator=random)
    optimizer = make(
        cls, [weight], maximize=True, **({"weight_decay": 0.0} if has(cls, "weight_decay") else {})
    )
    first = weight.mv(x).square().sum().item()
    for _ in range(10):
        optimizer.zero_grad()
        weight.mv(x).square().sum().backward()
        optimizer.step()
    assert weight.mv(x).square().sum().item() > first * (1 + 1e-5)


@every_class
def test_maximize_equals_negated_gradients(cls: Optimizer) -> None:
    up, down = parameters(cls), parameters(cls)
    rising, falling = make(cls, up, maximize=True), make(cls, down)
    for number in range(3):
        set_gradients(up, number)
        for a, b in zip(up, down, strict=True):
            assert a.grad is not None
            b.grad = -a.grad
        rising.step()
        falling.step()
    assert same(up, down) and same_states(rising, falling)


@every_class
def test_a_closure_is_called_with_gradients_on(cls: Optimizer) -> None:
    params = parameters(cls)
    optimizer = make(cls, params)
    seen: list[bool] = []

    def closure() -> float:
        seen.append(torch.is_grad_enabled())
        set_gradients(params, 0)
        return 3.5

    assert optimizer.step(closure) == 3.5
    assert seen == [True]
    assert optimizer.step() is None


@every_class
def test_no_gradient_no_touch(cls: Optimizer) -> None:
    params = parameters(cls)
    optimizer = make(cls, params)
    before = values(params)
    optimizer.step()
    assert same(params, before) and not optimizer.state
    for number, alone in enumerate([0, 1, 0]):
        optimizer.zero_grad()
        set_gradients([params[alone]], number)
        optimizer.step()
    assert same(params[2:], before[2:])
    expected = [2 - uncounted(cls), 1 - uncounted(cls)]
    assert [optimizer.state[p]["step"] for p in params[:2]] == expected
    assert set(optimizer.state) == set(params[:2])


@every_class
def test_a_layer_frozen_and_thawed(cls: Optimizer) -> None:
    params = parameters(cls)
    optimizer = make(cls, params)
    for number in range(6):
        set_gradients(params, number)
        if number in (2, 3):
            params[0].grad = None
            frozen = values(params[:1])
        optimizer.step()
        if number in (2, 3):
            assert same(params[:1], frozen)
    steps = [optimizer.state[p]["step"] + uncounted(cls) for p in params]
    assert steps == [4, 6, 6, 6, 6]


@every_class
def test_zero_gradients_and_no_decay_do_not_move(cls: Optimizer) -> None:
    params = parameters(cls)
    none = {h.name: 0.0 for h in cls.hypers if "weight_decay" in h.name and h.type == "real"}
    optimizer = make(cls, params, **none)
    before = values(params)
    for _ in range(3):
        for param in params:
            param.grad = torch.zeros_like(param)
        optimizer.step()
    assert same(params, before)


@every_class
def test_a_rate_in_a_tensor_is_the_same_rate(cls: Optimizer) -> None:
    one, two, three = parameters(cls), parameters(cls), parameters(cls)
    train(make(cls, one, lr=0.015625), range(3))
    train(make(cls, two, lr=torch.tensor(0.015625)), range(3))
    train(make(cls, three, lr=torch.tensor([0.015625])), range(3))
    assert same(one, two) and same(one, three)


@every_class
@pytest.mark.parametrize("tensor", [False, True])
def test_schedulers_change_the_rate(cls: Optimizer, tensor: bool) -> None:
    params = parameters(cls)
    optimizer = make(cls, params, lr=torch.tensor(0.5) if tensor else 0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.0)
    train(optimizer, [0])
    scheduler.step()
    assert float(optimizer.param_groups[0]["lr"]) == 0.0
    before = values(params)
    train(optimizer, [1])
    assert same(params, before)


@every_class
def test_hooks_are_called_in_order(cls: Optimizer) -> None:
    params = parameters(cls)
    optimizer = make(cls, params)
    called: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: called.append("before"))
    optimizer.register_step_post_hook(lambda *_: called.append("after"))
    optimizer.register_state_dict_pre_hook(lambda _: called.append("saving"))
    optimizer.register_state_dict_post_hook(lambda *_: called.append("saved"))
    optimizer.register_load_state_dict_pre_hook(lambda *_: called.append("loading"))
    optimizer.register_load_state_dict_post_hook(lambda _: called.append("loaded"))
    train(optimizer, [0])
    optimizer.load_state_dict(optimizer.state_dict())
    assert called == ["before", "after", "saving", "saved", "loading", "loaded"]


@every_class
def test_a_loading_hook_may_translate(cls: Optimizer) -> None:
    params, optimizer = trained(cls)
    other = make(cls, [Parameter(value) for value in values(params)])
    saved = copy.deepcopy(optimizer.state_dict())
    for entry in saved["state"].values():
        entry["count"] = entry.pop("step")

    def translate(_: object, state_dict: dict) -> dict:
        entries = state_dict["state"]
        renamed = {
            k: {"step" if n == "count" else n: v for n, v in entry.items()}
            for k, entry in entries.items()
        }
        return {**state_dict, "state": renamed}

    other.register_load_state_dict_pre_hook(translate)
    other.load_state_dict(saved)
    assert same_states(optimizer, other)


@every_class
def test_the_profiler_sees_a_step(cls: Optimizer) -> None:
    params = parameters(cls)
    optimizer = make(cls, params)
    set_gradients(params, 0)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
    names = {event.name for event in profile.events()}
    assert f"Optimizer.step#{cls.__name__}.step" in names


@every_class
def test_a_scaler_skips_steps_with_infinities(cls: Optimizer) -> None:
    params = parameters(cls, shapes=((6, 8), (9,)))
    optimizer = make(cls, params)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for factor in (1.0, float("inf"), 1.0):
        optimizer.zero_grad()
        loss = sum((param * param).sum() for param in params) * factor
        scaler.scale(loss).backward()
        before = values(params)
        scaler.step(optimizer)
        scaler.update()
        assert same(params, before) or factor == 1.0
    assert optimizer.state[params[0]]["step"] == 2 - uncounted(cls)


@every_class
def test_autograd_notices_that_parameters_changed(cls: Optimizer) -> None:
    weight = Parameter(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    optimizer = make(cls, [weight])
    loss = (weight * weight).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# ---------------------------------------------------------------- memory, shapes, dtypes


def layouts(base: torch.Tensor) -> dict[str, torch.Tensor]:
    """The same numbers, lying in memory in different ways."""
    wide = torch.zeros(base.shape[0], 2 * base.shape[1])
    wide[:, ::2] = base
    return {
        "contiguous": base.clone(),
        "transposed": base.t().contiguous().t(),
        "strided": wide[:, ::2],
    }


@every_class
@pytest.mark.parametrize("of_param", ["transposed", "strided"])
@pytest.mark.parametrize("of_grad", ["contiguous", "transposed", "strided"])
def test_no_layout_loses_the_update(cls: Optimizer, of_param: str, of_grad: str) -> None:
    random = torch.Generator().manual_seed(3)
    start = torch.randn(72, 64, generator=random)
    plain, scattered = Parameter(start.clone()), Parameter(layouts(start)[of_param])
    assert not scattered.is_contiguous()
    one, two = make(cls, [plain]), make(cls, [scattered])
    for _ in range(3):
        grad = torch.randn(72, 64, generator=random)
        plain.grad, scattered.grad = grad.clone(), layouts(grad)[of_grad]
        one.step()
        two.step()
    assert not torch.equal(plain, start)
    assert scattered.stride() == layouts(start)[of_param].stride()
    torch.testing.assert_close(plain, scattered, rtol=1e-5, atol=1e-5)


@every_class
def test_channels_last(cls: Optimizer) -> None:
    start = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    plain = Parameter(start.clone())
    last = Parameter(start.clone(memory_format=torch.channels_last))
    for number in range(3):
        for param in (plain, last):
            set_gradients([param], number)
    one, two = make(cls, [plain]), make(cls, [last])
    for number in range(3):
        set_gradients([plain], number)
        assert plain.grad is not None
        last.grad = plain.grad.clone(memory_format=torch.channels_last)
        one.step()
        two.step()
    torch.testing.assert_close(plain, last, rtol=1e-5, atol=1e-5)


@every_class
def test_a_checkpoint_does_not_depend_on_the_layout(cls: Optimizer) -> None:
    start = torch.randn(72, 64, generator=torch.Generator().manual_seed(0))
    scattered = Parameter(start.t().contiguous().t())
    optimizer = make(cls, [scattered])
    train(optimizer, range(2))
    plain = Parameter(scattered.detach().contiguous())
    other = make(cls, [plain])
    other.load_state_dict(optimizer.state_dict())
    train(optimizer, [2])
    train(other, [2])
    torch.testing.assert_close(plain, scattered, rtol=1e-5, atol=1e-5)


@every_class
@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0), (), (1,), (1, 1), (2, 3, 0)])
def test_empty_and_tiny_tensors(cls: Optimizer, shape: tuple[int, ...]) -> None:
    params = [*parameters(cls, shapes=(shape,)), *parameters(cls, 1, shapes=((4, 6),))]
    optimizer = make(cls, params)
    seen = [values(params)]
    for number in range(3):
        train(optimizer, [number])
        seen.append(values(params))
    assert optimizer.state[params[1]]["step"] == 3 - uncounted(cls)
    for k, param in enumerate(params):  # after three steps a number may be where it began
        moved = any(not torch.equal(a[k], b[k]) for a, b in pairwise(seen))
        assert moved or param.numel() == 0
    saved = copy.deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(saved)


@every_class
def test_only_an_empty_tensor(cls: Optimizer) -> None:
    optimizer = make(cls, [Parameter(torch.zeros(0, 4))])
    train(optimizer, range(2))


@every_class
def test_data_that_was_replaced(cls: Optimizer) -> None:
    params, optimizer = trained(cls)
    twins, copied = copy.deepcopy((params, optimizer))
    for param in params:
        param.data = param.data.clone()
    train(optimizer, [3])
    train(copied, [3])
    assert same(params, twins)


@every_class
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_other_dtypes_follow_float32(cls: Optimizer, dtype: torch.dtype) -> None:
    params = parameters(cls, dtype=dtype)
    reference = [Parameter(param.detach().to(torch.float32)) for param in params]
    for number in range(2):
        set_gradients(params, number)
        for a, b in zip(params, reference, strict=True):
            assert a.grad is not None
            b.grad = a.grad.to(torch.float32)
        if number == 0:
            one, two = make(cls, params), make(cls, reference)
        one.step()
        two.step()
    tolerance = {torch.float64: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]
    for a, b in zip(params, reference, strict=True):
        assert a.dtype is dtype
        torch.testing.assert_close(a.float(), b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "cls",
    [cls for cls in CLASSES if not cls.totals and not is_ordered(cls.host)],
    ids=lambda cls: cls.__name__,
)
def test_mixed_dtypes_in_one_group(cls: Optimizer) -> None:
    dtypes = (torch.float32, torch.bfloat16, torch.float64, torch.float16)
    mixed = [Parameter(parameters(cls, k)[0].detach().to(d)) for k, d in enumerate(dtypes)]
    alone = [Parameter(value) for value in values(mixed)]
    together = make(cls, mixed)
    apart = [make(cls, [param]) for param in alone]
    for number in range(2):
        set_gradients(mixed, number)
        for a, b in zip(mixed, alone, strict=True):
            assert a.grad is not None
            b.grad = a.grad.clone()
        together.step()
        for optimizer in apart:
            optimizer.step()
    assert same(mixed, alone)


@every_class
def test_sparse_and_meta_gradients_are_refused(cls: Optimizer) -> None:
    param = Parameter(torch.randn(4, 3))
    optimizer = make(cls, [param])
    param.grad = torch.zeros(4, 3).to_sparse()
    before = values([param])
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        optimizer.step()
    assert same([param], before)
    ghost = Parameter(torch.empty(4, 3, device="meta"))
    optimizer = make(cls, [ghost])
    ghost.grad = torch.empty(4, 3, device="meta")
    with pytest.raises(RuntimeError, match="meta device"):
        optimizer.step()


# ---------------------------------------------------------------- bad numbers


@every_class
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_gradient_harms_no_more_than_it_must(cls: Optimizer, bad: float) -> None:
    params = parameters(cls)
    clean = [Parameter(value) for value in values(params)]
    optimizer, reference = make(cls, params), make(cls, clean)
    for number in range(2):
        set_gradients(params, number)
        set_gradients(clean, number)
        if number == 1:
            assert params[0].grad is not None
            params[0].grad[3, 5] = bad
        optimizer.step()
        reference.step()
    extent = reaches(cls)
    if extent != "all":
        assert same(params[1:], clean[1:])
    changed = (params[0] != clean[0]) | params[0].isnan()
    if extent == "element":
        assert changed.sum() <= 1 and (changed.sum() == 0 or changed[3, 5])
    if extent == "cells":
        assert changed.sum() <= 256
    if bad != bad and extent in ("element", "cells"):
        assert params[0][3, 5].isnan(), "a NaN must show"


# ---------------------------------------------------------------- the same bits


@every_class
def test_two_runs_give_the_same_bits(cls: Optimizer) -> None:
    one, first = trained(cls, 4)
    two, second = trained(cls, 4)
    assert same(one, two) and same_states(first, second)


@every_class
def test_default_dtype_does_not_matter(cls: Optimizer) -> None:
    one, _ = trained(cls)
    params = parameters(cls)
    torch.set_default_dtype(torch.float64)
    try:
        optimizer = make(cls, params)
        for number in range(3):
            random = torch.Generator().manual_seed(1000 + number)
            for param in params:
                shape = param.shape
                param.grad = torch.randn(shape, generator=random, dtype=torch.float32)
            optimizer.step()
    finally:
        torch.set_default_dtype(torch.float32)
    dtypes = {v.dtype for v in states(optimizer).values() if isinstance(v, torch.Tensor)}
    assert torch.float64 not in dtypes
    assert same(one, params)


@every_class
def test_nothing_is_printed_or_warned(cls: Optimizer, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(cls)
    assert capfd.readouterr() == ("", "")
