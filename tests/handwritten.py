"""Generated modules as a person would write them: the shape that the emitters aim at.

`AdamW`: one flat sweep.  `Lamb`: sweep, per-tensor finish, sweep.  `ClippedSGD`: sweep, global
finish, sweep.  `RowSGD`: a sweep over rows that finishes its reductions itself.
"""

# ruff: noqa: E501  (C text)
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from stepc.runtime import (
    Choice,
    CompiledOptimizer,
    Facts,
    Finish,
    Hyper,
    Path,
    Stream,
    Sweep,
    kernel,
)

if TYPE_CHECKING:
    import triton.language as tl

PRELUDE = r"""
#include <math.h>
#include <stdint.h>
#include <string.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
typedef float f32;
typedef double f64;
typedef uint16_t bf16;
typedef uint16_t f16;
#define REAL_OF_f32 f32
#define REAL_OF_f64 f64
#define REAL_OF_bf16 f32
#define REAL_OF_f16 f32
#define REAL JOIN(REAL_OF_, PARAM)
#define SQRT(x) (sizeof(REAL) == 8 ? sqrt(x) : sqrtf(x))
#define LOAD(type, x) JOIN(load_, type)(x)
#define STORE(type, x) JOIN(store_, type)(x)

static inline float load_f32(f32 x) { return x; }
static inline double load_f64(f64 x) { return x; }
static inline float load_bf16(bf16 x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, 4);
    return y;
}
static inline float load_f16(f16 x) { _Float16 y; memcpy(&y, &x, 2); return (float)y; }
static inline f32 store_f32(REAL x) { return (f32)x; }
static inline f64 store_f64(REAL x) { return x; }
static inline bf16 store_bf16(float x) /* to nearest, ties to even; NaN stays NaN */
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    return (bf16)((x != x ? bits | 0x400000 : rounded) >> 16);
}
static inline f16 store_f16(float x) { const _Float16 y = (_Float16)x; f16 z; memcpy(&z, &y, 2); return z; }
"""


# ---------------------------------------------------------------- AdamW: one flat sweep


@kernel
def adamw_tile(
    index,
    end,
    param_at,
    grad_at,
    m_at,
    v_at,
    grad_scale,
    decay,
    new_m,
    new_v,
    step_size,
    root_scale,
    eps,
    REAL: tl.constexpr,
):
    """One tile of `adamw`; all of it where `end` is None."""
    inside = None if end is None else index < end
    param = tl.load(param_at + index, mask=inside).to(REAL)
    grad = tl.load(grad_at + index, mask=inside).to(REAL) * grad_scale
    m = tl.load(m_at + index, mask=inside)
    v = tl.load(v_at + index, mask=inside)
    m += new_m * (grad - m)
    v += new_v * (grad * grad - v)
    param = param * decay - step_size * m / (tl.sqrt(v) * root_scale + eps)
    tl.store(param_at + index, param, mask=inside)
    tl.store(m_at + index, m, mask=inside)
    tl.store(v_at + index, v, mask=inside)


@kernel
def adamw(
    tasks,
    pointers,
    scalars,
    PARAM: tl.constexpr,
    GRAD: tl.constexpr,
    REAL: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One pass: reads param, grad, m, v; writes param, m, v."""
    task = tasks + 3 * tl.program_id(0)
    tensor = tl.load(task)
    begin = tl.multiple_of(tl.load(task + 1), BLOCK)
    end = tl.load(task + 2)
    streams = pointers + 4 * tensor
    param_at = tl.load(streams).to(tl.pointer_type(PARAM))
    grad_at = tl.load(streams + 1).to(tl.pointer_type(GRAD))
    m_at = tl.load(streams + 2).to(tl.pointer_type(REAL))
    v_at = tl.load(streams + 3).to(tl.pointer_type(REAL))
    if ALIGNED:
        param_at = tl.multiple_of(param_at, 16)
        grad_at = tl.multiple_of(grad_at, 16)
        m_at = tl.multiple_of(m_at, 16)
        v_at = tl.multiple_of(v_at, 16)
    numbers = scalars + 7 * tensor
    grad_scale = tl.load(numbers).to(REAL)
    decay = tl.load(numbers + 1).to(REAL)
    new_m = tl.load(numbers + 2).to(REAL)
    new_v = tl.load(numbers + 3).to(REAL)
    step_size = tl.load(numbers + 4).to(REAL)
    root_scale = tl.load(numbers + 5).to(REAL)
    eps = tl.load(numbers + 6).to(REAL)
    full = begin + (end - begin) // BLOCK * BLOCK
    for start in range(begin, full, BLOCK):
        index = start + tl.arange(0, BLOCK)
        adamw_tile(
            index, None, param_at, grad_at, m_at, v_at,
            grad_scale, decay, new_m, new_v, step_size, root_scale, eps, REAL,
        )  # fmt: skip
    if full < end:
        index = full + tl.arange(0, BLOCK)
        adamw_tile(
            index, end, param_at, grad_at, m_at, v_at,
            grad_scale, decay, new_m, new_v, step_size, root_scale, eps, REAL,
        )  # fmt: skip


ADAMW_C = (
    PRELUDE
    + r"""
/* One pass: reads param, grad, m, v; writes param, m, v */
void adamw(int64_t count, const int64_t *tasks, const int64_t *pointers, const double *scalars)
{
    #pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < count; task++) {
        const int64_t tensor = tasks[3 * task], begin = tasks[3 * task + 1], end = tasks[3 * task + 2];
        const int64_t *address = pointers + 4 * tensor;
        const double *scalar = scalars + 7 * tensor;
        PARAM *restrict param_at = (PARAM *)address[0];
        const GRAD *restrict grad_at = (const GRAD *)address[1];
        REAL *restrict m_at = (REAL *)address[2];
        REAL *restrict v_at = (REAL *)address[3];
        const REAL grad_scale = (REAL)scalar[0], decay = (REAL)scalar[1];
        const REAL new_m = (REAL)scalar[2], new_v = (REAL)scalar[3];
        const REAL step_size = (REAL)scalar[4], root_scale = (REAL)scalar[5], eps = (REAL)scalar[6];
        #pragma omp simd
        for (int64_t i = begin; i < end; i++) {
            const REAL grad = LOAD(GRAD, grad_at[i]) * grad_scale;
            const REAL m = m_at[i] + new_m * (grad - m_at[i]);
            const REAL v = v_at[i] + new_v * (grad * grad - v_at[i]);
            const REAL param = LOAD(PARAM, param_at[i]) * decay;
            param_at[i] = STORE(PARAM, param - step_size * m / (SQRT(v) * root_scale + eps));
            m_at[i] = m;
            v_at[i] = v;
        }
    }
}
"""
)


def adamw_torch(param, grad, m, v, grad_scale, decay, new_m, new_v, step_size, root_scale, eps):
    """One pass: reads param, grad, m, v; writes param, m, v."""
    grad = grad * grad_scale
    m = m + new_m * (grad - m)
    v = v + new_v * (grad * grad - v)
    param = param * decay - step_size * m / (torch.sqrt(v) * root_scale + eps)
    return param, m, v


class AdamW(CompiledOptimizer):
    """Adam with decoupled weight decay."""

    hypers = (
        Hyper("lr", 1e-3, low=0.0, high_closed=False),
        Hyper("betas", (0.9, 0.999), low=0.0, high=1.0, high_closed=False, type="tuple", items=("beta1", "beta2")),
        Hyper("eps", 1e-8, low=0.0, high_closed=False),
        Hyper("weight_decay", 1e-2, low=0.0, high_closed=False),
    )  # fmt: skip
    paths = (
        Path(
            streams=(
                Stream("param", dtype="param", kind="param"),
                Stream("grad", dtype="grad", kind="grad"),
                Stream("m"),
                Stream("v"),
            ),
            steps=(
                Sweep(
                    "adamw",
                    loads=("param", "grad", "m", "v"),
                    stores=("param", "m", "v"),
                    scalars=(0, 1, 2, 3, 4, 5, 6),
                    tables=("tasks", "pointers", "scalars"),
                    triton=adamw,
                    triton_tables=("tasks", "pointers", "scalars"),
                    torch=adamw_torch,
                ),
            ),
        ),
    )
    values, totals, partials = 0, 0, 0
    c_source = ADAMW_C

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        *,
        maximize=False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    @staticmethod
    def host(hyper: dict[str, Any], fact: Facts, state: dict[str, float]) -> Choice:
        """Which path a tensor of AdamW takes in this call, and its host scalars."""
        beta1, beta2 = hyper["betas"]
        eps = hyper["eps"]
        lr = hyper["lr"]
        weight_decay = hyper["weight_decay"]
        grad_scale = fact.grad_scale
        t = fact.t
        return Choice(
            0,
            scalars=(
                grad_scale,
                1 - lr * weight_decay,
                1 - beta1,
                1 - beta2,
                lr / (1 - beta1**t),
                1 / math.sqrt(1 - beta2**t),
                eps,
            ),
        )


# ---------------------------------------------------------------- Lamb: sweep, finish, sweep

LAMB_C = (
    PRELUDE
    + r"""
#define VALUES 2
#define PARTIALS 2

/* One pass: reads param, grad, m; writes m; sums param_square, u_square */
void lamb_1(int64_t count, const int64_t *tasks, const int64_t *pointers, const double *scalars, double *partials)
{
    #pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < count; task++) {
        const int64_t tensor = tasks[3 * task], begin = tasks[3 * task + 1], end = tasks[3 * task + 2];
        const int64_t *address = pointers + 3 * tensor;
        const double *scalar = scalars + 4 * tensor;
        const PARAM *restrict param_at = (const PARAM *)address[0];
        const GRAD *restrict grad_at = (const GRAD *)address[1];
        REAL *restrict m_at = (REAL *)address[2];
        const REAL grad_scale = (REAL)scalar[0], new_m = (REAL)scalar[1], weight_decay = (REAL)scalar[2];
        REAL param_square = 0, u_square = 0;
        #pragma omp simd reduction(+ : param_square, u_square)
        for (int64_t i = begin; i < end; i++) {
            const REAL param = LOAD(PARAM, param_at[i]);
            const REAL m = m_at[i] + new_m * (LOAD(GRAD, grad_at[i]) * grad_scale - m_at[i]);
            const REAL u = m + weight_decay * param;
            param_square += param * param;
            u_square += u * u;
            m_at[i] = m;
        }
        partials[PARTIALS * task] = param_square;
        partials[PARTIALS * task + 1] = u_square;
    }
}

/* Per tensor: a, b */
void lamb_finish(int64_t count, double *values, const double *partials, const int64_t *spans)
{
    for (int64_t tensor = 0; tensor < count; tensor++) {
        double a = 0, b = 0;
        for (int64_t k = spans[2 * tensor]; k < spans[2 * tensor] + spans[2 * tensor + 1]; k++) {
            a += partials[PARTIALS * k];
            b += partials[PARTIALS * k + 1];
        }
        values[VALUES * tensor] = a;
        values[VALUES * tensor + 1] = b;
    }
}

/* One pass: reads param, m; writes param */
void lamb_2(int64_t count, const int64_t *tasks, const int64_t *pointers, const double *scalars, const double *values)
{
    #pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < count; task++) {
        const int64_t tensor = tasks[3 * task], begin = tasks[3 * task + 1], end = tasks[3 * task + 2];
        const int64_t *address = pointers + 3 * tensor;
        const double *scalar = scalars + 4 * tensor;
        PARAM *restrict param_at = (PARAM *)address[0];
        const REAL *restrict m_at = (const REAL *)address[2];
        const REAL weight_decay = (REAL)scalar[2], lr = (REAL)scalar[3];
        const REAL a = (REAL)sqrt(values[VALUES * tensor]), b = (REAL)sqrt(values[VALUES * tensor + 1]);
        const REAL ratio = a > 0 && b > 0 ? a / b : 1;
        #pragma omp simd
        for (int64_t i = begin; i < end; i++) {
            const REAL param = LOAD(PARAM, param_at[i]);
            param_at[i] = STORE(PARAM, param - lr * (ratio * (m_at[i] + weight_decay * param)));
        }
    }
}
"""
)


def lamb_1_torch(param, grad, m, grad_scale, new_m, weight_decay):
    """One pass: reads param, grad, m; writes m; sums param_square, u_square."""
    m = m + new_m * (grad * grad_scale - m)
    u = m + weight_decay * param
    return m, (param * param).sum(), (u * u).sum()


def lamb_2_torch(param, m, weight_decay, lr, param_square, u_square):
    """One pass: reads param, m; writes param."""
    a, b = torch.sqrt(param_square), torch.sqrt(u_square)
    ratio = torch.where((a > 0) & (b > 0), a / b, 1.0)
    return (param - lr * (ratio * (m + weight_decay * param)),)


class Lamb(CompiledOptimizer):
    """A direction with its decay, scaled per tensor to the length of the parameter."""

    hypers = (
        Hyper("lr", 1e-3, low=0.0, high_closed=False),
        Hyper("beta", 0.9, low=0.0, high=1.0, high_closed=False),
        Hyper("weight_decay", 1e-2, low=0.0, high_closed=False),
    )
    paths = (
        Path(
            streams=(
                Stream("param", dtype="param", kind="param"),
                Stream("grad", dtype="grad", kind="grad"),
                Stream("m"),
            ),
            steps=(
                Sweep(
                    "lamb_1",
                    loads=("param", "grad", "m"),
                    stores=("m",),
                    partials=("sum", "sum"),
                    scalars=(0, 1, 2),
                    tables=("tasks", "pointers", "scalars", "partials"),
                    torch=lamb_1_torch,
                ),
                Finish(
                    "lamb_finish",
                    "tensor",
                    completes=((0, "sum", 0), (1, "sum", 1)),
                    tables=("values", "partials", "spans"),
                ),
                Sweep(
                    "lamb_2",
                    loads=("param", "m"),
                    stores=("param",),
                    scalars=(2, 3),
                    values=(0, 1),
                    tables=("tasks", "pointers", "scalars", "values"),
                    torch=lamb_2_torch,
                ),
            ),
        ),
    )
    values, totals, partials = 2, 0, 2
    c_source = LAMB_C

    def __init__(self, params, lr=1e-3, beta=0.9, weight_decay=1e-2, *, maximize=False) -> None:
        super().__init__(
            params,
            {"lr": lr, "beta": beta, "weight_decay": weight_decay, "maximize": maximize},
        )

    @staticmethod
    def host(hyper: dict[str, Any], fact: Facts, state: dict[str, float]) -> Choice:
        """Which path a tensor of Lamb takes in this call, and its host scalars."""
        return Choice(
            0,
            scalars=(
                fact.grad_scale,
                1 - hyper["beta"],
                hyper["weight_decay"],
                hyper["lr"],
            ),
        )


# ---------------------------------------------------------------- ClippedSGD: a global finish

CLIPPED_C = (
    PRELUDE
    + r"""
#define PARTIALS 1

/* One pass: reads grad; sums grad_square */
void clipped_1(int64_t count, const int64_t *tasks, const int64_t *pointers, double *partials)
{
    #pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < count; task++) {
        const int64_t tensor = tasks[3 * task], begin = tasks[3 * task + 1], end = tasks[3 * task + 2];
        const GRAD *restrict grad_at = (const GRAD *)(pointers + 2 * tensor)[1];
        REAL grad_square = 0;
        #pragma omp simd reduction(+ : grad_square)
        for (int64_t i = begin; i < end; i++) {
            const REAL grad = LOAD(GRAD, grad_at[i]);
            grad_square += grad * grad;
        }
        partials[PARTIALS * task] = grad_square;
    }
}

/* Global: grad_square, scale */
void clipped_finish(int64_t count, const double *scalars, double *totals, const double *partials, const int64_t *spans)
{
    double grad_square = 0;
    const int64_t *span = spans + 2 * (count - 1);
    for (int64_t k = 0; k < span[0] + span[1]; k++) grad_square += partials[PARTIALS * k];
    totals[0] = grad_square;
    totals[1] = fmin(1, scalars[2] / (sqrt(grad_square) + 1e-6));
}

/* One pass: reads param, grad; writes param */
void clipped_2(int64_t count, const int64_t *tasks, const int64_t *pointers, const double *scalars, const double *totals)
{
    #pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < count; task++) {
        const int64_t tensor = tasks[3 * task], begin = tasks[3 * task + 1], end = tasks[3 * task + 2];
        const int64_t *address = pointers + 2 * tensor;
        PARAM *restrict param_at = (PARAM *)address[0];
        const GRAD *restrict grad_at = (const GRAD *)address[1];
        const double *scalar = scalars + 3 * tensor;
        const REAL grad_scale = (REAL)scalar[0], lr = (REAL)scalar[1], scale = (REAL)totals[1];
        #pragma omp simd
        for (int64_t i = begin; i < end; i++) {
            const REAL direction = LOAD(GRAD, grad_at[i]) * grad_scale * scale;
            param_at[i] = STORE(PARAM, LOAD(PARAM, param_at[i]) - lr * direction);
        }
    }
}
"""
)


def clipped_1_torch(grad):
    """One pass: reads grad; sums grad_square."""
    return ((grad * grad).sum(),)


def clipped_finish_torch(max_norm, grad_square):
    """Global: scale."""
    return (torch.clamp(max_norm / (torch.sqrt(grad_square) + 1e-6), max=1.0),)


def clipped_2_torch(param, grad, grad_scale, lr, scale):
    """One pass: reads param, grad; writes param."""
    return (param - lr * (grad * grad_scale * scale),)


class ClippedSGD(CompiledOptimizer):
    """Plain steps along gradients scaled down together to a norm of at most max_norm."""

    hypers = (
        Hyper("lr", 1e-3, low=0.0, high_closed=False),
        Hyper("max_norm", 1.0, low=0.0, low_closed=False, high_closed=False, agree=True),
    )
    paths = (
        Path(
            streams=(
                Stream("param", dtype="param", kind="param"),
                Stream("grad", dtype="grad", kind="grad"),
            ),
            steps=(
                Sweep(
                    "clipped_1",
                    loads=("grad",),
                    stores=(),
                    partials=("sum",),
                    tables=("tasks", "pointers", "partials"),
                    torch=clipped_1_torch,
                ),
                Finish(
                    "clipped_finish",
                    "global",
                    completes=((0, "sum", 0),),
                    results=(1,),
                    scalars=(2,),
                    totals=(0,),
                    tables=("scalars", "totals", "partials", "spans"),
                    torch=clipped_finish_torch,
                ),
                Sweep(
                    "clipped_2",
                    loads=("param", "grad"),
                    stores=("param",),
                    scalars=(0, 1),
                    totals=(1,),
                    tables=("tasks", "pointers", "scalars", "totals"),
                    torch=clipped_2_torch,
                ),
            ),
        ),
    )
    values, totals, partials = 0, 2, 1
    c_source = CLIPPED_C

    def __init__(self, params, lr=1e-3, max_norm=1.0, *, maximize=False) -> None:
        super().__init__(params, {"lr": lr, "max_norm": max_norm, "maximize": maximize})

    @staticmethod
    def host(hyper: dict[str, Any], fact: Facts, state: dict[str, float]) -> Choice:
        """Which path a tensor of ClippedSGD takes in this call, and its host scalars."""
        return Choice(0, scalars=(fact.grad_scale, hyper["lr"], hyper["max_norm"]))


# ---------------------------------------------------------------- RowSGD: a sweep over rows

ROWS_C = (
    PRELUDE
    + r"""
/* One pass over rows: reads param, grad, v; writes param, v */
void rows_(int64_t count, const int64_t *tasks, const int64_t *pointers, const int64_t *shapes, const double *scalars)
{
    #pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < count; task++) {
        const int64_t tensor = tasks[3 * task], begin = tasks[3 * task + 1], end = tasks[3 * task + 2];
        const int64_t *address = pointers + 3 * tensor;
        const int64_t cols = (shapes + 3 * tensor)[2];
        const double *scalar = scalars + 4 * tensor;
        PARAM *restrict param_at = (PARAM *)address[0];
        const GRAD *restrict grad_at = (const GRAD *)address[1];
        REAL *restrict v_at = (REAL *)address[2];
        const REAL grad_scale = (REAL)scalar[0], lr = (REAL)scalar[1], new_v = (REAL)scalar[2], eps = (REAL)scalar[3];
        for (int64_t row = begin; row < end; row++) {
            double total = 0;
            #pragma omp simd reduction(+ : total)
            for (int64_t i = row * cols; i < (row + 1) * cols; i++) {
                const REAL grad = LOAD(GRAD, grad_at[i]);
                total += grad * grad;
            }
            const REAL v = v_at[row] + new_v * ((REAL)(total / cols) - v_at[row]);
            #pragma omp simd
            for (int64_t i = row * cols; i < (row + 1) * cols; i++) {
                const REAL direction = LOAD(GRAD, grad_at[i]) * grad_scale / (SQRT(v) + eps);
                param_at[i] = STORE(PARAM, LOAD(PARAM, param_at[i]) - lr * direction);
            }
            v_at[row] = v;
        }
    }
}
"""
)


def rows_torch(param, grad, v, grad_scale, lr, new_v, eps):
    """One pass over rows: reads param, grad, v; writes param, v."""
    v = v + new_v * ((grad * grad).mean(1, keepdim=True) - v)
    return param - lr * (grad * grad_scale / (torch.sqrt(v) + eps)), v


class RowSGD(CompiledOptimizer):
    """Steps divided by one running root mean square per row."""

    hypers = (
        Hyper("lr", 1e-3, low=0.0, high_closed=False),
        Hyper("beta", 0.9, low=0.0, high=1.0, high_closed=False),
        Hyper("eps", 1e-8, low=0.0, high_closed=False),
    )
    paths = (
        Path(
            streams=(
                Stream("param", dtype="param", kind="param"),
                Stream("grad", dtype="grad", kind="grad"),
                Stream("v", "rows"),
            ),
            steps=(
                Sweep(
                    "rows_",
                    loads=("param", "grad", "v"),
                    stores=("param", "v"),
                    cell="rows",
                    scalars=(0, 1, 2, 3),
                    tables=("tasks", "pointers", "shapes", "scalars"),
                    torch=rows_torch,
                ),
            ),
        ),
    )
    values, totals, partials = 0, 0, 0
    c_source = ROWS_C

    def __init__(self, params, lr=1e-3, beta=0.9, eps=1e-8, *, maximize=False) -> None:
        super().__init__(params, {"lr": lr, "beta": beta, "eps": eps, "maximize": maximize})

    @staticmethod
    def host(hyper: dict[str, Any], fact: Facts, state: dict[str, float]) -> Choice:
        """Which path a tensor of RowSGD takes in this call, and its host scalars."""
        return Choice(
            0,
            scalars=(fact.grad_scale, hyper["lr"], 1 - hyper["beta"], hyper["eps"]),
        )


ALL = (AdamW, Lamb, ClippedSGD, RowSGD)
