"""States that travel: between precisions, and through safetensors files."""

from __future__ import annotations

import copy
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from contract import same, same_states
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import Parameter

import stepc
from stepc import generated
from stepc.runtime import CompiledOptimizer

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "Adam8bit": ("Adam", {}),
    "AdamW8bit": ("AdamW", {}),
    "SGD8bit": ("SGD", {"momentum": 0.9}),
    "Adagrad8bit": ("Adagrad", {}),
    "RMSprop8bit": ("RMSprop", {}),
    "Lion8bit": ("Lion", {}),
    "LAMB8bit": ("LAMB", {}),
    "LARS8bit": ("LARS", {"momentum": 0.9}),
    "AdEMAMix8bit": ("AdEMAMix", {}),
    "AdamW4bit": ("AdamW", {}),
    "AdamWFp8": ("AdamW", {}),
    "FlashAdamW": ("AdamW", {}),
    "FlashLion": ("Lion", {}),
    "FlashSGD": ("SGD", {"momentum": 0.9}),
}
CODED = [name for name in generated.__all__ if getattr(generated, name).coded]
SHAPES = ((97, 53), (7,), (4096,), (5000,), (8, 16, 8, 8), ())


def test_every_coded_optimizer_is_here() -> None:
    assert set(BASES) | {"CautiousAdamW8bit", "Factor4bit"} == set(CODED)


def params(dtype: torch.dtype = torch.float32) -> list[Parameter]:
    random = torch.Generator().manual_seed(1)
    made = [torch.randn(shape, generator=random).to(dtype) for shape in SHAPES]
    made[4] = made[4].to(memory_format=torch.channels_last)
    return list(map(Parameter, made))


def train(optimizer: Any, seeds: list[int]) -> None:
    for seed in seeds:
        random = torch.Generator().manual_seed(seed)
        for group in optimizer.param_groups:
            for param in group["params"]:
                grad = torch.randn(param.shape, generator=random).to(param)
                param.grad = torch.empty_like(param).copy_(grad)
        optimizer.step()


def trained(name: str, steps: int = 3, **options: Any) -> Any:
    optimizer = getattr(generated, name)(params(), **options)
    train(optimizer, list(range(steps)))
    return optimizer


def beside(optimizer: Any, cls: type[CompiledOptimizer], **options: Any) -> Any:
    """Another optimizer on copies of the same parameters."""
    copies = [
        Parameter(param.detach().clone(memory_format=torch.preserve_format))
        for param in optimizer.param_groups[0]["params"]
    ]
    return cls(copies, **options)


def values(optimizer: Any) -> list[Tensor]:
    return [param.detach() for param in optimizer.param_groups[0]["params"]]


# ---------------------------------------------------------------- between precisions


@pytest.mark.parametrize("name", BASES)
def test_codes_go_to_the_plain_optimizer_and_numbers_come_back(name: str) -> None:
    """What the base does from the decoded states is what the coded one does from its codes, for
    both decode alike; and decoded states that are loaded into the coded one are codes again."""
    base, options = BASES[name]
    ours = trained(name, **options)
    plain = ours.plain_state_dict()
    theirs = beside(ours, getattr(generated, base), **options)
    theirs.load_state_dict(plain)
    again = beside(ours, type(ours), **options)
    again.load_state_dict(plain)
    before = [value.clone() for value in values(ours)]
    for optimizer in (ours, theirs, again):
        train(optimizer, [9])
    results = zip(before, *map(values, (ours, theirs, again)), strict=True)
    for old, mine, other, third in results:
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
        assert (mine - third).norm() <= 0.1 * (mine - old).norm()
    pairs = zip(*(optimizer.state.values() for optimizer in (ours, again)), strict=True)
    for mine, third in pairs:
        assert {n: x.dtype for n, x in tensors(mine).items()} == {
            n: x.dtype for n, x in tensors(third).items()
        }


@pytest.mark.parametrize("name", BASES)
def test_a_checkpoint_of_the_plain_optimizer_loads_into_the_coded_one(name: str) -> None:
    """And is nearly what it was when it has gone there and back: within a step of its codes."""
    base, options = BASES[name]
    theirs = trained(base, **options)
    ours = beside(theirs, getattr(generated, name), **options)
    ours.load_state_dict(theirs.state_dict())
    before = copy.deepcopy(theirs.state_dict())
    train(ours, [9])
    back = ours.plain_state_dict()
    theirs.load_state_dict(back)
    for place, state in before["state"].items():
        for key, value in tensors(state).items():
            now = back["state"][place][key]
            assert now.shape == value.shape and now.dtype == value.dtype
    train(theirs, [10])


def tensors(state: dict[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def test_a_decoded_state_is_near_what_was_encoded() -> None:
    """One encoding and one decoding, with no step between: the codec's own error, no more."""
    theirs = trained("AdamW")
    worst = {"AdamW8bit": 0.04, "AdamW4bit": 0.6, "AdamWFp8": 0.07, "FlashAdamW": 0.02}
    for name, error in worst.items():
        ours = beside(theirs, getattr(generated, name))
        ours.load_state_dict(theirs.state_dict())
        for param in ours.param_groups[0]["params"]:
            param.grad = torch.zeros_like(param)
        for group in ours.param_groups:
            group["betas"] = (1 - 2**-50, 1 - 2**-50)  # a step that leaves the states alone
        ours.step()
        plain = ours.plain_state_dict()["state"]
        for place, state in theirs.state_dict()["state"].items():
            for key in ("m", "v"):
                difference = (plain[place][key] - state[key]).abs().max()
                assert difference <= error * state[key].abs().max(), (name, key)


@pytest.mark.parametrize("rounding", ["kahan", "master", "master(bits = 8)", "stochastic"])
def test_what_roundings_keep_stays_out_of_a_plain_checkpoint(rounding: str) -> None:
    cls: Any = stepc.compile("Lion", quantize="dynamic8", rounding=rounding)
    ours = cls(params(torch.bfloat16))
    train(ours, [0, 1])
    plain = ours.plain_state_dict()
    assert {name for state in plain["state"].values() for name in state} == {"step", "m"}
    assert all(state["m"].dtype == torch.float32 for state in plain["state"].values())
    theirs = generated.Lion(params(torch.bfloat16))
    theirs.load_state_dict(plain)
    again = cls(params(torch.bfloat16))
    again.load_state_dict(plain)
    for optimizer in (theirs, again):
        train(optimizer, [2])


def test_codes_without_scales_are_refused() -> None:
    ours = trained("AdamW8bit")
    saved = copy.deepcopy(ours.state_dict())
    del saved["state"][0]["m_scale"]
    before = copy.deepcopy(ours.state_dict())
    with pytest.raises(ValueError, match="has codes of `m` without their m_scale"):
        ours.load_state_dict(saved)
    assert same_states(ours, ours) and before["state"][0]["m"].equal(
        ours.state_dict()["state"][0]["m"]
    )


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("m", torch.zeros(97, 53, dtype=torch.int8), "dtype torch.int8"),
        ("m", torch.zeros(97, 52, dtype=torch.uint8), r"shape \(97, 52\)"),
        ("m_scale", torch.zeros(20), r"shape \(20,\)"),
        ("m_scale", torch.zeros(21, dtype=torch.uint8), "dtype torch.uint8"),
        ("v", 3.0, "no tensor"),
    ],
)
def test_damaged_codes_are_refused(key: str, value: Any, complaint: str) -> None:
    ours = trained("AdamW8bit")
    saved = copy.deepcopy(ours.state_dict())
    saved["state"][0][key] = value
    with pytest.raises(ValueError, match=complaint):
        ours.load_state_dict(saved)


# ---------------------------------------------------------------- bit by bit


@pytest.mark.parametrize("how", ["torch", "safetensors", "deepcopy", "pickle"])
@pytest.mark.parametrize("name", CODED)
def test_training_goes_on_bit_by_bit(name: str, how: str, tmp_path: Path) -> None:
    options = BASES.get(name, ("", {}))[1]
    ours = trained(name, **options)
    if how in ("deepcopy", "pickle"):
        again = copy.deepcopy(ours) if how == "deepcopy" else pickle.loads(pickle.dumps(ours))
    else:
        again = beside(ours, type(ours), **options)
        if how == "torch":
            file = io.BytesIO()
            torch.save(ours.state_dict(), file)
            file.seek(0)
            again.load_state_dict(torch.load(file, weights_only=True))
        else:
            stepc.save_file(ours, tmp_path / "state.safetensors")
            stepc.load_file(again, tmp_path / "state.safetensors")
    for optimizer in (ours, again):
        train(optimizer, [7, 8])
    assert same(values(ours), values(again))
    assert same_states(ours, again)


@pytest.mark.parametrize("name", ["Prodigy", "AdamW", "Adafactor", "RAdam", "SWATS"])
def test_safetensors_hold_states_of_groups_and_of_the_host(name: str, tmp_path: Path) -> None:
    ours = trained(name)
    stepc.save_file(ours, tmp_path / "state.safetensors")
    again = beside(ours, type(ours))
    stepc.load_file(again, tmp_path / "state.safetensors")
    for optimizer in (ours, again):
        train(optimizer, [7, 8])
    assert same(values(ours), values(again))


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    ours, path = trained("AdamW8bit"), tmp_path / "state.safetensors"
    before = copy.deepcopy(ours.state_dict())
    stepc.save_file(ours, path)
    whole = path.read_bytes()
    description = json.dumps({"state": {"0": []}, "param_groups": 3})
    for content, complaint in (
        (whole[:1000], "not a whole safetensors file"),
        (b"", "not a whole safetensors file"),
        (save({"x": torch.ones(2)}), "no state of an optimizer"),
        (save({}, metadata={"stepc": "{"}), "damaged"),
        (save({}, metadata={"stepc": description}), "damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=complaint):
            stepc.load_file(ours, path)
    assert before["state"][0]["m"].equal(ours.state_dict()["state"][0]["m"])
    assert "state.0.m" in load(whole)


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr("os.replace", full)
        stepc.save_file(trained("AdamW8bit"), path)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == [path.name]
