"""Recursive least squares along the points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.reference import Parameters
from probes.references.single_thread import single_thread
from probes.references.without_steps import WithoutSteps


@dataclass(frozen=True)
class RecursiveLeastSquares(WithoutSteps):
    """One update for each example in its order, from w = 0 and covariance I / lam.

    After t examples it minimises sum_i forgetting^(t-i) (w·x_i - y_i)^2 + forgetting^t lam |w|^2:
    ridge regression where nothing is forgotten. Run in square-root form, one orthogonal
    triangularisation per example, which keeps the digits that the textbook update of the
    covariance loses.

    >>> w, P = np.zeros(2), I / 0.5
    >>> for x_t, y_t in zip(X, y):
    ...     gain = P @ x_t / (0.9 + x_t @ P @ x_t)
    ...     w = w + gain * (y_t - w @ x_t)
    ...     P = (P - np.outer(gain, x_t @ P)) / 0.9
    >>> same(RecursiveLeastSquares(lam=0.5, forgetting=0.9), w)
    True
    """

    lam: float = 1e-3
    """Inverse of the initial covariance, above 0, in units of x^2."""
    forgetting: float = 1.0
    """Weight of an example relative to the next one, in (0, 1]."""

    key: ClassVar[str] = "rls"
    label: ClassVar[str] = "RLS"
    phrase: ClassVar[str] = "recursive least squares that forgets"
    uses_order: ClassVar[bool] = True
    rivals: ClassVar[Parameters] = {"rls": {"forgetting": 0.9}}

    def __post_init__(self) -> None:
        if not 0 < self.lam < math.inf:
            raise ValueError(f"lam must be above 0 and finite, got {self.lam}")
        if not 0 < self.forgetting <= 1:
            raise ValueError(f"forgetting must be in (0, 1], got {self.forgetting}")

    def solve(self, prefixes: Prefixes) -> Float[Tensor, "prompt point dim"]:
        n_prompts, n_points, n_dims = prefixes.xs.shape
        weights = torch.zeros_like(prefixes.xs)
        decay = math.sqrt(self.forgetting)
        # rows [R | z] with R^T R the matrix of the normal equations and R^T z their right side
        triangle = prefixes.xs.new_zeros(n_prompts, n_dims, n_dims + 1)
        triangle[:, :, :n_dims].diagonal(dim1=1, dim2=2).fill_(math.sqrt(self.lam))
        for t in range(1, n_points):
            example = torch.cat([prefixes.xs[:, t - 1], prefixes.ys[:, t - 1, None]], dim=-1)
            rows = torch.cat([decay * triangle, example[:, None]], dim=1)
            with single_thread():
                triangle = torch.linalg.qr(rows, mode="r").R[:, :n_dims]
                weights[:, t] = torch.linalg.solve_triangular(
                    triangle[:, :, :n_dims], triangle[:, :, n_dims:], upper=True
                )[..., 0]
        return weights
