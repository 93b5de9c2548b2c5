"""The names and shapes of a model's parameters, from wherever they are.

parameters_of("models:make")        a Python module and a torch Module, or what makes one, in it
parameters_of("model.safetensors")  a checkpoint (.safetensors, .pt, .pth, .bin); never unpickled
parameters_of("names.txt")          a text file with lines `name size size ...`
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from .failure import Failure

Parameters = dict[str, tuple[int, ...]]


def parameters_of(where: str) -> Parameters:
    """Names and shapes; raises `Failure` where there are none."""
    path = Path(where)
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix in (".pt", ".pth", ".bin"):
        return _checkpoint(path)
    if ":" in where and not path.exists():
        return _module(*where.rsplit(":", 1))
    if not path.is_file():
        raise Failure(
            f"there is no file `{where}`", "name a checkpoint, a text file, or MODULE:NAME"
        )
    return _text(path)


def _safetensors(path: Path) -> Parameters:
    from safetensors import safe_open  # pyright: ignore[reportMissingImports]

    try:
        with safe_open(path, framework="np") as file:  # pyright: ignore[reportUnknownVariableType]
            names: Iterable[Any] = file.keys()  # pyright: ignore[reportUnknownVariableType]
            return {str(n): tuple(file.get_slice(n).get_shape()) for n in names}  # pyright: ignore
    except Exception as error:
        raise Failure(f"`{path}` cannot be read: {error}") from error


def _checkpoint(path: Path) -> Parameters:
    import torch

    try:
        found: Any = torch.load(path, map_location="meta", weights_only=True)
    except Exception as error:  # torch raises what the file provokes
        first = (str(error).splitlines() or [""])[0]
        raise Failure(f"`{path}` is not a checkpoint of tensors alone: {first}") from error
    for key in ("state_dict", "model", "module"):
        if isinstance(found, dict) and key in found:
            found = cast("dict[Any, Any]", found)[key]
    if not isinstance(found, dict):
        raise Failure(f"`{path}` does not hold a dictionary of tensors")
    return _shapes(cast("dict[Any, Any]", found).items())


def _module(module: str, name: str) -> Parameters:
    import torch

    sys.path.insert(0, os.getcwd())
    try:
        made: Any = import_module(module)
        for part in name.split("."):
            made = getattr(made, part)
    except (ImportError, AttributeError) as error:
        raise Failure(f"`{module}:{name}` was not found: {error}") from error
    try:
        with torch.device("meta"):
            model = made if isinstance(made, torch.nn.Module) else made()
    except Exception as error:  # it is the user's code that is running
        raise Failure(f"`{module}:{name}` raised {type(error).__name__}: {error}") from error
    if not isinstance(model, torch.nn.Module):
        raise Failure(f"`{module}:{name}` gives a {type(model).__name__}, not a torch.nn.Module")
    return _shapes(model.named_parameters())


def _shapes(items: Iterable[tuple[Any, Any]]) -> Parameters:
    import torch

    return {str(k): tuple(v.shape) for k, v in items if isinstance(v, torch.Tensor)}


def _text(path: Path) -> Parameters:
    found: Parameters = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        name, *sizes = words
        if not all(size.isdigit() for size in sizes):
            raise Failure(f"{path}:{number}: `{line}`", "a line is `name size size ...`")
        found[name] = tuple(map(int, sizes))
    return found
