"""Capturable steps: t, lr and host states on the device, so that a CUDA graph can replay a step.

There is no GPU here. In a graph's place, what a step asks of torch and of the C library is recorded
and done again without any of our Python: what was decided on the host then is decided for good.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from contract import (
    Optimizer,
    classes,
    make,
    parameters,
    same,
    set_gradients,
    states,
    train,
    values,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import stepc.generated as generated
from stepc.runtime import CompiledOptimizer, c, capture, tables, use_target

ALL = [cls for cls in classes() if cls.__module__.startswith("stepc.generated")]
CAPTURABLE = [cls for cls in ALL if cls.on_device is not None]
REFUSED = [cls for cls in ALL if cls.on_device is None]
every_class = pytest.mark.parametrize("cls", CAPTURABLE, ids=lambda cls: cls.__name__)
every_target = pytest.mark.parametrize("target", ["c", "torch"])
SHAPES = ((64, 80), (7, 13), (33,), ())


def rate(cls: Optimizer) -> float:
    return float(next(hyper.default for hyper in cls.hypers if hyper.name == "lr") or 0.01)


def model(cls: Optimizer, lr: Any, capturable: bool) -> CompiledOptimizer:
    """An optimizer of two groups, one of which decays; of float64 parameters."""
    params = parameters(cls, dtype=torch.float64, shapes=SHAPES)
    agree = any(hyper.agree and hyper.name == "weight_decay" for hyper in cls.hypers)
    groups = [{"params": params[:2]}, {"params": params[2:]}]
    if not agree and any(hyper.name == "weight_decay" for hyper in cls.hypers):
        groups[1]["weight_decay"] = 0.3  # type: ignore[assignment]
    return make(cls, groups, lr=lr, capturable=capturable)


def params_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [param for group in optimizer.param_groups for param in group["params"]]


def close(left: torch.optim.Optimizer, right: torch.optim.Optimizer) -> None:
    """Parameters and states agree but for the last bits of bias corrections."""
    for a, b in zip(params_of(left), params_of(right), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-13)
    one, two = states(left), states(right)
    assert one.keys() == two.keys()
    for name, value in one.items():
        a, b = (torch.as_tensor(x, dtype=torch.float64) for x in (value, two[name]))
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-13)


# ---------------------------------------------------------------- the same steps


@every_class
@every_target
def test_the_steps_are_the_ordinary_ones(cls: Optimizer, target: str) -> None:
    """With lr in a tensor that changes, against floats."""
    lr = torch.tensor(rate(cls), dtype=torch.float64)
    plain, ours = model(cls, float(lr), False), model(cls, lr, True)
    with use_target(target):
        for number in range(6):
            lr.mul_(0.7)
            for group in plain.param_groups:
                group["lr"] = float(lr)
            train(plain, [number])
            train(ours, [number])
    close(ours, plain)
    for param in params_of(ours):
        step = ours.state[param]["step"]
        assert isinstance(step, Tensor) and (step.dtype, step.ndim) == (torch.float64, 0)
    assert isinstance(ours.param_groups[0]["lr"], Tensor)


def test_scalars_are_computed_in_double() -> None:
    """The numbers in the table are the host's, though t and a float32 lr lie on the device."""
    lr = torch.tensor(0.1)
    params = parameters(generated.AdamW, shapes=((5,),))
    ours = generated.AdamW(params, lr=lr, capturable=True, weight_decay=0.3)
    train(ours, range(7))
    assert ours._scene is not None
    (layout,) = ours._scene._layouts.values()
    found = layout._buckets[0].scalars[0].tolist()
    known, t = float(lr), 7  # what a float32 holds
    wanted = [1 - known * 0.3, known, 1 / (1 - 0.9**t), 0.9, 1 - 0.9, 1.0, 1 / (1 - 0.999**t)]
    assert found[:7] == pytest.approx(wanted, rel=2e-13, abs=0)  # 1 - 0.999^7 loses three digits
    assert found[1] == known and found[0] == pytest.approx(wanted[0], rel=1e-15, abs=0)


# ---------------------------------------------------------------- replays


class Graph(TorchDispatchMode):
    """While it is on, steps believe that a graph is captured, and what they do is written down:
    torch's operations and the C library's launches, in order. (They do it, too.)"""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.actions: list[Callable[[], object]] = []
        self.on = False
        launch = c.Library.launch

        def noted(*given: Any) -> None:
            launch(*given)
            if self.on:
                self.actions.append(lambda: launch(*given))

        monkeypatch.setattr(c.Library, "launch", noted)
        monkeypatch.setattr(capture, "is_capturing", lambda: self.on)
        monkeypatch.setattr(tables, "is_capturing", lambda: self.on)

    def __enter__(self) -> Graph:
        self.on = True
        return super().__enter__()

    def __exit__(self, *given: Any) -> None:
        self.on = False
        super().__exit__(*given)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = str(func)
        assert "_local_scalar_dense" not in name, "the step waits for a number of the device"
        made = func(*args, **(kwargs or {}))
        if name.startswith("aten.") and not func.is_view:
            self.actions.append(lambda: _again(made, func(*args, **(kwargs or {}))))
        return made

    def replay(self) -> None:
        with torch.no_grad():
            for action in self.actions:
                action()


def _again(old: Any, new: Any) -> None:
    """Results lie where they lay in the recording, as memory of a graph does."""
    pairs = zip(*((x if isinstance(x, (tuple, list)) else (x,)) for x in (old, new)), strict=True)
    for a, b in pairs:
        if isinstance(a, Tensor) and a.data_ptr() != b.data_ptr():
            a.copy_(b)


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Graph:
    return Graph(monkeypatch)


@every_class
@every_target
def test_a_recorded_step_counts_on(
    cls: Optimizer, target: str, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three steps, one that is recorded, three replays with another lr and other gradients."""
    lr = torch.tensor(rate(cls), dtype=torch.float64)
    plain, ours = model(cls, lr, True), model(cls, lr, True)
    monkeypatch.setattr(capture, "check_groups", lambda *_: None)  # lr is on the CPU, as all is
    with use_target(target):
        train(plain, range(3))
        train(ours, range(3))
        for optimizer in (plain, ours):
            set_gradients(params_of(optimizer), 3)
        with graph:
            ours.step()
        plain.step()
        grads = [param.grad for param in params_of(ours)]
        for number in range(4, 7):
            lr.mul_(0.5)
            train(plain, [number])
            for old, param in zip(grads, params_of(plain), strict=True):
                assert old is not None and param.grad is not None
                old.copy_(param.grad)
            graph.replay()
    assert graph.actions
    close(ours, plain)
    assert same(values(params_of(ours)), values(params_of(plain)))


def test_a_step_recorded_too_early_or_of_other_parameters_is_refused(graph: Graph) -> None:
    params = parameters(generated.AdamW)
    ours = generated.AdamW(params, capturable=True)
    set_gradients(params, 0)
    with pytest.raises(RuntimeError, match="must be warm"), graph:
        ours.step()
    train(ours, range(2))
    params[0].grad = None
    with pytest.raises(RuntimeError, match="must be warm"), graph:
        ours.step()


def test_an_ordinary_step_is_not_captured(graph: Graph) -> None:
    params = parameters(generated.AdamW)
    plain = generated.AdamW(params)
    train(plain, range(3))
    before = values(params)
    with pytest.raises(RuntimeError, match="not all capturable"), graph:
        plain.step()
    assert same(before, values(params))


def test_what_a_graph_sends_stays_as_it_was(graph: Graph) -> None:
    """The tables of a GPU are sent in every replay, from memory that no later step writes; and
    steps beside a graph send theirs, for a replay may have come between."""
    ours = model(generated.AdamW, 0.01, True)
    train(ours, range(2))
    assert ours._scene is not None
    (layout,) = ours._scene._layouts.values()
    bucket = layout._buckets[0]
    table = tables.Tables(torch.device("meta"), [bucket], capturable=True)
    bucket.addresses[:], spare = 1, table._spare
    with graph:
        table.send()
        with pytest.raises(RuntimeError, match="between two captures"):
            table.send()
    (kept,) = table._sent_by_graphs
    assert kept is spare  # while a graph is captured no memory may be pinned
    assert kept[0] == 1
    bucket.addresses[:] = 2
    before = len(graph.actions)
    with graph:
        graph.on = False  # a step beside the graph, written down all the same
        assert table.always
        table.send()
    assert len(graph.actions) > before and kept[0] == 1
    with graph:
        table.send()
    assert [int(sent[0]) for sent in table._sent_by_graphs] == [1, 2]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("cls", REFUSED, ids=lambda cls: cls.__name__)
def test_a_rule_whose_path_depends_on_the_step_says_so(cls: Optimizer) -> None:
    params = parameters(cls)
    with pytest.raises(ValueError, match=r"cannot be capturable: .*depends on `"):
        make(cls, params, capturable=True)
    plain = make(cls, params)
    with pytest.raises(ValueError, match="cannot be capturable"):
        plain.add_param_group({"params": [torch.zeros(3, 3)], "capturable": True})
    assert len(plain.param_groups) == 1


def test_which_rules_refuse() -> None:
    assert {"RAdam", "LookaheadAdamW", "SPAM"} <= {cls.__name__ for cls in REFUSED}
    assert {"AdamW", "SGD", "NAdam", "LAMB", "Muon", "Prodigy"} <= {c.__name__ for c in CAPTURABLE}


def test_capturable_is_a_truth_value() -> None:
    with pytest.raises(TypeError, match="capturable = 1 is not True or False"):
        generated.AdamW(parameters(generated.AdamW), capturable=1)  # type: ignore[arg-type]


# ---------------------------------------------------------------- checkpoints and changes


@pytest.mark.parametrize("cls", [generated.AdamW, generated.NAdam], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("way", ["to capturable", "from capturable"])
def test_a_checkpoint_goes_either_way(cls: Optimizer, way: str) -> None:
    first, then = (False, True) if way == "to capturable" else (True, False)
    old, new = model(cls, rate(cls), first), model(cls, rate(cls), then)
    train(old, range(3))
    saved = copy.deepcopy(old.state_dict())
    for group in saved["param_groups"]:
        group["capturable"] = then
    new.load_state_dict(saved)
    for param, loaded in zip(params_of(old), params_of(new), strict=True):
        loaded.data.copy_(param.data)
    train(old, range(3, 6))
    train(new, range(3, 6))
    close(new, old)
    kinds = {isinstance(state["step"], Tensor) for state in new.state.values()}
    assert kinds == {then}


def test_tensors_that_step_less_often_count_for_themselves() -> None:
    """A count shared by tensors parts when one of them has no gradient."""
    plain, ours = (model(generated.AdamW, 0.01, capturable) for capturable in (False, True))
    for optimizer in (plain, ours):
        train(optimizer, range(2))
        for number in range(2, 8):
            set_gradients(params_of(optimizer), number)
            if number % 3:
                params_of(optimizer)[0].grad = None
            optimizer.step()
        train(optimizer, range(8, 10))
    close(ours, plain)
    assert [int(state["step"]) for state in ours.state.values()] == [6, 10, 10, 10]


def test_a_copy_counts_for_itself() -> None:
    ours = model(generated.AdamW, 0.01, True)
    train(ours, range(3))
    copied = copy.deepcopy(ours)
    train(copied, range(3, 5))
    assert {int(state["step"]) for state in ours.state.values()} == {3}
    assert {int(state["step"]) for state in copied.state.values()} == {5}
