"""An optimizer's state as a safetensors file: tensors as they are, everything else as JSON.

    save_file(optimizer, "adamw.safetensors")
    load_file(optimizer, "adamw.safetensors")      continues bit by bit

    state.<number of the parameter>.<state>     a tensor of its state
    group.<number of the group>.<state>         a tensor that a group keeps

A file is written beside its place and moved there when it is whole. It is untrusted when read: no
code in it can run, and what it says is checked like any state dict.
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

_KEY = "stepc"


def save_file(optimizer: Optimizer, path: str | os.PathLike[str]) -> None:
    """Write `optimizer.state_dict()`.

    Raises:
        ModuleNotFoundError: the package safetensors is not installed.
        OSError: the file cannot be written; what was there before is still there.
    """
    from safetensors.torch import save

    saved = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {
        "optimizer": type(optimizer).__name__,
        "state": {
            str(place): _apart(f"state.{place}", entries, tensors)
            for place, entries in saved["state"].items()
        },
        "param_groups": [
            _apart(f"group.{place}", group, tensors)
            for place, group in enumerate(saved["param_groups"])
        ],
    }
    target = Path(path)
    data = save(tensors, metadata={_KEY: json.dumps(rest)})
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        try:
            file.write(data)
            file.close()
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


def load_file(optimizer: Optimizer, path: str | os.PathLike[str]) -> None:
    """Load what `save_file` wrote, after checking all of it.

    Raises:
        ModuleNotFoundError: the package safetensors is not installed.
        OSError: the file cannot be read.
        ValueError: it is no such file, or does not go with this optimizer.
    """
    safetensors: Any = import_module("safetensors")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            names: list[str] = file.keys()
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None
    if _KEY not in metadata:
        raise ValueError(f"{path} holds tensors, but no state of an optimizer")
    try:
        rest = json.loads(metadata[_KEY])
        saved = {
            "state": {
                int(place): {**entries, **_of(f"state.{place}.", tensors)}
                for place, entries in rest["state"].items()
            },
            "param_groups": [
                _tuples(optimizer.defaults, {**group, **_of(f"group.{place}.", tensors)})
                for place, group in enumerate(rest["param_groups"])
            ],
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: its description of the state is damaged: {error!r}") from None
    optimizer.load_state_dict(saved)


def _apart(place: str, entries: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """What is no tensor; tensors are put with the others, each into memory of its own."""
    for name, value in entries.items():
        if isinstance(value, Tensor):
            tensors[f"{place}.{name}"] = value.detach().clone(memory_format=torch.contiguous_format)
    return {name: value for name, value in entries.items() if not isinstance(value, Tensor)}


def _of(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _tuples(defaults: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists only; hypers that are tuples become so again."""
    return {
        name: tuple(value) if isinstance(defaults.get(name), tuple) else value
        for name, value in group.items()
    }
