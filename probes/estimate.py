"""A number and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

from jaxtyping import Float
from torch import Tensor

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and its confidence interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, replicates: Float[Tensor, " replicate"], level: float = LEVEL) -> Estimate:
        """From a point estimate (first) and its bootstrap replicates, by normal approximation."""
        value = replicates[0].item()
        spread = replicates[1:].std().item() if len(replicates) > 2 else 0.0
        reach = NormalDist().inv_cdf(0.5 + level / 2) * spread
        return cls(value, value - reach, value + reach)

    def widened(self, reach: float) -> Estimate:
        """With an error added to the interval that more prompts would not make smaller."""
        return Estimate(self.value, self.low - reach, self.high + reach)
