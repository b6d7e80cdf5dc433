"""Ridge regression whose penalty is halved at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.reference import Parameters
from probes.references.spectral import FilterFactors, SpectralReference


@dataclass(frozen=True)
class RidgePath(SpectralReference):
    """w_k = (S + start 2^-k I)^-1 X^T y: ridge regression with a free penalty, as an iteration.

    No published algorithm: any method whose shrinkage falls from step to step resembles it.

    >>> same(RidgePath(start=4.0), np.linalg.solve(S + 4.0 / 2**3 * I, b), step=3)
    True
    """

    start: float = 1.0
    """Penalty at step 0, in units of x^2 (not divided by the number of examples)."""

    key: ClassVar[str] = "ridge-path"
    family: ClassVar[str] = "ridge"
    label: ClassVar[str] = "Ridge, penalty halved each step"
    phrase: ClassVar[str] = "ridge regression with a falling penalty"
    scale: ClassVar[tuple[str, ...]] = ("start",)

    def __post_init__(self) -> None:
        if not 0 < self.start < float("inf"):
            raise ValueError(f"start must be above 0 and finite, got {self.start}")

    @classmethod
    def candidates(cls, largest_eigenvalue: float) -> Parameters:
        return {"ridge": {"start": largest_eigenvalue}}

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        eigenvalues = prefixes.eigenvalues
        return lambda step: eigenvalues / (eigenvalues + self._penalty(step))

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        return torch.full_like(prefixes.ys, 1 / self._penalty(step))

    def _penalty(self, step: float) -> float:
        return self.start * math.pow(2.0, -min(step, 900.0))
