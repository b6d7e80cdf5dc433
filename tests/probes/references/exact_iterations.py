"""The iterations in mpmath at 50 digits, as an oracle."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
import torch

mp.mp.dps = 50

Filter = Callable[[mp.mpf, list[mp.mpf], mp.mpf], mp.mpf]
"""(step, all d eigenvalues of S, one of them) -> learnt fraction."""


def exact_weights(xs: np.ndarray, ys: np.ndarray, polynomial: Callable) -> np.ndarray:
    """`polynomial(S, b)` -> weights, in exact matrices of one prefix."""
    if not len(ys):
        return np.zeros(xs.shape[1])
    matrix, targets = mp.matrix(xs.tolist()), mp.matrix(ys.tolist())
    return np.array([float(w) for w in polynomial(matrix.T * matrix, matrix.T * targets)])


def squared_power(matrix: mp.matrix, exponent: int) -> mp.matrix:
    """A whole power of a matrix by repeated squaring."""
    power, square = mp.eye(matrix.rows), matrix
    while exponent:
        if exponent & 1:
            power = power * square
        square, exponent = square * square, exponent >> 1
    return power


def gd(eta: Callable | float, step: int) -> Callable:
    def iterate(gram: mp.matrix, b: mp.matrix) -> mp.matrix:
        size = eta(gram) if callable(eta) else mp.mpf(eta)
        # [w; 1] <- [[I - eta S, eta b], [0, 1]] [w; 1]
        d = gram.rows
        affine = mp.eye(d + 1)
        for i in range(d):
            for j in range(d):
                affine[i, j] -= size * gram[i, j]
            affine[i, d] = size * b[i]
        return squared_power(affine, step)[:d, d]

    return iterate


def newton(alpha: Callable | float, step: int, ridge: float = 0.0, order: int = 2) -> Callable:
    def iterate(gram: mp.matrix, b: mp.matrix) -> mp.matrix:
        gram = gram + ridge * mp.eye(gram.rows)
        inverse = (alpha(gram) if callable(alpha) else mp.mpf(alpha)) * gram
        for _ in range(step):
            residual = mp.eye(gram.rows) - gram * inverse
            series = mp.eye(gram.rows)
            for _ in range(order - 1):
                series = mp.eye(gram.rows) + residual * series
            inverse = inverse * series
        return inverse * b

    return iterate


def eigenvalues(gram: mp.matrix) -> list[mp.mpf]:
    values, _ = mp.eigsy(gram)
    return sorted(values)


def inverse_largest(gram: mp.matrix) -> mp.mpf:
    return 1 / eigenvalues(gram)[-1]


def optimal(gram: mp.matrix) -> mp.mpf:
    values = eigenvalues(gram)
    smallest = next(value for value in values if value > values[-1] * mp.mpf(10) ** -28)
    return 2 / (smallest + values[-1])


def frobenius(gram: mp.matrix) -> mp.mpf:
    return 1 / mp.sqrt(sum(x**2 for x in gram * gram.T))


def spectral(gram: mp.matrix) -> mp.mpf:
    return 2 / eigenvalues(gram)[-1] ** 2


def ols(gram: mp.matrix, b: mp.matrix) -> mp.matrix:
    values, vectors = mp.eigsy(gram)
    along = vectors.T * b
    for i, value in enumerate(values):
        along[i] = along[i] / value if value > max(values) * mp.mpf(10) ** -28 else mp.mpf(0)
    return vectors * along


def relative_error(predictions: torch.Tensor, exact: np.ndarray, ys: torch.Tensor) -> float:
    """Largest error relative to the prompt's largest |y|."""
    scale = ys.abs().amax(-1, keepdim=True)
    return float(((predictions - torch.from_numpy(exact)).abs() / scale).max())
