"""Quasi-Newton iterations of one prefix in decimal arithmetic of 100 digits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from probes.references.prefixes import Prefixes

MANY_DIGITS = Context(prec=100)
"""In 60 steps at kappa(S) = 1e12 a rounding is amplified by up to 1e46; this leaves 1e-54."""

CONVERGED = Decimal("1e-100")
"""Part of the initial squared gradient at which no further step is taken."""

Digits = Shaped[np.ndarray, " dim"]
"""A vector of `Decimal`s."""


@dataclass(frozen=True)
class Quadratic:
    """w·S w / 2 - b·w of one prefix, as `Decimal`s; to be worked with within `MANY_DIGITS`."""

    hessian: Shaped[np.ndarray, "dim dim"]
    """S."""
    moment: Digits
    """b."""
    directions: Float[Tensor, "direction dim"]
    """Rows of the eigenbasis."""

    @classmethod
    def of_prefix(cls, prefixes: Prefixes, prompt: int, point: int) -> Quadratic:
        """From the pairs as they were given; no decomposition has rounded them.

        Where one of their singular values counts as 0, from the others, in the eigenbasis.
        """
        d = prefixes.decomposition
        values, coefficients = d.singular_values[prompt, point], d.coefficients[prompt, point]
        n_examples = prefixes.points[point]
        if bool((values[:n_examples] > 0).all()):
            examples = decimals(prefixes.whole.xs[prompt, :n_examples])
            targets = decimals(prefixes.whole.ys[prompt, :n_examples])
            directions = d.right_vectors[prompt, point]
        else:
            examples = np.diag(decimals(values))
            targets = examples @ decimals(coefficients)
            directions = torch.eye(len(values)).to(values)
        return cls(examples.T @ examples, examples.T @ targets, directions)

    def along_directions(self, weights: Digits) -> Float[Tensor, " direction"]:
        """V^T w in float64."""
        return self.directions @ self.directions.new_tensor([float(w) for w in weights])


def decimals(values: Float[Tensor, "*shape"]) -> Shaped[np.ndarray, "*shape"]:
    """The same numbers, digit for digit."""
    return np.vectorize(Decimal, otypes=[object])(values.cpu().numpy())


def bfgs(quadratic: Quadratic) -> Iterator[Digits]:
    """Yields w_0 = 0, w_1, … of BFGS as `scipy.optimize.minimize` runs it."""
    hessian, gradient = quadratic.hessian, -quadratic.moment
    weights = 0 * gradient
    negligible = CONVERGED * (gradient @ gradient)
    inverse_hessian = np.diag(1 + weights)
    decrease = (gradient @ gradient).sqrt() / 2
    while gradient @ gradient > negligible:
        yield weights
        direction = -(inverse_hessian @ gradient)
        slope, bending = gradient @ direction, direction @ hessian @ direction
        first = Decimal("2.02") * decrease / -slope
        first = min(first, Decimal(1)) if first > 0 else Decimal(1)
        length = accepted_length(first, -slope / bending, decrease=Decimal("1e-4"))
        decrease = -length * (slope + length * bending / 2)
        step = length * direction
        change = hessian @ step
        weights, gradient = weights + step, gradient + change
        rho, image = 1 / (step @ change), inverse_hessian @ change
        outer = np.outer(step, rho * ((1 + rho * (change @ image)) / 2 * step - image))
        inverse_hessian = inverse_hessian + outer + outer.T
    while True:
        yield weights


def lbfgs(quadratic: Quadratic, memory: int) -> Iterator[Digits]:
    """Yields w_0 = 0, w_1, … of L-BFGS as `scipy.optimize.minimize` runs L-BFGS-B."""
    hessian, gradient = quadratic.hessian, -quadratic.moment
    weights = 0 * gradient
    negligible = CONVERGED * (gradient @ gradient)
    history: deque[tuple[Digits, Digits, Decimal]] = deque(maxlen=memory)
    while gradient @ gradient > negligible:
        yield weights
        direction, along = -gradient, []
        for step, change, product in reversed(history):
            along.append((step @ direction) / product)
            direction = direction - along[-1] * change
        if history:
            step, change, product = history[-1]
            direction = product / (change @ change) * direction
        for (step, change, product), before in zip(history, reversed(along), strict=True):
            direction = direction + (before - (change @ direction) / product) * step
        minimiser = -(gradient @ direction) / (direction @ hessian @ direction)
        first = Decimal(1) if history else 1 / (direction @ direction).sqrt()
        step = accepted_length(first, minimiser, decrease=Decimal("1e-3")) * direction
        change = hessian @ step
        weights, gradient = weights + step, gradient + change
        history.append((step, change, step @ change))
    while True:
        yield weights


def accepted_length(first: Decimal, minimiser: Decimal, *, decrease: Decimal) -> Decimal:
    """`wolfe_length` of one prefix with a curvature constant of 0.9."""
    trial, before = first, Decimal(0)
    while 10 * trial < minimiser:
        trial, before = min(minimiser, trial + 4 * (trial - before)), trial
    if 10 * trial <= 19 * minimiser:
        return trial
    is_insufficient = 2 * (1 - decrease) * minimiser < trial <= 2 * minimiser
    return (1 - decrease) * minimiser if is_insufficient else minimiser
