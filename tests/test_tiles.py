"""The level tiles(h, w) in every target: the (rows, cols) view cut into rectangles.

Parameters of five shapes take three steps in a target and in the interpreter; states, parameters
and what a checkpoint holds are compared. Triton runs in its interpreter, in a process of its own:

    TRITON_INTERPRET=1 python tests/test_tiles.py      prints {spec: largest error} as JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from language import Run, rule, same

import stepc
from stepc.dsl.diagnostics import SpecError
from stepc.runtime import Finish, Sweep, use_target
from stepc.runtime.tile_size import block_of, warps_of

SHAPES: tuple[tuple[int, ...], ...] = ((), (5,), (6, 4), (7, 10), (4, 3, 2, 2))

SPECS = {
    "a state and a reduction": rule(
        "v = lerp(v, mean(grad^2, per tiles(2, 3)), 0.1)\ndirection = grad / (sqrt(v) + 0.1)",
        "state v: per tiles(2, 3)",
    ),
    "a state only": rule(
        "v = 0.9 * v + t\ndirection = v * grad", "state v: per tiles(3, 4) = 0.5"
    ),
    "reductions only": rule(
        "direction = max(grad, per tiles(2, 3)) * grad + std(param, per tiles(2, 3))"
        " - min(abs(grad), per tiles(2, 3)) + count(grad > 0, per tiles(2, 3))",
    ),
    "two sizes": rule(
        "direction = norm(grad, per tiles(2, 3)) + norm(grad * v, per tiles(3, 2)) * v\n"
        "v = sum(grad, per tiles(4, 1))",
        "state v: per tiles(4, 1) = 1",
    ),
    "beside rows, columns and chunks": rule(
        "r = lerp(r, mean(grad^2, per rows), 0.2)\nc = lerp(c, mean(grad^2, per cols), 0.2)\n"
        "b = lerp(b, mean(grad^2, per chunks(7)), 0.2)\n"
        "v = lerp(v, mean(grad^2, per tiles(2, 3)), 0.2)\n"
        "direction = grad / (1 + sqrt(r) + sqrt(c) + sqrt(b) + sqrt(v))"
        " + sum(grad * v, per rows) + sum(grad * r * v, per cols) + sum(grad * v, per chunks(7))"
        " + max(grad * r * c * b, per tiles(2, 3))",
        "state r: per rows\nstate c: per cols\nstate b: per chunks(7)\nstate v: per tiles(2, 3)",
    ),
    "in a reduction over the tensor": rule(
        "v = lerp(v, rms(grad, per tiles(2, 3)), 0.5)\n"
        "direction = grad * mean(v) + max(norm(param, per tiles(2, 3)), per tensor)"
        " + sum(v, per global)",
        "state v: per tiles(2, 3)",
    ),
    "two rounds over a tile": rule(
        "u = grad / (norm(grad, per tiles(3, 4)) + 0.1)\n"
        "direction = u - mean(u, per tiles(3, 4)) + sum(u * param) * v\n"
        "v = max(u, per tiles(3, 4))",
        "state v: per tiles(3, 4)",
    ),
    "sizes that the host computes": rule(
        "v = lerp(v, norm(grad, per tiles(h, w)), 0.5)\n"
        "direction = grad * v + mean(grad, per tiles(rows, h)) + sum(grad, per chunks(w))",
        "hyper h = 2 in [1, 100]\nlet w = cols / 2 + 1\nstate v: per tiles(h, w)",
    ),
    "tiles larger than the tensor": rule(
        "v = mean(grad, per tiles(1000000, 1000000))\ndirection = grad * v",
        "state v: per tiles(1000000, 1000000)",
    ),
    "tiles of one element": rule(
        "v += norm(grad, per tiles(1, 1))\ndirection = grad + v", "state v: per tiles(1, 1)"
    ),
    "by a partition": rule(
        "v += rms(grad, per blocks)\ndirection = grad * v",
        "partition blocks:\n    ndim == 2 -> tiles(3, 3)\n    else -> tensor\nstate v: per blocks",
    ),
    "a beginning per tile": rule(
        "m = lerp(m, norm(grad, per tiles(2, 3)), 0.3)\ndirection = m * grad",
        "state m: per tiles(2, 3) = mean(grad, per tiles(2, 3))",
    ),
}  # fmt: skip
STATES = ("v", "r", "c", "b", "m")


def error(target: str, spec: str) -> float:
    """How far a target ends from the interpreter after three steps, params and states, relative to
    the largest number of each."""
    random = np.random.default_rng(7)
    start = [random.standard_normal(shape) for shape in SHAPES]
    one, other = Run(target, spec, *start), Run("interpreter", spec, *start)
    worst = 0.0
    for step in range(3):
        grads = [random.standard_normal(shape) for shape in SHAPES]
        given = [None if (k, step) == (2, 0) else grad for k, grad in enumerate(grads)]
        if "per global" in spec:
            given = list(grads)
        one.step(*given)
        other.step(*given)
        pairs = list(zip(one.params, other.params, strict=True))
        pairs += [
            (one.state(name, k), other.state(name, k))
            for k in range(len(SHAPES))
            for name in STATES
            if other.has(name, k)
        ]
        for found, truth in pairs:
            scale = max(float(np.abs(truth).max()), 1e-3)
            worst = max(worst, float(np.abs(found.ravel() - truth.ravel()).max()) / scale)
    return worst


@pytest.mark.parametrize("target", ["torch", "c"])
@pytest.mark.parametrize("name", SPECS)
def test_targets_agree_with_the_interpreter(name: str, target: str) -> None:
    assert error(target, SPECS[name]) < 1e-12


@pytest.fixture(scope="module")
def in_triton() -> dict[str, float]:
    """What this file prints."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", __file__]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    found: dict[str, float] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("name", SPECS)
def test_triton_agrees_with_the_interpreter(name: str, in_triton: dict[str, float]) -> None:
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    assert in_triton[name] < 1e-12


@pytest.mark.parametrize(
    "name", ["beside rows, columns and chunks", "two rounds over a tile", "two sizes"]
)
def test_triton_kernels_compile_ahead_of_time(name: str) -> None:
    """The interpreter is lax about types; the compiler is not."""
    pytest.importorskip("triton", reason="Triton has no wheel for this platform")
    assemble = pytest.importorskip("stepc.compiler.assembly").assemble
    audit = pytest.importorskip("stepc.compiler.audit").audit
    steps = [step for path in stepc.compile(SPECS[name]).paths for step in path.steps]
    for step in steps:
        assert isinstance(step, Sweep | Finish)
        function = getattr(step.triton, "compiled", step.triton)
        block, warps = block_of(step), warps_of(step)
        made = assemble(
            function, ("float32", "float32"), "sm_90", block=block, warps=warps, aligned=True
        )
        assert audit(made).spills == 0


@pytest.mark.parametrize("target", ["torch", "c"])
@pytest.mark.parametrize("level", ["tiles(2, 3)", "chunks(5)", "heads(h)", "tiles(h, 2)"])
def test_cells_between_matrix_products(level: str, target: str) -> None:
    """Stacks of matrices of one shape, each with its own cells."""
    spec = rule(
        f"x = grad @ grad.T @ grad\ny = x / (norm(x, per {level}) + max(v, per tensor))\n"
        f"v = lerp(v, mean(x, per {level}), 0.5)\nw += mean(grad, per heads(h))\n"
        f"direction = y @ y.T @ y + max(mean(y, per {level}), per tensor)",
        f"requires ndim >= 2\nhyper h = 2 in [1, 100]\nstate v: per {level} = 1\n"
        "state w: per heads(h)",
    )
    random = np.random.default_rng(3)
    start = [random.standard_normal(shape) for shape in ((6, 4), (4, 7), (6, 4))]
    one, other = Run(target, spec, *start), Run("interpreter", spec, *start)
    for _ in range(2):
        grads = [random.standard_normal(x.shape) for x in start]
        one.step(*grads)
        other.step(*grads)
    for k in range(3):
        same(one.params[k], other.params[k], 1e-11)
        same(one.state("v", k), other.state("v", k), 1e-11)


def test_a_state_has_one_number_per_tile() -> None:
    ones = [np.ones(shape) for shape in SHAPES]
    run = Run("c", SPECS["a state and a reduction"], *ones)
    run.step(*ones)
    assert [run.state("v", k).shape for k in range(5)] == [(1,), (2,), (6,), (16,), (8,)]


def test_means_divide_by_what_is_in_the_tile() -> None:
    """Of 7 x 10 in tiles of 2 x 3, the last row of tiles is 1 high and the last column 1 wide."""
    spec = rule("v = mean(grad, per tiles(2, 3))\ndirection = v", "state v: per tiles(2, 3)")
    for target in ("torch", "c"):
        run = Run(target, spec, np.zeros((7, 10)))
        run.step(np.ones((7, 10)))
        same(run.state("v"), np.ones(16))


@pytest.mark.parametrize("target", ["torch", "c"])
def test_empty_tensors_have_no_tiles(target: str) -> None:
    spec = SPECS["a state and a reduction"]
    run = Run(target, spec, np.zeros((0, 4)), np.zeros((4, 0)), np.ones((2, 2)))
    run.step(np.zeros((0, 4)), np.zeros((4, 0)), np.ones((2, 2)))
    assert run.params[2].max() < 1


@pytest.mark.parametrize("target", ["torch", "c"])
def test_a_tile_has_elements(target: str) -> None:
    spec = rule("direction = norm(grad, per tiles(h, 3))", "hyper h = 0 in [0, 100]")
    run = Run(target, spec, np.ones((4, 4)))
    with pytest.raises(ValueError, match="tiles of 0 x 3"):
        run.step(np.ones((4, 4)))


@pytest.mark.parametrize("size", ["0", "-1", "2.5", "3000000000", "true"])
def test_a_size_is_a_whole_number(size: str) -> None:
    with pytest.raises(SpecError, match="E318"):
        stepc.compile(rule(f"direction = norm(grad, per tiles({size}, 3))"))


def test_a_checkpoint_keeps_tiles() -> None:
    """A state of another number of tiles is refused."""
    kind = stepc.compile(SPECS["a state and a reduction"])
    weights = [torch.nn.Parameter(torch.ones(6, 4)) for _ in range(3)]
    one, other, small = kind(weights[:1]), kind(weights[1:2]), kind(weights[2:])
    with use_target("torch"):
        for optimizer, weight in zip((one, other), weights, strict=False):
            weight.grad = torch.ones(6, 4)
            optimizer.step()
    saved = one.state_dict()
    other.load_state_dict(saved)
    assert torch.equal(other.state[weights[1]]["v"], one.state[weights[0]]["v"])
    saved["state"][0]["v"] = torch.zeros(5)
    with pytest.raises(ValueError, match="shape"):
        small.load_state_dict(saved)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps({name: error("triton", spec) for name, spec in SPECS.items()}))
