"""Iterative Newton from a multiple of the identity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.reference import Parameters
from probes.references.residual_power import one_minus_power
from probes.references.spectral import FilterFactors, SpectralReference


@dataclass(frozen=True)
class NewtonIdentity(SpectralReference):
    """M_0 = I / lambda_max(S), M <- 2 M - M S M, w_k = M_k X^T y.

    phi_k(l) = (1 - (1 - l / lambda_max)^(2^k)) / l: the iteration of `Newton` from the other usual
    start (Ben-Israel 1965; the paper starts from alpha S). Step k is exactly what 2^k steps of GD
    with eta = 1 / lambda_max give, so GD whose steps double from layer to layer is this algorithm.

    >>> M = I / np.linalg.norm(S, 2)
    >>> for _ in range(3):
    ...     M = 2 * M - M @ S @ M
    >>> same(NewtonIdentity(), M @ b, step=3)
    True
    """

    key: ClassVar[str] = "newton-identity"
    family: ClassVar[str] = "newton"
    label: ClassVar[str] = "Newton from a multiple of I"
    phrase: ClassVar[str] = "Iterative Newton from a multiple of the identity"
    steps_with_kappa: ClassVar[str] = "the logarithm of κ"

    @classmethod
    def candidates(cls, largest_eigenvalue: float) -> Parameters:  # noqa: ARG003
        return {"newton-identity": {}}

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        eigenvalues = prefixes.eigenvalues
        largest = eigenvalues[..., :1]
        learnt = one_minus_power(torch.where(largest > 0, eigenvalues / largest, 0.0))
        return lambda step: learnt(_exponent(step), 1.0)

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        largest = prefixes.eigenvalues[..., 0]
        return torch.where(largest > 0, _exponent(step) / largest, 0.0)


def _exponent(step: float) -> float:
    return math.pow(2, min(step, math.log2(1e300)))
