"""From a contestant to a thing with `step()`, over parameters filled with numbers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import generated
from ..runtime import CompiledOptimizer
from .contestants import Contestant
from .parameters import Parameters, hidden
from .peers import arguments

_FOR_MATRICES = {"MuonMatrix"}  # rules that refuse whatever is no matrix
_BLOCK = 1 << 20  # numbers drawn; larger tensors repeat them
_RATE_NUMEL = 1 << 26  # of the machine's copy, at most: many times any cache

Step = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Built:
    """What steps, the optimizer behind it (None for the machine's own), its parameters."""

    step: Step
    optimizer: torch.optim.Optimizer | None
    params: list[Tensor]


def build(c: Contestant, listed: Parameters, dtype: torch.dtype, device: str) -> Built:
    """The contestant, ready for its first step."""
    return prepare(c, listed, dtype, device)()


def prepare(
    c: Contestant, listed: Parameters, dtype: torch.dtype, device: str
) -> Callable[[], Built]:
    """Its parameters; what is called then builds the contestant itself."""
    if c.library == "machine":
        return lambda: _machine(c, listed, dtype, device)
    if c.rule in _FOR_MATRICES:
        listed = hidden(listed)
    params = tensors(listed, dtype, device)
    return lambda: _over(c, listed, params, device)


def keeps_gradients(built: Built) -> bool:
    """Whether gradients are still there after a step: without, the next one would do nothing."""
    return all(param.grad is not None for param in built.params)


def _over(c: Contestant, listed: Parameters, params: list[Tensor], device: str) -> Built:
    optimizer = _ours(c, listed, params) if c.library == "stepc" else _theirs(c, params)
    if c.variant == "graph":
        return Built(_captured(optimizer, device), optimizer, params)
    step: Step = torch.compile(optimizer.step) if c.variant == "compiled" else optimizer.step
    if isinstance(optimizer, CompiledOptimizer) and optimizer.reads_loss:
        step = partial(optimizer.step, loss=1.0)
    return Built(step, optimizer, params)


def tensors(listed: Parameters, dtype: torch.dtype, device: str) -> list[Tensor]:
    """Parameters with gradients."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(_BLOCK, generator=generator).to(device, dtype)
    backwards = numbers.flip(0)
    params: list[Tensor] = []
    for _, shape in listed.shapes:
        param = torch.empty(shape, dtype=dtype, device=device)
        param.grad = torch.empty_like(param)
        _fill(param, numbers)
        _fill(param.grad, backwards)
        params.append(param.requires_grad_())
    return params


def _fill(tensor: Tensor, numbers: Tensor) -> None:
    """In pieces, for a temporary as large as the tensor would count as the step's memory."""
    flat = tensor.view(-1)
    for begin in range(0, len(flat), len(numbers)):
        piece = flat[begin : begin + len(numbers)]
        piece.copy_(numbers[: len(piece)])


def _machine(c: Contestant, listed: Parameters, dtype: torch.dtype, device: str) -> Built:
    """The machine's own rates: a copy to another place, and a product in place."""
    size = max(listed.numel, min(_RATE_NUMEL, 16 * listed.numel))
    whole = Parameters("rate", (("from", (size,)),))
    (source,) = tensors(whole, dtype, device)
    target = source.grad
    assert target is not None
    source.requires_grad_(False)
    if c.rule == "copy":
        return Built(lambda: target.copy_(source), None, [source])
    return Built(lambda: source.mul_(1.0), None, [source])


# ---------------------------------------------------------------- optimizers


def _ours(c: Contestant, listed: Parameters, params: Sequence[Tensor]) -> torch.optim.Optimizer:
    """With 1 for what must be given, but for heads."""
    cls = optimizer_class(c.rule)
    given: dict[str, Any] = {
        h.name: listed.heads if "heads" in h.name else 1 for h in cls.hypers if h.required
    }
    if c.variant == "graph":
        given["capturable"] = True
    names = [name for name, _ in listed.shapes]
    return cls(list(zip(names, params, strict=True)), **given)


def optimizer_class(rule: str) -> type[CompiledOptimizer]:
    """The class of a prebuilt optimizer, a compiled module, a spec, or a composition."""
    rule, _, codec = (part.strip() for part in rule.partition("@"))
    if rule.endswith(".py"):
        return _class_in(Path(rule))
    if codec or rule not in generated.__all__:
        root: Any = import_module("stepc")  # it finds the compiler on first use: a machine without
        return root.compile(rule, quantize=codec or None)  # lark can race what is prebuilt
    return getattr(generated, rule)


def _class_in(path: Path) -> type[CompiledOptimizer]:
    found = importlib.util.spec_from_file_location(path.stem, path)
    if found is None or found.loader is None or not path.is_file():
        raise ValueError(f"no module {path}")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, CompiledOptimizer)
        and value is not CompiledOptimizer
    ]
    if len(classes) != 1:
        raise ValueError(f"{path} holds {len(classes)} compiled optimizers, not one")
    return classes[0]


def _theirs(c: Contestant, params: list[Tensor]) -> torch.optim.Optimizer:
    library, name, given = arguments(c)
    found = getattr(import_module(library.module), name, None)
    if found is None:
        raise ValueError(f"{library.module} has no {name}")
    if c.variant == "graph":
        given["capturable"] = True
    optimizer = found([_parameter(param) for param in params], **given)
    if hasattr(optimizer, "train"):  # schedulefree steps only in training mode
        optimizer.train()
    return optimizer


def _parameter(param: Tensor) -> torch.nn.Parameter:
    """Some libraries accept nothing else."""
    whole = torch.nn.Parameter(param.detach())
    whole.grad = param.grad
    return whole


def _captured(optimizer: torch.optim.Optimizer, device: str) -> Step:
    """The step as a CUDA graph."""
    if not device.startswith("cuda"):
        raise ValueError("a CUDA graph needs a GPU")
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        for _ in range(3):
            optimizer.step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    return graph.replay
