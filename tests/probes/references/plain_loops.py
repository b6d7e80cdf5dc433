"""Every iteration as a plain loop over one prefix in float64, as its source writes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Loop = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""(X, y, step) -> weights."""


def positive_eigenvalues(x: np.ndarray) -> np.ndarray:
    values = np.linalg.svd(x, compute_uv=False) ** 2
    return values[values > 1e-25 * values.max()]


def gd(eta: float | str) -> Loop:
    def run(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
        values = positive_eigenvalues(x)
        rules = {"inverse_largest": 1 / values.max(), "optimal": 2 / (values.max() + values.min())}
        size = rules.get(eta, eta)
        w = np.zeros(x.shape[1])
        for _ in range(step):
            w = w - size * (x.T @ (x @ w - y))
        return w

    return run


def newton(alpha: float | str, ridge: float = 0.0, order: int = 2) -> Loop:
    def run(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
        identity = np.eye(x.shape[1])
        s = x.T @ x + ridge * identity
        rules = {
            "frobenius": 1 / np.linalg.norm(s @ s.T, "fro"),
            "spectral": 2 / np.linalg.norm(s @ s.T, 2),
        }
        m = rules.get(alpha, alpha) * s
        for _ in range(step):
            r = identity - s @ m
            m = m @ sum(np.linalg.matrix_power(r, j) for j in range(order))
        return m @ x.T @ y

    return run


def heavy_ball(eta: float | None, beta: float | None) -> Loop:
    def run(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
        values = positive_eigenvalues(x)
        size = eta or 4 / (np.sqrt(values.max()) + np.sqrt(values.min())) ** 2
        momentum = (1 - np.sqrt(size * values.min())) ** 2 if beta is None else beta
        w = before = np.zeros(x.shape[1])
        for _ in range(step):
            w, before = w - size * (x.T @ (x @ w - y)) + momentum * (w - before), w
        return w

    return run


def nesterov(eta: float | None, beta: float | str | None) -> Loop:
    def run(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
        values = positive_eigenvalues(x)
        size = eta or 1 / values.max()
        root = np.sqrt(size * values.min())
        w = before = np.zeros(x.shape[1])
        for k in range(step):
            momentum = (1 - root) / (1 + root) if beta is None else beta
            momentum = k / (k + 3) if beta == "convex" else momentum
            u = w + momentum * (w - before)
            w, before = u - size * (x.T @ (x @ u - y)), w
        return w

    return run


def chebyshev(interval: tuple[float, float] | None) -> Loop:
    """The three-term form of Saad, Iterative Methods for Sparse Linear Systems, Algorithm 12.1."""

    def run(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
        values = positive_eigenvalues(x)
        smallest, largest = interval or (values.min(), values.max())
        theta, delta = (largest + smallest) / 2, (largest - smallest) / 2
        w = np.zeros(x.shape[1])
        residual = x.T @ (y - x @ w)
        d = residual / theta
        rho = delta / theta
        for _ in range(step):
            w = w + d
            residual = residual - x.T @ (x @ d)
            if delta == 0:
                d = residual / theta
                continue
            rho_next = 1 / (2 * theta / delta - rho)
            d = rho_next * rho * d + 2 * rho_next / delta * residual
            rho = rho_next
        return w

    return run


def preconditioned_gd(eta: float, damping: float) -> Loop:
    def run(x: np.ndarray, y: np.ndarray, step: int) -> np.ndarray:
        s, w = x.T @ x, np.zeros(x.shape[1])
        for _ in range(step):
            w = w - eta * np.linalg.solve(s + damping * np.eye(len(s)), s @ w - x.T @ y)
        return w

    return run


def gdpp_prediction(
    x: np.ndarray, y: np.ndarray, query: np.ndarray, step: int, eta: float | str, gamma: float | str
) -> float:
    """GD++ on the tokens themselves, as a transformer's layers transform them."""
    residual, prediction = y.copy(), 0.0
    for _ in range(step):
        values = np.linalg.svd(x, compute_uv=False) ** 2
        size = 1 / values.max() if eta == "inverse_largest" else eta
        contraction = 1 / (3 * values.max()) if gamma == "monotone" else gamma
        change = size * (x.T @ residual)
        prediction += change @ query
        residual = residual - x @ change
        transform = np.eye(x.shape[1]) - contraction * (x.T @ x)
        x, query = x @ transform, transform @ query
    return prediction
