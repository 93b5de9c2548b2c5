"""States: their shapes and levels, initial values, conditions, places and dtypes."""

from __future__ import annotations

import numpy as np
import pytest
from language import Run, every_target, refused, rule, same

from stepc.dsl.load import load

P = np.array([[1.0, -2.0, 3.0], [0.5, 0.25, 4.0]])
G = np.array([[1.0, -1.0, 2.0], [0.0, 3.0, -4.0]])
V = np.array([3.0, -1.0])
S = np.array(2.0)
C = np.arange(12.0).reshape(3, 2, 2, 1)


# ---------------------------------------------------------------- how many there are

LEVELS = {
    "like param": (lambda x: x.shape, 1),
    "per element": (lambda x: x.shape, 1),
    "per rows": (lambda x: (len(x) if x.ndim > 1 else 1,), None),
    "per cols": (lambda x: (x[0].size if x.ndim > 1 else x.size,), None),
    "per chunks(4)": (lambda x: (-(-x.size // 4),), None),
    "per heads(1)": (lambda x: (1,), None),
    "per tensor": (lambda x: (), None),
}


@every_target
@pytest.mark.parametrize("level", LEVELS)
def test_a_state_has_one_value_for_each(level: str, target: str) -> None:
    run = Run(target, rule("v = v + 2\ndirection = v", f"state v: {level} = 3"), P, V, S, C)
    run.step(0, 0, 0, 0)
    run.step(0, 0, 0, 0)
    for place, (start, now) in enumerate(zip((P, V, S, C), run.params, strict=True)):
        found = run.state("v", place)
        assert found.size == max(int(np.prod(LEVELS[level][0](start))), 1), level
        same(found, 7)
        same(start - now, 5 + 7)


@every_target
def test_a_number_and_a_vector_are_one_row(target: str) -> None:
    spec = rule(
        """
        r = sum(grad, per rows)
        c = sum(grad, per cols)
        direction = 10 * r + c + 100 * rows + 1000 * cols
        """,
        "state r: per rows\nstate c: per cols",
    )
    run = Run(target, spec, S, V, C)
    run.step(5, V, C)
    same(S - run.params[0], 50 + 5 + 100 + 1000)
    same(V - run.params[1], 20 + V + 100 + 2000)
    flat = C.reshape(3, 4)
    moved = 10 * flat.sum(1, keepdims=True) + flat.sum(0) + 300 + 4000
    same(C - run.params[2], moved.reshape(C.shape))


# ---------------------------------------------------------------- initial values


@every_target
def test_initial_values(target: str) -> None:
    """0, a number, param, grad as update sees it, an expression; rows and cells as well."""
    spec = rule(
        "".join(f"{name} += 0\n" for name in "abcdefgh") + "direction = a+b+c+d+e+f+g+h",
        """
        hyper start = 5.0
        state a: like param
        state b: like param = -2.5
        state c: like param = param
        state d: like param = grad
        state e: per tensor = norm(param)
        state f: per rows = max(abs(grad), per rows) + start
        state g: like param = start * numel
        state h: per cols = 4
        """,
        "grad:\n    grad = 3 * grad\nparam:\n    param = param * 2",
    )
    run = Run(target, spec, P)
    run.step(G)
    g = 3 * G
    values = {"a": 0, "b": -2.5, "c": P, "d": g, "e": np.sqrt((P**2).sum()),
              "f": np.abs(g).max(1) + 5, "g": 30.0, "h": 4}  # fmt: skip
    for name, value in values.items():
        same(run.state(name), value)
    moved = sum(np.asarray(v)[:, None] if n == "f" else v for n, v in values.items())
    same(run.params[0], 2 * (P - moved))
    before = run.params[0]
    run.step(10)
    same(run.params[0], 2 * (before - moved))  # initial values are of the first call only


@every_target
def test_an_initial_param_is_before_anything_wrote_it(target: str) -> None:
    """Also where the state is first touched in `after:`, when the parameter is new."""
    spec = rule(
        "direction = 1", "state old: like param = param", "after:\n    old = old + 0 * param"
    )
    run = Run(target, spec, P)
    run.step(0)
    same(run.state("old"), P)


@every_target
def test_a_state_that_no_path_touches_yet_still_begins_in_the_first_call(target: str) -> None:
    """Lookahead's slow copy: read only at the second step, it holds the first step's start."""
    spec = rule(
        "direction = 1",
        "state slow: like param = param",
        "param:\n    every 2:\n        slow = (slow + param) / 2\n        param = slow",
    )
    run = Run(target, spec, P)
    run.step(0)
    same(run.state("slow"), P)
    run.step(0)
    same(run.params[0], (P + P - 2) / 2)


@every_target
def test_a_state_of_a_late_tensor_begins_late(target: str) -> None:
    run = Run(target, rule("m = m / 2 + grad\ndirection = m", "state m: like param = grad"), V, V)
    run.step(8, None)
    run.step(8, 2)
    same(run.state("m", 0), (4 + 8) / 2 + 8)
    same(run.state("m", 1), 1 + 2)


# ---------------------------------------------------------------- conditions and shapes


@every_target
def test_a_state_when(target: str) -> None:
    spec = rule(
        """
        when momentum > 0:
            m = momentum * m + grad
            direction = m
        otherwise:
            direction = grad
        """,
        "hyper momentum = 0.0\nstate m: like param when momentum > 0",
    )
    run = Run(target, spec, V, V, groups=({}, {"momentum": 0.5}), of=(0, 1))
    run.step(1, 1)
    run.step(1, 1)
    assert not run.has("m", 0) and run.has("m", 1)
    same(V - run.params[0], 2)
    same(V - run.params[1], 1 + 1.5)


@every_target
def test_a_state_whose_shape_is_chosen_on_the_host(target: str) -> None:
    spec = rule(
        """
        when ndim > 1:
            m = m / 2 + grad
            direction = m
        otherwise:
            direction = -grad
        """,
        "state m: like param if ndim > 1 else none",
    )
    run = Run(target, spec, P, V)
    run.step(G, 1)
    run.step(G, 1)
    assert not run.has("m", 1)
    same(run.params[0], P - G - 1.5 * G)
    same(run.params[1], V + 2)


@every_target
def test_rows_or_elements_by_size(target: str) -> None:
    spec = rule(
        "v = v + mean(grad^2, per blocks)\ndirection = v",
        "partition blocks:\n    numel > 5 -> rows\n    else -> element\nstate v: per blocks",
    )
    run = Run(target, spec, P, V)
    run.step(G, V)
    assert run.state("v", 0).size == 2 and run.state("v", 1).size == 2
    same(P - run.params[0], (G**2).mean(1, keepdims=True))
    same(V - run.params[1], V**2)


def test_a_state_read_where_it_may_not_exist() -> None:
    with refused("E309"):
        load(rule("m = m + grad\ndirection = m", "state m: like param when ndim > 1"))
    with refused("E309"):
        load(rule("m = m + grad\ndirection = m", "state m: like param if ndim > 1 else none"))


# ---------------------------------------------------------------- places and dtypes


@every_target
def test_a_host_state_is_a_float(target: str) -> None:
    spec = rule("product *= beta\ndirection = grad / (1 - product)",
                "hyper beta = 0.5\nstate product: per tensor, host = 1")  # fmt: skip
    run = Run(target, spec, V, V)
    run.step(1, None)
    run.step(1, 1)
    same(run.state("product", 0), 0.25)
    same(run.state("product", 1), 0.5)
    same(V - run.params[0], 1 / 0.5 + 1 / 0.75)
    same(V - run.params[1], 2)


@every_target
def test_a_host_state_is_old_then_new(target: str) -> None:
    spec = rule("a = h\nh = h + 1\ndirection = 10 * a + h\nwhen h > 2:\n    direction = 1000",
                "state h: per tensor, host = 1")  # fmt: skip
    run = Run(target, spec, V)
    run.step(0)
    same(V - run.params[0], 12)
    run.step(0)
    same(V - run.params[0], 1012)


@every_target
def test_an_operand_of_a_host_state_is_the_old_value(target: str) -> None:
    spec = rule("d = grad * h\nh = 3 * h\nd = d + h\nh = h - 1\ndirection = 100 * d + h",
                "state h: per tensor, host = 1")  # fmt: skip
    run = Run(target, spec, V)
    run.step(5)
    same(V - run.params[0], 100 * (5 * 1 + 3) + 2)
    run.step(5)
    same(V - run.params[0], 100 * (5 * 1 + 3) + 2 + 100 * (5 * 2 + 6) + 5)


def test_a_host_state_takes_host_values() -> None:
    with refused("E312"):
        load(rule("h = norm(grad)\ndirection = h * grad", "state h: per tensor, host"))


@every_target
def test_a_state_beside_a_float64_parameter_is_float64(target: str) -> None:
    run = Run(target, rule("m = m + grad / 3\ndirection = m", "state m: like param"), V)
    run.step(1)
    assert float(run.state("m")[0]) == 1 / 3


@every_target
def test_a_state_beside_other_parameters_is_float32(target: str) -> None:
    for dtype in ("float32", "bfloat16", "float16"):
        run = Run(
            target, rule("m = m + grad / 3\ndirection = m", "state m: like param"), V, dtype=dtype
        )
        run.step(1)
        same(run.state("m")[0], np.float32(1 / 3), rtol=1e-7)
        assert float(run.state("m")[0]) == float(np.float32(run.state("m")[0]))


@every_target
def test_a_state_may_name_its_dtype(target: str) -> None:
    spec = rule("m = m + grad / 3\nr = mean(grad, per rows) / 3\ndirection = m + r",
                "state m: like param, bfloat16\nstate r: per rows, float16")  # fmt: skip
    run = Run(target, spec, P)
    run.step(1)
    same(run.state("m"), 0.333984375)
    same(run.state("r"), float(np.float16(1 / 3)))
    same(P - run.params[0], 2 / 3)  # the step itself uses what was not rounded


@every_target
def test_states_of_the_optimizer_meet_those_of_tensors(target: str) -> None:
    """A global state read by elements, written after; a tensor state that reads it."""
    spec = rule(
        "k = k + s\ns = s / 2 + max(abs(grad), per global)\ndirection = grad * s + k",
        "state s: per global = 1\nstate k: per tensor",
    )
    run = Run(target, spec, P, V)
    run.step(G, V)
    run.step(G, V)
    first, second = 0.5 + 4, (0.5 + 4) / 2 + 4
    same(run.global_state("s"), second)
    same(run.state("k", 1), 1 + first)
    same(V - run.params[1], V * first + 1 + V * second + 1 + first)


def test_agreement_between_groups_is_asked_of_what_reaches_a_global_state() -> None:
    spec = rule("s = s + rate\ndirection = grad * s * lr", "hyper rate = 1.0\nstate s: per global")
    for target in ("torch", "c"):
        Run(target, spec, V, V, groups=({}, {"lr": 0.5}), of=(0, 1)).step(1, 1)
        with pytest.raises(ValueError, match=r"rate must be the same[\s\S]*E601"):
            Run(target, spec, V, V, groups=({}, {"rate": 0.5}), of=(0, 1))
