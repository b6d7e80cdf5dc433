"""Ridge regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.spectral import FilterFactors, SpectralReference


@dataclass(frozen=True)
class Ridge(SpectralReference):
    """w = (S + lam I)^-1 X^T y.

    >>> same(Ridge(2.0), np.linalg.solve(S + 2 * I, b))
    True
    """

    lam: float = 1.0
    """Penalty on the sum of squares, in units of x^2 (not divided by the number of examples)."""

    key: ClassVar[str] = "ridge"
    label: ClassVar[str] = "Ridge"
    phrase: ClassVar[str] = "ridge regression"
    is_iterative: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.lam < float("inf"):
            raise ValueError(f"lam must be above 0 and finite, got {self.lam}; OLS is lam = 0")

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        learnt = prefixes.eigenvalues / (prefixes.eigenvalues + self.lam)
        return lambda _: learnt

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        return torch.full_like(prefixes.ys, 1 / self.lam)
