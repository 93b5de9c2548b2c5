"""Looking at very many tensors at once: what stands in their heads, read by a few lines of C.

Asking a tensor one question from Python takes 50 to 100 ns, and a step has about twenty questions
for every parameter: is it where it was, of the same shape and dtype; is its gradient; are its
states. `look` asks them all in C, through Python's stable interface and through torch's (the one
that AOTInductor's libraries are linked to), both called by address, so nothing is linked.

A tensor object holds its `at::Tensor` at a place that torch does not promise: it is found by trial
and compared with what Python says. Where that, or the compiler, fails, every step decides anew.
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

HINTS, AHEAD = 5, 12  # as in C
NO_HINTS = (0,) * HINTS

SOURCE = r"""
#include <stdint.h>
#include <string.h>

typedef char *Object;

typedef struct {
    int64_t offset;                     /* of the at::Tensor in a tensor object */
    Object none;
    void (*release)(Object);            /* Python: Py_DecRef, PyErr_Clear, ... */
    void (*forgive)(void);
    Object (*attribute)(Object, Object);
    Object (*type)(Object);
    intptr_t (*list_size)(Object);
    Object (*list_item)(Object, intptr_t);
    intptr_t (*dict_size)(Object);
    int (*dict_next)(Object, intptr_t *, Object *, Object *);
    int32_t (*layout)(void *, int32_t *);    /* torch: aoti_torch_get_... */
    int32_t (*dtype)(void *, int32_t *);
    int32_t (*device_type)(void *, int32_t *);
    int32_t (*device_index)(void *, int32_t *);
    int32_t (*dim)(void *, int64_t *);
    int32_t (*sizes)(void *, int64_t **);
    int32_t (*strides)(void *, int64_t **);
    int32_t (*data_ptr)(void *, void **);
} Calls;

enum { HINTS = 5, AHEAD = 12 };  /* addresses per tensor; tensors to look ahead */

typedef struct {
    Object key;
    int64_t form;                       /* -1: the very object in a slot */
    int64_t at;                         /* address, or slot */
    int64_t hints[HINTS];
} Item;

typedef struct {
    int64_t groups, count, states;
    const int64_t *lengths;             /* of each group's list */
    const Object *params;
    const int64_t *param_form, *param_at;
    const int64_t (*param_hints)[HINTS];
    const int64_t *grad_form;           /* -1: has no gradient */
    const int64_t *grad_mask;           /* bits that a gradient's address must not have */
    int64_t *grad_at;                   /* written */
    Object *grads;                      /* written */
    const int64_t (*entries)[3];        /* parameter, first item, number of items (-1: any) */
    const Item *items;
    const Object *slots;
    const int64_t *forms;
} Seen;

/* The form of a tensor: type, layout, dtype, device, axes, sizes, strides. */
int64_t stepc_form(const Calls *call, Object tensor, int64_t *form)
{
    void *at = tensor + call->offset;
    int32_t layout, dtype, device, index;
    int64_t axes, *sizes, *strides;
    Object type = call->type(tensor);
    call->release(type);
    if (call->layout(at, &layout) || layout != 0 || call->dtype(at, &dtype)) return -1;
    if (call->device_type(at, &device) || call->device_index(at, &index)) return -1;
    if (call->dim(at, &axes) || call->sizes(at, &sizes) || call->strides(at, &strides)) return -1;
    const int64_t head[6] = {(int64_t)type, layout, dtype, device, index, axes};
    memcpy(form, head, sizeof head);
    memcpy(form + 6, sizes, 8 * axes);
    memcpy(form + 6 + axes, strides, 8 * axes);
    return 6 + 2 * axes;
}

/* Where a tensor lies; -1 if it has another form. */
int64_t stepc_at(const Calls *call, Object tensor, const int64_t *form)
{
    void *at = tensor + call->offset, *data;
    int32_t found; int64_t axes, *sizes;
    Object type = call->type(tensor);
    call->release(type);
    if ((int64_t)type != form[0]) return -1;
    if (call->layout(at, &found) || found != form[1]) return -1;
    if (call->dtype(at, &found) || found != form[2]) return -1;
    if (call->device_type(at, &found) || found != form[3]) return -1;
    if (call->device_index(at, &found) || found != form[4]) return -1;
    if (call->dim(at, &axes) || axes != form[5]) return -1;
    if (call->sizes(at, &sizes) || memcmp(sizes, form + 6, 8 * axes)) return -1;
    if (call->strides(at, &sizes) || memcmp(sizes, form + 6 + axes, 8 * axes)) return -1;
    return call->data_ptr(at, &data) ? -1 : (int64_t)data;
}

/* Ask for what the loops below will read soon; only a hint, so the addresses may be outdated. */
static void expect(const int64_t *hints, int64_t count)
{
    for (int64_t k = 0; k < count; k++) __builtin_prefetch((void *)hints[k]);
}

static int same_params(const Calls *call, const Seen *seen, Object groups)
{
    int64_t k = 0;
    for (int64_t group = 0; group < seen->groups; group++) {
        Object list = call->list_item(groups, group);
        if (!list || call->list_size(list) != seen->lengths[group]) return 0;
        for (int64_t i = 0; i < seen->lengths[group]; i++, k++) {
            Object param = seen->params[k];
            expect(seen->param_hints[k + AHEAD], HINTS);
            if (call->list_item(list, i) != param) return 0;
            const int64_t *form = seen->forms + seen->param_form[k];
            if (stepc_at(call, param, form) != seen->param_at[k]) return 0;
        }
    }
    return 1;
}

/* Fetch the gradients first, then look at them: new ones lie anywhere in memory. */
static int same_grads(const Calls *call, const Seen *seen, Object name)
{
    int64_t got = 0, same = 1;
    for (; got < seen->count && same; got++) {
        Object grad = seen->grads[got] = call->attribute(seen->params[got], name);
        if (!grad) return 0;
        __builtin_prefetch(grad);
        same = (grad == call->none) == (seen->grad_form[got] < 0);
    }
    for (int64_t k = 0; k < got; k++) {
        if (k + AHEAD < got && seen->grads[k + AHEAD] != call->none) {
            const char *impl = *(char **)(seen->grads[k + AHEAD] + call->offset);
            for (int line = 0; line < 3; line++) __builtin_prefetch(impl + 64 * line);
        }
        if (same && seen->grad_form[k] >= 0) {
            const int64_t at = stepc_at(call, seen->grads[k], seen->forms + seen->grad_form[k]);
            seen->grad_at[k] = at;
            same = at != -1 && !(at & seen->grad_mask[k]);
        }
        call->release(seen->grads[k]);
    }
    return same;
}

static int same_state(const Calls *call, const Seen *seen, const int64_t *entry, Object state)
{
    if (entry[2] < 0) return 1;
    if (call->dict_size(state) != entry[2]) return 0;
    const Item *item = seen->items + entry[1];
    intptr_t place = 0;
    for (Object key, value; call->dict_next(state, &place, &key, &value); item++) {
        expect(item[AHEAD].hints, HINTS);
        if (key != item->key) return 0;
        if (item->form < 0) {
            if (value != seen->slots[item->at]) return 0;
        } else if (stepc_at(call, value, seen->forms + item->form) != item->at) return 0;
    }
    return 1;
}

/* Whether parameters, gradients and states are as they were, but for where gradients lie. */
int64_t stepc_look(const Calls *call, const Seen *seen, Object states, Object groups, Object grad)
{
    int same = same_params(call, seen, groups) && same_grads(call, seen, grad)
        && call->dict_size(states) == seen->states;
    const int64_t (*entry)[3] = seen->entries;
    intptr_t place = 0;
    for (Object param, state; same && call->dict_next(states, &place, &param, &state); entry++)
        same = (int64_t)param == (*entry)[0] && same_state(call, seen, *entry, state);
    if (!same) call->forgive();
    return same;
}
"""

_PYTHON = (
    "Py_DecRef", "PyErr_Clear", "PyObject_GetAttr", "PyObject_Type", "PyList_Size",
    "PyList_GetItem", "PyDict_Size", "PyDict_Next",
)  # fmt: skip
_TORCH = ("layout", "dtype", "device_type", "device_index", "dim", "sizes", "strides", "data_ptr")
_GRAD = "grad"


class Looker:
    """The C functions, and where they find Python's and torch's."""

    def __init__(self, path: str) -> None:
        library = ctypes.PyDLL(path)  # keeps the GIL: what it reads must not change meanwhile
        torch_ = ctypes.CDLL(str(_library_of_torch()))
        self._calls = np.array(
            [
                _offset(),
                id(None),
                *(_address(getattr(ctypes.pythonapi, name)) for name in _PYTHON),
                *(_address(getattr(torch_, f"aoti_torch_get_{name}")) for name in _TORCH),
            ],
            dtype=np.int64,
        )
        self._called = pointer(self._calls)
        self._form: Callable[..., int] = _function(library.stepc_form)
        self._at: Callable[..., int] = _function(library.stepc_at)
        self._look: Callable[..., int] = _function(library.stepc_look)
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
        objects = map(ctypes.py_object, (states, groups, _GRAD))
        return bool(self._look(self._called, seen, *objects))

    def _try(self) -> None:
        """Raise OSError if C and Python do not see the same."""
        base = torch.arange(24.0).view(2, 3, 4)
        cases = (base, base.mT[1:], torch.nn.Parameter(base[0]), base[1, 2, 3].bfloat16())
        for tensor in cases:
            form = self.form(tensor)
            place = np.array(form, dtype=np.int64)
            at = self._at(self._called, ctypes.py_object(tensor), pointer(place))
            said = [id(type(tensor)), tensor.ndim, *tensor.shape, *tensor.stride()]
            if at != tensor.data_ptr() or [form[0], *form[5:]] != said:
                raise OSError("torch's interface sees a tensor in another way than Python")


@cache
def looker() -> Looker | None:
    """The C functions; None where they cannot be had."""
    library = compiled(SOURCE, torch.float32, torch.float32)
    try:
        return None if library is None else Looker(library.path)
    except (OSError, AttributeError, StopIteration):
        return None


def hints(tensor: Tensor) -> tuple[int, ...]:
    """Addresses near what C will read of a tensor, to be in the cache by then: its object, its
    implementation, its storage."""
    inside: int = tensor._cdata  # pyright: ignore[reportAttributeAccessIssue]
    storage: int = tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]
    return id(tensor), inside, inside + 64, inside + 128, storage


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


def _library_of_torch() -> Path:
    folder = Path(torch.__file__).parent / "lib"
    return next(path for path in sorted(folder.glob("*torch_cpu.*")) if path.suffix != ".lib")


def _offset() -> int:
    """Where in a tensor object its `at::Tensor` is: where the address of the implementation is,
    in several objects."""
    tensors: list[Any] = [torch.ones(2), torch.nn.Parameter(torch.ones(3)), torch.ones(4).bool()]

    def is_there(offset: int) -> bool:
        words = (ctypes.c_int64.from_address(id(tensor) + offset).value for tensor in tensors)
        return list(words) == [tensor._cdata for tensor in tensors]

    return next(offset for offset in range(0, object.__sizeof__(tensors[0]), 8) if is_there(offset))
