"""Looking at very many tensors at once: what stands in their heads, read by a few lines of C.

Asking a tensor one question from Python takes 50 to 100 ns, and a step has about twenty questions
for every parameter: is it where it was, of the same shape and dtype; is its gradient; are its
states. `look` asks them all in C (look.c), which reads the answers where torch keeps them, through
Python's stable interface, and asks for memory some tensors ahead: with thousands of tensors none
of it is in the cache. Python's and torch's functions are called by address, so nothing is linked.

Nobody promises where a tensor object names its implementation, where that has its storage and its
shape, where an object holds its type, and what two C++ functions do that return a gradient and
count a change. All of it is found by trial, and compared with what Python says. Where that, or the
compiler, fails, every step decides anew.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import held
from .batch import Numbers
from .c import compiled
from .trial import inside, place_of, storage_of, words

FURTHER = 16  # as in C, and the next
OTHER, SAME, ALONE, MOVED = 0, 1, 2, 4
_HELD = slice(5, 14)  # of the calls, what `held` found
_INSIDE, _FORM = 5, 17  # axes in an implementation, numbers of a form: as in C too
_KINDS = (torch.float64, torch.bfloat16, torch.float16, torch.uint8, torch.int8, torch.int32)

_SOURCES = [Path(__file__).with_name(name) for name in ("tensors.c", "look.c")]
_PYTHON = (
    "PyList_Size", "PyList_GetItem", "PyDict_Size", "PyDict_Next", "PyDict_SetItem",
)  # fmt: skip
_BUMP = "_ZN5torch8autograd4impl12bump_versionERKN2at6TensorE"
_VERSION = "_ZN5torch8autograd4impl15version_counterERKN2at6TensorE"
_GRAD = "_ZNK3c1010TensorImpl4gradEv"


class Looker:
    """The C functions, and where they find Python's and torch's."""

    def __init__(self, path: str) -> None:
        self.path = path
        library = ctypes.PyDLL(path)  # keeps the GIL: what it reads must not change meanwhile
        torch_, c10 = _library("torch_cpu"), _library("c10")
        grad = getattr(c10, _GRAD)
        self._object = place_of(id, lambda tensor: [inside(tensor)])
        self._data = place_of(storage_of, lambda tensor: [tensor.untyped_storage().data_ptr()])
        self._calls = np.array(
            [
                self._object,
                place_of(id, lambda tensor: [id(tensor.__class__)]),
                place_of(inside, lambda tensor: [storage_of(tensor)]),
                place_of(inside, _shape),
                self._data,
                *held.counts(),
                _no_tensor(grad),
                id(dict),
                *(_address(getattr(ctypes.pythonapi, name)) for name in _PYTHON),
                _address(getattr(torch_, _BUMP)),
                _address(grad),
            ],
            dtype=np.int64,
        )
        self._called = pointer(self._calls)
        self._grad, self._version = grad, getattr(torch_, _VERSION)
        self._version.restype = ctypes.c_void_p
        self._form: Callable[..., int] = _function(library.stepc_form)
        self._walk = library.stepc_walk
        self._look: Callable[..., int] = _function(library.stepc_look)
        library.stepc_look.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int64]
        self._count: Callable[..., int] = _function(library.stepc_count)
        self._alone: Callable[..., int] = _function(library.stepc_alone)
        self._try()
        if not held.is_noticed(self._are_alone):
            self._calls[_HELD] = held.UNKNOWN

    def form(self, tensor: Tensor) -> tuple[int, ...]:
        """A tensor's form as C compares it.

        Raises:
            OSError: what makes it up does not all stand where C looks.
        """
        found = np.zeros(_FORM, dtype=np.int64)
        axes = self._form(self._called, ctypes.py_object(tensor), pointer(found))
        if axes > _INSIDE:
            raise OSError("a tensor with more axes than its implementation holds")
        found[1] = tensor.element_size()
        return tuple(found.tolist())

    def place(self, tensor: Tensor) -> tuple[int, ...]:
        """A tensor as C finds it again: its object, implementation and storage, to have them in the
        cache by then; its address, and who frees it.

        Raises:
            OSError: C would see another address.
        """
        try:
            storage = storage_of(tensor)
            begin, owner = words(storage + self._data, 2)
            at = begin + int(tensor.storage_offset()) * tensor.element_size()
            if tensor.numel() and at != tensor.data_ptr():
                raise OSError("a tensor that does not lie in its storage")
        except (RuntimeError, NotImplementedError) as error:
            raise OSError("a tensor without memory") from error
        return id(tensor), inside(tensor), storage, at, owner

    def autograd(self, param: Tensor) -> tuple[int, ...]:
        """Where autograd names a parameter's gradient, and near where it counts its changes: to be
        in the cache by then."""
        return self._grad(inside(param)), *words(self._version(self._holder(param)), 1)

    def walk(self, states: Mapping[Tensor, Any]) -> list[int]:
        """What brings Python's iteration in C to every entry."""
        found = np.zeros(len(states) + 1, dtype=np.int64)
        self._walk(self._called, ctypes.py_object(states), pointer(found))
        return found.tolist()[:-1]

    def look(
        self, seen: ctypes.c_void_p, states: object | None, groups: list[Any], threads: int
    ) -> int:
        """Whether all is as `seen` says (OTHER, SAME, ALONE: nobody else holds any of the states;
        not of states if there are none), and MOVED if a gradient lies elsewhere. Writes where
        gradients lie, and counts a change of every parameter that has one."""
        given = None if states is None else id(states)
        return self._look(self._called, seen, given, id(groups), threads)

    def count(self, seen: ctypes.c_void_p, states: object) -> None:
        """Let states hold what the slots of their cohorts do."""
        self._count(self._called, seen, ctypes.py_object(states))

    def hints(self, state: dict[str, Any]) -> tuple[int, ...]:
        """Addresses near what C will read of a state, to be in the cache by then. (A dict points to
        its table.)"""
        return id(state), *words(id(state) + 32, 1)

    def _holder(self, tensor: Tensor) -> ctypes.c_void_p:
        """Where a tensor object holds its `at::Tensor`."""
        return ctypes.c_void_p(id(tensor) + self._object)

    def _try(self) -> None:
        """Raise OSError if C and Python do not see the same."""
        base = torch.arange(24.0).view(2, 3, 4)
        waves = base.to(torch.complex64)
        cases: list[Tensor] = [
            base, base.mT[1:], base.mT, torch.nn.Parameter(base[0]), base[0], base[1].clone(),
            *(base.to(kind) for kind in _KINDS), *(base.to("meta").to(kind) for kind in _KINDS),
            waves, waves.conj(), waves.imag, waves.conj().imag, torch.tensor(1.0),
        ]  # fmt: skip
        for one in cases:
            for two in (*cases, one.clone()):
                if (self.form(one) == self.form(two)) != (_said(one) == _said(two)):
                    raise OSError("torch describes a tensor in another way than Python")
        self._try_step()

    def _are_alone(self, states: object) -> bool:
        return bool(self._alone(self._called, ctypes.py_object(states)))

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
    source = "\n".join(path.read_text(encoding="utf-8") for path in _SOURCES)
    library = compiled(source, torch.float32, torch.float32)
    try:
        with torch.inference_mode(False):  # whose tensors count no changes
            return None if library is None else Looker(library.path)
    except (OSError, AttributeError, StopIteration):
        return None


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
    """The implementation of an undefined tensor: a gradient's where there is none."""
    grad.restype, grad.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return words(grad(inside(torch.ones(2))), 1)[0]


def _shape(tensor: Tensor) -> list[int]:
    """Axes, sizes, strides, where it begins, numel; of a tensor with all axes there is room for."""
    begin = int(tensor.storage_offset())
    return [tensor.ndim, *tensor.shape, *tensor.stride(), begin, tensor.numel()]


def _said(tensor: Tensor) -> tuple[object, ...]:
    """All that makes up a form."""
    view = tensor.stride(), tensor.is_conj(), tensor.is_neg()
    return type(tensor), tensor.dtype, tensor.device, tensor.shape, *view
