"""Gradient descent with a damped inverse of S as preconditioner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.divergence import warn_of_divergence
from probes.references.prefixes import Prefixes
from probes.references.residual_power import alternating_sign, one_minus_power
from probes.references.spectral import FilterFactors, SpectralReference


@dataclass(frozen=True)
class PreconditionedGD(SpectralReference):
    """w <- w - eta (S + damping I)^-1 (S w - X^T y), from 0.

    phi_k(l) = (1 - (1 - eta l / (l + damping))^k) / l: one step with eta = 1 is ridge regression,
    and further ones undo its shrinkage (iterated Tikhonov). Steps that are not whole are as in
    `GD`; eta above 2 diverges.

    >>> w = np.zeros(2)
    >>> for _ in range(3):
    ...     w = w - 0.5 * np.linalg.solve(S + 2 * I, S @ w - b)
    >>> same(PreconditionedGD(eta=0.5, damping=2.0), w, step=3)
    True
    """

    eta: float = 1.0
    damping: float = 1.0
    """Above 0, in units of x^2."""

    key: ClassVar[str] = "preconditioned-gd"
    label: ClassVar[str] = "Preconditioned GD"
    phrase: ClassVar[str] = "preconditioned gradient descent"

    def __post_init__(self) -> None:
        for name in ("eta", "damping"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        eigenvalues = prefixes.eigenvalues
        contraction = self.eta * eigenvalues / (eigenvalues + self.damping)
        warn_of_divergence(self.name, contraction > 2, prefixes)
        learnt = one_minus_power(contraction)
        return lambda step: learnt(step, alternating_sign(step))

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        return torch.full_like(prefixes.ys, step * self.eta / self.damping)
