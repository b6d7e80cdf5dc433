"""Iterative Newton."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from probes.references.newton_schulz import NewtonSchulz
from probes.references.reference import Parameters


@dataclass(frozen=True)
class Newton(NewtonSchulz):
    """M_0 = alpha S, M <- 2 M - M S M, w_k = M_k X^T y (Fu et al. 2024, Section 3.2).

    Newton–Schulz of order 2: phi_k(l) = (1 - (1 - alpha l^2)^(2^k)) / l. What the two published
    alphas do, and what a step that is not whole means, is said at `NewtonSchulz`. `ridge` above 0
    is the paper's variant for noisy tasks.

    >>> M = S / np.linalg.norm(S @ S.T)
    >>> for _ in range(3):
    ...     M = 2 * M - M @ S @ M
    >>> same(Newton(), M @ b, step=3)
    True
    """

    order: int = field(default=2, init=False, repr=False)

    key: ClassVar[str] = "newton"
    label: ClassVar[str] = "Newton"
    phrase: ClassVar[str] = "Iterative Newton"
    scale: ClassVar[tuple[str, ...]] = ("alpha",)
    steps_with_kappa: ClassVar[str] = "the logarithm of κ"

    @classmethod
    def candidates(cls, largest_eigenvalue: float) -> Parameters:
        return {"newton": {}, "newton-fixed": {"alpha": 0.5 / largest_eigenvalue**2}}

    @property
    def legend(self) -> str:
        return (
            self.label if isinstance(self.alpha, str) else f"{self.label}, one α for all prefixes"
        )

    @property
    def name(self) -> str:
        if self.alpha == "spectral":
            return self._name("newton-spectral", without=["alpha"])
        return self._name(self.key)
