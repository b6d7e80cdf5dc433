"""The posterior mean under a Gaussian prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.spectral import FilterFactors, SpectralReference


@dataclass(frozen=True)
class Bayes(SpectralReference):
    """E[w | prefix] for w ~ N(0, prior_std^2 I) and y = w·x + noise: the best predictor there is.

    Ridge regression with penalty (noise_std / prior_std)^2; without noise, OLS of minimum norm.

    >>> same(Bayes(noise_std=0.5, prior_std=2.0), np.linalg.solve(S + (0.5 / 2) ** 2 * I, b))
    True
    """

    noise_std: float = 0.0
    """Standard deviation of the noise on y."""
    prior_std: float = 1.0
    """Standard deviation of each component of w."""

    key: ClassVar[str] = "bayes"
    label: ClassVar[str] = "Bayes"
    phrase: ClassVar[str] = "the Bayes predictor"
    is_iterative: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.noise_std < torch.inf:
            raise ValueError(f"noise_std must be at least 0 and finite, got {self.noise_std}")
        if not 0 < self.prior_std < torch.inf:
            raise ValueError(f"prior_std must be above 0 and finite, got {self.prior_std}")

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        eigenvalues = prefixes.eigenvalues
        penalised = eigenvalues + self._penalty
        learnt = torch.where(eigenvalues > 0, eigenvalues / penalised, 0.0)
        return lambda _: learnt

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        return torch.full_like(prefixes.ys, 1 / self._penalty if self._penalty else 0.0)

    @property
    def _penalty(self) -> float:
        ratio = self.noise_std / self.prior_std
        return ratio * ratio
