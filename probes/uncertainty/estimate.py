"""A number with its confidence interval."""

from __future__ import annotations

import math
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
        """The estimate from a score and its bootstrap replicates, by normal approximation."""
        value = replicates[0].item()
        spread = replicates[1:].std().item() if len(replicates) > 2 else 0.0
        reach = NormalDist().inv_cdf(0.5 + level / 2) * spread
        return cls(value, value - reach, value + reach)

    def widened(self, bound: float, level: float = LEVEL) -> Estimate:
        """The estimate with a further error within a bound, which more prompts do not reduce.

        It may be anything within the bound, equally likely: a standard deviation of bound / sqrt 3,
        joined to that of chance as variances are (JCGM 100:2008, 4.3.7 and 5.1.2).
        """
        further = NormalDist().inv_cdf(0.5 + level / 2) * bound / math.sqrt(3)
        return Estimate(
            self.value,
            self.value - math.hypot(self.value - self.low, further),
            self.value + math.hypot(self.high - self.value, further),
        )
