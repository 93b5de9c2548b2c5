"""Looking at very many tensors at once: what stands in their heads, read by a few lines of C.

Asking a tensor one question from Python takes 50 to 100 ns, and a step has about twenty questions
for every parameter: is it where it was, of the same shape and dtype; is its gradient; are its
states. `look` asks them all in C (look.c), through Python's stable interface and through torch's
(the one that AOTInductor's libraries are linked to), both called by address, so nothing is linked.

Three things are not promised by anybody: where a tensor object holds its `at::Tensor`, where an
object holds its type, and the two C++ functions that return a gradient and count a change. They are
found by trial and compared with what Python says. Where that, or the compiler, fails, every step
decides anew.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batch import Numbers
from .c import compiled

HINTS, AHEAD = 6, 12  # as in C
NO_HINTS = (0,) * HINTS

_SOURCE = Path(__file__).with_name("look.c")
_PYTHON = (
    "PyList_Size", "PyList_GetItem", "PyDict_Size", "PyDict_Next", "PyDict_SetItem", "PyErr_Clear",
)  # fmt: skip
_TORCH = ("layout", "dtype", "device_type", "device_index", "dim", "sizes", "strides", "data_ptr")
_BUMP = "_ZN5torch8autograd4impl12bump_versionERKN2at6TensorE"
_VERSION = "_ZN5torch8autograd4impl15version_counterERKN2at6TensorE"
_GRAD = "_ZNK3c1010TensorImpl4gradEv"


class Looker:
    """The C functions, and where they find Python's and torch's."""

    def __init__(self, path: str) -> None:
        library = ctypes.PyDLL(path)  # keeps the GIL: what it reads must not change meanwhile
        torch_, c10 = _library("torch_cpu"), _library("c10")
        grad = getattr(c10, _GRAD)
        self._offset = _offset(lambda tensor: tensor._cdata)
        self._calls = np.array(
            [
                self._offset,
                _offset(lambda tensor: id(tensor.__class__)),
                _no_tensor(grad),
                *(_address(getattr(ctypes.pythonapi, name)) for name in _PYTHON),
                *(_address(getattr(torch_, f"aoti_torch_get_{name}")) for name in _TORCH),
                _address(getattr(torch_, _BUMP)),
                _address(grad),
            ],
            dtype=np.int64,
        )
        self._called = pointer(self._calls)
        self._version = getattr(torch_, _VERSION)
        self._version.restype = ctypes.c_void_p
        self._form: Callable[..., int] = _function(library.stepc_form)
        self._where: Callable[..., int] = _function(library.stepc_where)
        self._look: Callable[..., int] = _function(library.stepc_look)
        self._count: Callable[..., int] = _function(library.stepc_count)
        self._try()

    def form(self, tensor: Tensor) -> list[int]:
        """A tensor's form as C compares it."""
        found = np.zeros(6 + 2 * tensor.ndim, dtype=np.int64)
        length = self._form(self._called, ctypes.py_object(tensor), pointer(found))
        if length != len(found):
            raise OSError("torch's interface describes a tensor in another way than Python")
        return found.tolist()

    def look(self, seen: ctypes.c_void_p, states: object, groups: list[Any]) -> bool:
        """Whether all is as `seen` says; writes where gradients lie."""
        return bool(self._look(self._called, seen, *map(ctypes.py_object, (states, groups))))

    def count(self, seen: ctypes.c_void_p, states: object) -> None:
        """Let states hold what the slots of their cohorts do, and count a change of parameters."""
        self._count(self._called, seen, ctypes.py_object(states))

    def hints(self, param: Tensor, state: dict[str, Any]) -> tuple[int, ...]:
        """Addresses near what C will read of a state and of the count of its parameter's changes,
        to be in the cache by then. (A dict points to its table.)"""
        version: int = self._version(self._holder(param))
        count = ctypes.c_int64.from_address(version).value
        table = ctypes.c_int64.from_address(id(state) + 32).value
        return id(param), version, count, id(state), table, table + 64

    def _holder(self, tensor: Tensor) -> ctypes.c_void_p:
        """Where a tensor object holds its `at::Tensor`."""
        return ctypes.c_void_p(id(tensor) + self._offset)

    def _try(self) -> None:
        """Raise OSError if C and Python do not see the same."""
        base = torch.arange(24.0).view(2, 3, 4)
        cases = (base, base.mT[1:], torch.nn.Parameter(base[0]), base[1, 2, 3].bfloat16())
        for tensor in cases:
            place = np.array(self.form(tensor), dtype=np.int64)
            at = self._where(self._called, self._holder(tensor), pointer(place))
            said = [id(type(tensor)), tensor.ndim, *tensor.shape, *tensor.stride()]
            if at != tensor.data_ptr() or [place[0], *place[5:]] != said:
                raise OSError("torch's interface sees a tensor in another way than Python")
        self._try_step()

    def _try_step(self) -> None:
        """The same for gradients, and for changes that autograd counts."""
        param = torch.nn.Parameter(torch.ones(2))
        param.grad = torch.ones(2)
        of_one = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        bump, grad = map(of_one, self._calls[-2:].tolist())
        inside: Any = param
        found = ctypes.c_void_p.from_address(grad(inside._cdata)).value
        version: int = inside._version
        bump(self._holder(param))
        if found != inside.grad._cdata or inside._version != version + 1:
            raise OSError("torch's functions do something else than their names say")


@cache
def looker() -> Looker | None:
    """The C functions; None where they cannot be had."""
    library = compiled(_SOURCE.read_text(encoding="utf-8"), torch.float32, torch.float32)
    try:
        with torch.inference_mode(False):  # whose tensors count no changes
            return None if library is None else Looker(library.path)
    except (OSError, AttributeError, StopIteration):
        return None


def hints(tensor: Tensor) -> tuple[int, ...]:
    """The same of a tensor: its object, its implementation, its storage."""
    inside: int = tensor._cdata  # pyright: ignore[reportAttributeAccessIssue]
    storage: int = tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]
    return id(tensor), *range(inside, inside + 256, 64), storage


def pointer(array: Numbers) -> ctypes.c_void_p:
    """Where an array's numbers lie."""
    return ctypes.c_void_p(array.ctypes.data)


def _function(function: Any) -> Any:
    function.restype = ctypes.c_int64
    return function


def _address(function: Any) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address


def _library(name: str) -> ctypes.CDLL:
    """One of torch's libraries."""
    folder = Path(torch.__file__).parent / "lib"
    found = (path for path in sorted(folder.glob(f"*{name}.*")) if path.suffix != ".lib")
    return ctypes.CDLL(str(next(found)))


def _no_tensor(grad: Any) -> int:
    """What an undefined `at::Tensor` holds: a tensor's gradient where it has none."""
    tensor: Any = torch.ones(2)
    grad.restype, grad.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return ctypes.c_int64.from_address(grad(tensor._cdata)).value


def _offset(wanted: Callable[[Any], int]) -> int:
    """Where in a tensor object a number stands, in each of several objects."""
    tensors: list[Any] = [torch.ones(2), torch.nn.Parameter(torch.ones(3)), torch.ones(4).bool()]

    def is_there(offset: int) -> bool:
        words = (ctypes.c_int64.from_address(id(tensor) + offset).value for tensor in tensors)
        return list(words) == [wanted(tensor) for tensor in tensors]

    return next(offset for offset in range(0, object.__sizeof__(tensors[0]), 8) if is_there(offset))
