"""Matrices in the interpreter: products, factorisations with their signs, places."""

from __future__ import annotations

import numpy as np
import pytest
from interpreting import interpreter, random_grads, values
from language import rule

from stepc.dsl.factorise import descending, eigh, inverse_root, put, qr, svd, take

X = np.random.default_rng(5).standard_normal((5, 4))
S = X.T @ X


def test_matrix_products_are_of_rows_and_columns() -> None:
    grad = np.random.default_rng(0).standard_normal((3, 2, 2))
    run = interpreter(
        rule(
            "s = s + grad @ grad.T\ndirection = s @ grad * mean(s, per rows) + trace(s)",
            "requires ndim >= 2\nstate s: matrix(rows, rows) = identity",
        ),
        [(3, 2, 2)],
    )
    start = values(run)[0].copy()
    run.step([grad])
    flat = grad.reshape(3, 4)
    s = np.eye(3) + flat @ flat.T
    expected = s @ flat * s.mean(axis=1)[:, None] + np.trace(s)
    np.testing.assert_allclose(run.states[0]["s"], s, rtol=1e-12)
    np.testing.assert_allclose((start - values(run)[0]).reshape(3, 4), expected, rtol=1e-10)


def test_shapes_of_their_own_join_along_the_axis_they_have() -> None:
    spec = rule(
        """
        p = p + mean(grad, per rows)
        r = norm(p, per cols)
        direction = mean(p * r * mean(grad, per rows)) + p @ q
        """,
        "requires ndim >= 2\nstate p: matrix(rows, 2)\nstate q: matrix(2, cols) = 1",
    )
    run = interpreter(spec, [(5, 4)])
    start = values(run)[0].copy()
    run.step([X])
    means = X.mean(axis=1)[:, None]
    p = np.repeat(means, 2, axis=1)
    expected = (p * np.linalg.norm(p, axis=0) * means).mean() + p @ np.ones((2, 4))
    np.testing.assert_allclose(run.states[0]["p"], p, rtol=1e-12)
    np.testing.assert_allclose(start - values(run)[0], expected, rtol=1e-9)


# ---------------------------------------------------------------- factorisations


def test_eigh_is_ascending_with_positive_largest_components() -> None:
    e, q = eigh(S)
    assert np.all(np.diff(e) > 0)
    np.testing.assert_allclose(q * e @ q.T, S, atol=1e-12)
    assert np.all(q[np.abs(q).argmax(axis=0), range(4)] > 0)
    np.testing.assert_allclose(eigh(np.array([[2.0, 1.0], [1.0, 2.0]]))[0], [1, 3], rtol=1e-12)


@pytest.mark.parametrize("x", [X, X.T, S, -S])
def test_qr_has_a_positive_diagonal(x: np.ndarray) -> None:
    q, r = qr(x)
    np.testing.assert_allclose(q @ r, x, atol=1e-12)
    np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-12)
    assert np.all(np.diag(r) > 0) and np.allclose(r, np.triu(r))


@pytest.mark.parametrize("x", [X, X.T])
def test_svd(x: np.ndarray) -> None:
    a, s, b = svd(x)
    np.testing.assert_allclose(a @ np.diag(s) @ b.T, x, atol=1e-12)
    assert a.shape == (len(x), 4) or a.shape == (4, 4)
    assert np.all(a[np.abs(a).argmax(axis=0), range(4)] > 0)


def test_inverse_root() -> None:
    root = inverse_root(S, np.array(4.0))
    np.testing.assert_allclose(np.linalg.matrix_power(root, 4) @ S, np.eye(4), atol=1e-9)
    shifted = inverse_root(0 * S, np.array(2.0), 0.25)
    np.testing.assert_allclose(shifted, 2 * np.eye(4), atol=1e-12)


def test_descending_keeps_the_order_of_equals() -> None:
    assert descending(np.array([1.0, 3.0, 2.0, 3.0])).tolist() == [1, 3, 2, 0]


def test_places_are_taken_and_put_axis_by_axis() -> None:
    rows, order = np.array([0, 3]), np.array([2, 0, 1])
    np.testing.assert_array_equal(take(X, [rows, order]), X[np.ix_(rows, order)])
    np.testing.assert_array_equal(take(X, [slice(None), np.array(1)]), X[:, 1])
    changed = put(X, [rows, slice(2)], np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert changed[3].tolist() == [3, 4, X[3, 2], X[3, 3]]
    np.testing.assert_array_equal(changed[[1, 2, 4]], X[[1, 2, 4]])


def test_positions_and_quantiles() -> None:
    spec = rule("direction = argmin(grad) + 100 * argmax(grad, per rows) + quantile(grad, 0.25)")
    run = interpreter(spec, [(5, 4)])
    start = values(run)[0].copy()
    run.step([X])
    expected = X.argmin() + 100 * X.argmax(axis=1)[:, None] + np.quantile(X, 0.25) + 0 * X
    np.testing.assert_allclose(start - values(run)[0], expected, rtol=1e-10)


SOAP = (
    "def refresh(stat, basis):\n"
    "    order = descending(diagonal(basis.T @ stat @ basis))\n"
    "    q, r = qr(stat @ basis[:, order])\n"
    "    return q, order\n\n"
) + rule(
    """
    first:
        L = 0.1 * grad @ grad.T
        e, Q = eigh(L)
        skip
    v = lerp(v, (Q.T @ grad)^2, 0.1)
    direction = Q @ ((Q.T @ grad) / (sqrt(v) + 1e-3))
    """,
    """
    requires ndim >= 2
    state v: like param
    state L: matrix(rows, rows)
    state Q: matrix(rows, rows)
    """,
    """
    after:
        L = lerp(L, grad @ grad.T, 0.1)
        every 2:
            Q, order = refresh(L, Q)
            v = v[order, :]
    """,
)


def test_a_rule_in_a_rotated_basis() -> None:
    run = interpreter(SOAP, [(4, 6)])
    param = values(run)[0].copy()
    (first,), *rest = random_grads([(4, 6)], 6)
    run.step([first])
    stat = 0.1 * first @ first.T
    basis = np.linalg.eigh(stat)[1]
    v = np.zeros((4, 6))
    for t, (grad,) in enumerate(rest, start=1):
        run.step([grad])
        turned = basis.T @ grad
        v = 0.9 * v + 0.1 * turned**2
        param = param - basis @ (turned / (np.sqrt(v) + 1e-3))
        stat = 0.9 * stat + 0.1 * grad @ grad.T
        if t % 2 == 0:
            order = np.argsort(-np.diag(basis.T @ stat @ basis))
            basis, v = np.linalg.qr(stat @ basis[:, order])[0], v[order]
    np.testing.assert_allclose(values(run)[0], param, rtol=1e-9)  # whatever the signs
