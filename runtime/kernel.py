"""`@kernel`: a Triton kernel that costs nothing until a GPU first needs it.

    @kernel
    def adamw(tasks, pointers, scalars, PARAM: tl.constexpr, BLOCK: tl.constexpr): ...

    adamw.compiled[grid](...)      # triton is imported here, at the first launch

Importing an optimizer must not import triton (seconds, and absent on many machines). So the
decorator only wraps the function. The first use sets `tl` in the module that defines it and puts
`triton.jit` functions in the place of all its kernels, as kernels that call one another need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast


class Kernel:
    """A function that becomes a `triton.jit` function when `compiled` is first read."""

    __slots__ = ("_compiled", "function")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._compiled: Any = None

    @property
    def compiled(self) -> Any:
        """The `triton.jit` function; imports triton."""
        if self._compiled is None:
            import triton
            import triton.language

            names = self.function.__globals__
            names["tl"] = triton.language
            jit = cast("Callable[..., Any]", triton.jit)
            self._compiled = jit(self.function, do_not_specialize=_arguments(self.function))
            for name, value in list(names.items()):
                if isinstance(value, Kernel):
                    names[name] = value.compiled
        return self._compiled

    def __repr__(self) -> str:
        return f"kernel({self.function.__module__}.{self.function.__qualname__})"


def _arguments(function: Callable[..., Any]) -> list[str]:
    """Tables and numbers of tensors. Triton would compile a kernel again where a number is 1 or a
    multiple of 16, or where a table (part of a larger one) begins at one."""
    kinds = function.__annotations__
    code = function.__code__
    return [name for name in code.co_varnames[: code.co_argcount] if name not in kinds]


def kernel(function: Callable[..., Any]) -> Kernel:
    """Mark a function as a Triton kernel, compiled when a GPU first needs it."""
    return Kernel(function)
