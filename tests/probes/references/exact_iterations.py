"""The iterations as their papers write them, in mpmath at 50 digits: the oracle of accuracy."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
import torch

Iteration = Callable[[mp.matrix, mp.matrix], mp.matrix]
"""From S = X^T X and b = X^T y of one prefix to the weights."""

NEGLIGIBLE = mp.mpf(10) ** -28
"""Eigenvalues below this part of the largest are 0 in exact arithmetic."""


def predictions(xs: torch.Tensor, ys: torch.Tensor, point: int, iteration: Iteration) -> np.ndarray:
    """What the iteration predicts at one point of every prompt."""
    predicted = []
    with mp.workdps(50):
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            examples, targets = mp.matrix(x[:point]), mp.matrix(y[:point])
            weights = iteration(examples.T * examples, examples.T * targets)
            predicted.append(float(sum(w * q for w, q in zip(weights, x[point], strict=True))))
    return np.array(predicted)


def relative_error(
    predicted: torch.Tensor, xs: torch.Tensor, ys: torch.Tensor, point: int, iteration: Iteration
) -> float:
    """Largest error at one point, relative to the prompt's largest |y|."""
    exact = torch.from_numpy(predictions(xs, ys, point, iteration))
    return float(((predicted[:, point] - exact).abs() / ys.abs().amax(-1)).max())


def gd(eta: Callable[[mp.matrix], mp.mpf] | float, step: int) -> Iteration:
    def iterate(gram: mp.matrix, b: mp.matrix) -> mp.matrix:
        size = eta(gram) if callable(eta) else mp.mpf(eta)
        d = gram.rows
        affine = mp.eye(d + 1)  # [w; 1] <- affine [w; 1]
        for i in range(d):
            for j in range(d):
                affine[i, j] -= size * gram[i, j]
            affine[i, d] = size * b[i]
        power, remaining = mp.eye(d + 1), step
        while remaining:
            power = power * affine if remaining & 1 else power
            affine, remaining = affine * affine, remaining >> 1
        return power[:d, d]

    return iterate


def newton(
    alpha: Callable[[mp.matrix], mp.mpf] | float, step: int, ridge: float = 0.0, order: int = 2
) -> Iteration:
    def iterate(gram: mp.matrix, b: mp.matrix) -> mp.matrix:
        identity = mp.eye(gram.rows)
        gram = gram + mp.mpf(ridge) * identity
        inverse = (alpha(gram) if callable(alpha) else mp.mpf(alpha)) * gram
        for _ in range(step):
            residual = identity - gram * inverse
            series = identity
            for _ in range(order - 1):
                series = identity + residual * series
            inverse = inverse * series
        return inverse * b

    return iterate


def ols(gram: mp.matrix, b: mp.matrix) -> mp.matrix:
    values, vectors = mp.eigsy(gram)
    along = vectors.T * b
    for i, value in enumerate(values):
        along[i] = along[i] / value if value > max(values) * NEGLIGIBLE else mp.mpf(0)
    return vectors * along


def conjugate_gradients(step: int) -> Iteration:
    def iterate(gram: mp.matrix, b: mp.matrix) -> mp.matrix:
        weights, residual = mp.zeros(gram.rows, 1), b.copy()
        direction, squared = residual.copy(), dot(b, b)
        for _ in range(step):
            if squared <= dot(b, b) * mp.mpf(10) ** -60:
                break
            image = gram * direction
            length = squared / dot(direction, image)
            weights, residual = weights + length * direction, residual - length * image
            squared, before = dot(residual, residual), squared
            direction = residual + squared / before * direction
        return weights

    return iterate


def bfgs_with_exact_line_search(step: int) -> Iteration:
    def iterate(gram: mp.matrix, b: mp.matrix) -> mp.matrix:
        identity = mp.eye(gram.rows)
        weights, gradient, inverse = mp.zeros(gram.rows, 1), -b, identity
        for _ in range(step):
            direction = -(inverse * gradient)
            if dot(gradient, gradient) <= dot(b, b) * mp.mpf(10) ** -60:
                break
            length = -dot(gradient, direction) / dot(direction, gram * direction)
            change = length * (gram * direction)
            moved = length * direction
            weights, gradient = weights + moved, gradient + change
            rho = 1 / dot(moved, change)
            left = identity - rho * moved * change.T
            inverse = left * inverse * left.T + rho * moved * moved.T
        return weights

    return iterate


def dot(a: mp.matrix, b: mp.matrix) -> mp.mpf:
    return (a.T * b)[0]


def eigenvalues(gram: mp.matrix) -> list[mp.mpf]:
    return sorted(mp.eigsy(gram, eigvals_only=True))


def inverse_largest(gram: mp.matrix) -> mp.mpf:
    return 1 / eigenvalues(gram)[-1]


def optimal(gram: mp.matrix) -> mp.mpf:
    values = eigenvalues(gram)
    return 2 / (values[-1] + next(v for v in values if v > values[-1] * NEGLIGIBLE))


def frobenius(gram: mp.matrix) -> mp.mpf:
    return 1 / mp.sqrt(sum(x**2 for x in gram * gram.T))


def spectral(gram: mp.matrix) -> mp.mpf:
    return 2 / eigenvalues(gram)[-1] ** 2
