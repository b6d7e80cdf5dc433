"""Ordinary least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.reference import Parameters
from probes.references.spectral import FilterFactors, SpectralReference


@dataclass(frozen=True)
class OLS(SpectralReference):
    """w = S^+ X^T y, the least-squares solution of minimum norm.

    >>> same(OLS(), np.linalg.pinv(X) @ y)
    True
    """

    key: ClassVar[str] = "ols"
    label: ClassVar[str] = "OLS"
    phrase: ClassVar[str] = "ordinary least squares"
    is_iterative: ClassVar[bool] = False

    @classmethod
    def candidates(cls, largest_eigenvalue: float) -> Parameters:  # noqa: ARG003
        return {"ols": {}}

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        learnt = (prefixes.eigenvalues > 0).to(torch.float64)
        return lambda _: learnt

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        return torch.zeros_like(prefixes.ys)
