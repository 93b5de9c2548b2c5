"""8- and 4-bit optimizers against other libraries' own: bitsandbytes, torchao, flashoptim.

What those store was recorded once (`recording_oracles.py` says how). Every step begins with their
codes and scales; after it codes, scales and parameters are compared. Each side's codes must be
right for the exact new state, computed here in float64 from the codes: so where the two differ, it
is by a rounding at a border. flashoptim's codes are relative to a scale that is rounded only
afterwards, ours to the rounded one, which moves some codes to their neighbours.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from naive_codes import UNIT, Layout, layout_of
from recording_oracles import CASES, EVERY, FOLDER, STEPS, Case, Inputs, Record, inputs
from torch.nn import Parameter

import stepc
import stepc.generated
from stepc.runtime import use_target

Array = np.ndarray
LAYOUTS = {
    "AdamW8bit": {"m": layout_of("dynamic8", {}), "v": layout_of("dynamic8", {"signed": False})},
    "Adam8bit": {"m": layout_of("dynamic8", {}), "v": layout_of("dynamic8", {"signed": False})},
    "Lion8bit": {"m": layout_of("dynamic8", {})},
    "RMSprop8bit": {"v": layout_of("dynamic8", {})},
    "SGD8bit": {"buffer": layout_of("dynamic8", {})},
    "AdamW4bit": {"m": layout_of("dynamic4", {}), "v": layout_of("linear4", {"signed": False})},
    "AdamWFp8": {"m": layout_of("e4m3", {}), "v": layout_of("e4m3", {})},
    "FlashAdamW": {"m": layout_of("softsign8", {}), "v": layout_of("sqrt8", {})},
    "FlashLion": {"m": layout_of("softsign8", {})},
    "FlashSGD": {"buffer": layout_of("softsign8", {})},
}
FEW_UNITS = 6.0  # of rounding, half a last place of float32 each


@cache
def records(library: str) -> Record:
    return dict(np.load(FOLDER / f"{library}.npz"))


def theirs(case: Case, step: int) -> dict[str, Record]:
    """Their streams after a step, as our targets have them in memory."""
    found: dict[str, Record] = {}
    for place, (name, layout) in enumerate(LAYOUTS[case.ours].items()):
        kept = records(case.library)
        codes = kept[f"{case.name}|{step}|{place}"]
        scale = kept[f"{case.name}|{step}|{place}_scale"].astype(np.float64)
        if layout.packed:  # theirs are neighbours, the first in the upper half
            codes = layout.pack(np.stack([codes >> 4, codes & 15], 1).reshape(-1))
        if layout.codec == "e4m3":
            scale = scale * 448
        if layout.codec == "softsign8":
            codes = (codes.view(np.int8) + np.int16(127)).astype(np.uint8)
        found[name] = {"": codes, "_scale": scale}
    return found


def expected(case: Case, before: Record, given: Inputs, step: int) -> tuple[Record, Array]:
    """The exact new states and parameter, by the papers' rules."""
    h = case.hypers
    p = given.param.astype(np.float64).reshape(-1)
    g = given.grad.astype(np.float64).reshape(-1)
    if case.library == "flashoptim":
        g = torch.tensor(g).bfloat16().double().numpy()
        _, exponent = np.frexp(p)
        p = p + np.ldexp(given.remainder.reshape(-1) / 127, exponent - 9)
    decay = h["weight_decay"]
    match case.rule:
        case "adam" | "8bit" | "4bit" | "fp8":
            b1, b2 = h["betas"]
            if case.ours == "Adam8bit":
                g = g + decay * p
            m, v = b1 * before["m"] + (1 - b1) * g, b2 * before["v"] + (1 - b2) * g * g
            c1, c2 = (1 - b ** (step + 1) for b in (b1, b2))
            kept = p if case.ours == "Adam8bit" else p * (1 - h["lr"] * decay)
            return {"m": m, "v": v}, kept - h["lr"] * (m / c1) / (np.sqrt(v / c2) + h["eps"])
        case "lion":
            b1, b2 = h["betas"]
            update = np.sign(b1 * before["m"] + (1 - b1) * g)
            new = p * (1 - h["lr"] * decay) - h["lr"] * update
            return {"m": b2 * before["m"] + (1 - b2) * g}, new
        case "rmsprop":
            g = g + decay * p
            v = h["alpha"] * before["v"] + (1 - h["alpha"]) * g * g
            return {"v": v}, p - h["lr"] * g / (np.sqrt(v) + h["eps"])
        case _:
            g = g + decay * p
            buffer = h["momentum"] * before["buffer"] + g
            return {"buffer": buffer}, p - h["lr"] * buffer


def check_codes(layout: Layout, streams: Record, exact: Array, before: Array, cols: int) -> None:
    """The codes of a side are right for its scales, and these for the exact values."""
    low, high = layout.borders(streams, exact.size, cols)
    size = UNIT * (np.abs(exact) + np.abs(before))
    assert (np.maximum(low - exact, exact - high) <= FEW_UNITS * size).all()
    assert layout.scale_off(streams, exact, cols) <= FEW_UNITS


def compiled(case: Case) -> type[torch.optim.Optimizer]:
    if case.quantize:
        return stepc.compile(case.ours, quantize=case.quantize)
    return getattr(stepc.generated, case.ours)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", ["torch", "c"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_step_is_that_of_the_library(case: Case, target: str) -> None:
    flash = case.library == "flashoptim"
    dtype = torch.bfloat16 if flash else torch.float32
    param = Parameter(torch.zeros(case.shape, dtype=dtype))
    optimizer = compiled(case)([param], **case.hypers)
    layouts, kept, cols = LAYOUTS[case.ours], records(case.library), case.shape[-1]
    n = param.numel()
    before = {name: np.zeros(n) for name in layouts}
    differ = 0
    with use_target(target):
        for step in range(STEPS):
            given = inputs(case.shape, step)
            param.data.copy_(torch.from_numpy(given.param))
            param.grad = torch.from_numpy(given.grad).to(dtype)
            state = optimizer.state[param]
            if flash and step == 0:  # its remainder is made by the first step
                state["remainder"] = torch.zeros(case.shape, dtype=torch.int8)
            if flash:
                state["remainder"].copy_(torch.from_numpy(given.remainder))
            optimizer.step()
            exact, moved = expected(case, before, given, step)
            for name, layout in layouts.items():
                ours = {
                    suffix: (s if s.dtype == torch.uint8 else s.double()).numpy().reshape(-1)
                    for suffix, s in (("", state[name]), ("_scale", state[f"{name}_scale"]))
                }
                their = theirs(case, step)[name]
                check_codes(layout, ours, exact[name], before[name], cols)
                if not flash:
                    check_codes(layout, their, exact[name], before[name], cols)
                np.testing.assert_allclose(
                    ours["_scale"], their["_scale"], rtol=0 if flash else FEW_UNITS * UNIT
                )
                places = layout.places(ours, n) - layout.places(their, n)
                assert np.abs(places).max() <= 1
                differ += np.count_nonzero(places)
                before[name] = layout.read(their, n, cols)
                state[name].copy_(torch.from_numpy(their[""]).reshape(state[name].shape))
                state[f"{name}_scale"].copy_(torch.from_numpy(their["_scale"]))
            check_param(case, param, state, moved, kept, step)
    assert differ <= (0.04 if flash else 1e-4) * n * STEPS * len(layouts), differ


def check_param(
    case: Case, param: Parameter, state: Record, moved: Array, kept: Record, step: int
) -> None:
    """Beside the library's and beside the exact one."""
    ours = param.detach().double().numpy().reshape(-1)
    their = kept[f"{case.name}|{step}|param"].astype(np.float64)
    unit = np.full(moved.shape, 8 * UNIT)  # parameters are below 1
    if case.library == "flashoptim":
        _, exponent = np.frexp(ours)
        unit = unit + np.ldexp(1.0, exponent - 9) / 127  # one count of the remainder
        ours = ours + np.ldexp(state["remainder"].numpy().reshape(-1) / 127, exponent - 9)
        _, exponent = np.frexp(their)
        rest = kept[f"{case.name}|{step}|remainder"]
        their = their + np.ldexp(rest / 127, exponent - 9)
    assert (np.abs(ours - moved) <= unit).all()
    assert (np.abs(ours[::EVERY] - their) <= unit[::EVERY]).all()


def test_what_was_recorded_is_whole() -> None:
    """Each library with its version, and all steps of every case."""
    size = 0
    for library in {case.library for case in CASES}:
        kept = records(library)
        assert any(str(version).startswith(library) for version in kept["versions"])
        for case in CASES:
            if case.library == library:
                for step in range(STEPS):
                    assert f"{case.name}|{step}|param" in kept
        size += (FOLDER / f"{library}.npz").stat().st_size
    assert size < 300_000
