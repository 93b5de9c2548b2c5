"""States that nobody else holds are not looked at; those that somebody may hold are."""

from __future__ import annotations

import copy
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from contract import same, same_states, set_gradients
from torch.nn import Parameter

import stepc.generated as generated
from stepc.runtime import held, look, scene
from stepc.runtime.tables import Tables


def params_of(optimizer: Any) -> list[Parameter]:
    return [param for group in optimizer.param_groups for param in group["params"]]


def train(optimizer: Any, *numbers: int) -> None:
    for number in numbers:
        set_gradients(params_of(optimizer), number)
        optimizer.step()


def warm() -> Any:
    """An optimizer whose states nobody has asked for yet."""
    random = torch.Generator().manual_seed(0)
    optimizer = generated.AdamW([Parameter(torch.randn(4, 5, generator=random)) for _ in range(4)])
    train(optimizer, 0, 1, 2, 3)
    return optimizer


def second(optimizer: Any) -> dict[str, Any]:
    return optimizer.state[params_of(optimizer)[1]]


def as_gradient(tensor: torch.Tensor) -> Parameter:
    param = Parameter(torch.zeros_like(tensor))
    param.grad = tensor
    return param


def put(state: dict[str, Any]) -> None:
    state["m"] = state["m"].clone().mul_(3)


def move(tensor: Any) -> None:
    tensor.data = tensor.data.clone().mul_(3)


def move_storage(storage: torch.UntypedStorage) -> None:
    size = storage.nbytes()
    storage.resize_(0)
    storage.resize_(size)
    storage.fill_(0)


# What somebody keeps of an optimizer, and does with it several steps later without asking again.
WAYS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], None]]] = {
    "states": (lambda o: o.state, lambda states: put(list(states.values())[1])),
    "attributes": (lambda o: vars(o)["state"], lambda states: put(list(states.values())[1])),
    "state": (second, put),
    "view of a state": (lambda o: second(o).items(), lambda items: move(dict(items)["m"])),
    "tensor": (lambda o: second(o)["m"], move),
    "last tensor": (lambda o: list(o.state.values())[-1]["v"], move),
    "view": (lambda o: second(o)["m"].view(-1), lambda t: move_storage(t.untyped_storage())),
    "alias": (lambda o: second(o)["m"].detach(), lambda t: move_storage(t.untyped_storage())),
    "storage": (lambda o: second(o)["m"].untyped_storage(), move_storage),
    "weak": (lambda o: weakref.ref(second(o)["m"]), lambda ref: move(ref())),
    "weak storage": (
        lambda o: weakref.ref(second(o)["m"].untyped_storage()),
        lambda ref: move_storage(ref()),
    ),
    "in C++": (lambda o: as_gradient(second(o)["m"]), lambda param: move(param.grad)),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))


@every_way
def test_what_somebody_holds_is_looked_at(
    way: tuple[Callable[[Any], Any], Callable[[Any], None]],
) -> None:
    hold, change = way
    optimizer = warm()
    twin = copy.deepcopy(optimizer)
    kept = hold(optimizer), hold(twin)
    for number in range(4, 12):
        twin._scene = None  # it decides every step anew
        train(optimizer, number)
        train(twin, number)
        assert optimizer.hidden_by is None and optimizer._scene._watch is not None
        if number == 7:
            change(kept[0])
            change(kept[1])
    assert same(params_of(optimizer), params_of(twin))
    assert same_states(optimizer, twin)
    del kept
    train(optimizer, 12)
    assert optimizer.hidden_by is not None


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was looked at, and "counted" for every walk that writes numbers."""
    found: list[str] = []
    real, count = look.Looker.look, look.Looker.count

    def looking(self: Any, seen: Any, states: object, groups: Any, threads: int) -> int:
        found.append("all" if states is not None else "no states")
        return real(self, seen, states, groups, threads)

    def counting(self: Any, seen: Any, states: object) -> None:
        found.append("counted")
        count(self, seen, states)

    monkeypatch.setattr(look.Looker, "look", looking)
    monkeypatch.setattr(look.Looker, "count", counting)
    return found


def test_hidden_states_are_neither_looked_at_nor_counted(looks: list[str]) -> None:
    optimizer = warm()
    looks.clear()
    train(optimizer, 4, 5, 6)
    assert looks == ["no states"] * 3
    last = params_of(optimizer)[-1]
    assert optimizer.own_states[last]["step"] < 7
    assert [state["step"] for state in optimizer.state.values()] == [7] * 4
    assert looks == ["no states"] * 3 + ["counted"]
    looks.clear()
    train(optimizer, 7, 8)  # somebody may have changed them
    assert looks == ["all", "no states"]


def test_states_are_up_to_date_for_whoever_asks() -> None:
    for ask in (
        lambda o: o.state_dict()["state"].values(),
        lambda o: o.__getstate__()["state"].values(),
        lambda o: copy.deepcopy(o).state.values(),
        lambda o: copy.copy(o).state.values(),
        lambda o: pickle.loads(pickle.dumps(o)).state.values(),
        lambda o: o.plain_state_dict()["state"].values(),
    ):
        optimizer = warm()
        train(optimizer, 4, 5)
        assert optimizer.hidden_by is not None
        assert [state["step"] for state in ask(optimizer)] == [6] * 4


def test_what_replaces_hidden_states_is_what_counts() -> None:
    optimizer = warm()
    saved = copy.deepcopy(optimizer.state_dict())
    train(optimizer, 4, 5, 6)
    assert optimizer.hidden_by is not None
    optimizer.load_state_dict(saved)
    assert [state["step"] for state in optimizer.state.values()] == [4] * 4
    train(optimizer, 7, 8, 9)
    states = optimizer.state
    optimizer.state = type(states)(dict, {param: dict(state) for param, state in states.items()})
    del states
    train(optimizer, 10)
    assert [state["step"] for state in optimizer.state.values()] == [8] * 4


def test_groups_that_come_later_find_every_state_counted() -> None:
    optimizer = warm()
    train(optimizer, 4, 5)
    optimizer.add_param_group({"params": [Parameter(torch.ones(3))]})
    train(optimizer, 6)
    assert [state["step"] for state in optimizer.state.values()] == [7] * 4 + [1]


def test_a_step_that_fails_while_states_are_hidden_leaves_them_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    optimizer = warm()
    train(optimizer, 4)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no more"):
        patch.setattr(Tables, "send", lambda _: (_ for _ in ()).throw(OSError("no more")))
        train(optimizer, 5)
    steps = [state["step"] for state in optimizer.state.values()]
    assert steps == [6] * 4
    train(optimizer, 6)
    assert [state["step"] for state in optimizer.state.values()] == [7] * 4


# ---------------------------------------------------------------- what is found by trial


@pytest.mark.parametrize("index", range(len(held.UNKNOWN) - 4, len(held.UNKNOWN)))
def test_a_count_that_is_not_as_found_hides_nothing(
    index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = held.counts

    def other() -> list[int]:
        found = real()
        found[index] += 1
        return found

    monkeypatch.setattr(held, "counts", other)
    known = look.looker()
    assert known is not None
    looker = look.Looker(known.path)
    assert list(looker._calls[look._HELD]) == held.UNKNOWN
    assert not looker._are_alone({0: {"name": torch.zeros(2)}})


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_count_that_stands_elsewhere_hides_nothing(
    index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a place that holding does not change. (Of an implementation's count nothing is known that
    its object's does not tell as well.)"""
    counts = held.counts()
    counts[index] -= 8
    if index == 1:
        counts[5 + 2] = look.words(look.storage_of(torch.zeros(2)), 1)[0]
    monkeypatch.setattr(held, "counts", lambda: counts)
    found = look.looker()
    assert found is not None
    assert list(look.Looker(found.path)._calls[look._HELD]) == held.UNKNOWN


def test_where_counts_are_unknown_states_are_looked_at_in_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = look.looker()
    assert found is not None
    monkeypatch.setattr(held, "counts", lambda: held.UNKNOWN)
    looker = look.Looker(found.path)
    monkeypatch.setattr(scene, "looker", lambda: looker)
    optimizer = warm()
    train(optimizer, 4, 5)
    assert optimizer.hidden_by is None and optimizer._scene._watch is not None
