"""stepc: a compiler for optimizer steps.

    from stepc import AdamW, Lion, Muon           # prebuilt: committed, generated code
    Mine = stepc.compile("my.opt")                # a spec of your own
    Mine = stepc.compile("AdamW + Cautious", quantize="dynamic8")
    stepc.save_file(optimizer, "state.safetensors")

Everything is found on first use, so importing a prebuilt optimizer loads no part of the compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import generated as generated
    from .compiler.door import compile as compile
    from .dsl.diagnostics import SpecError as SpecError
    from .dsl.load import load as load
    from .runtime.safetensors import load_file as load_file
    from .runtime.safetensors import save_file as save_file

__version__ = "0.1.0"
__all__ = ["SpecError", "compile", "generated", "load", "load_file", "save_file"]

_DOORS = {
    "compile": ("stepc.compiler.door", "compile"),
    "load": ("stepc.dsl.load", "load"),
    "SpecError": ("stepc.dsl.diagnostics", "SpecError"),
    "load_file": ("stepc.runtime.safetensors", "load_file"),
    "save_file": ("stepc.runtime.safetensors", "save_file"),
}


def __getattr__(name: str) -> Any:
    if name in _DOORS:
        module, attribute = _DOORS[name]
        return getattr(import_module(module), attribute)
    if name.startswith("_"):
        raise AttributeError(name)
    return getattr(import_module("stepc.generated"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *import_module("stepc.generated").__all__])
