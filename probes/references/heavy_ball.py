"""Gradient descent with heavy-ball momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.divergence import warn_of_divergence
from probes.references.prefixes import Prefixes
from probes.references.spectral import FilterFactors, SpectralReference
from probes.references.two_term_recurrence import momentum_at_zero, two_term_recurrence


@dataclass(frozen=True)
class HeavyBall(SpectralReference):
    """v <- beta v - eta (S w - X^T y), w <- w + v, from 0 (Polyak 1964).

    Each step's residual in an eigendirection is a solution of a two-term recurrence, so any whole
    step costs the same; steps between whole ones have no continuation that stays bounded.
    Diverges where eta l > 2 (1 + beta).

    >>> w, v = np.zeros(2), np.zeros(2)
    >>> for _ in range(3):
    ...     v = 0.5 * v - 0.1 * (S @ w - b)
    ...     w = w + v
    >>> same(HeavyBall(eta=0.1, beta=0.5), w, step=3)
    True
    """

    eta: float | Literal["optimal"] = "optimal"
    """A fixed step size, or "optimal" for 4 / (sqrt(lambda_max) + sqrt(lambda_min))^2 of each
    prefix, lambda_min being its smallest eigenvalue within the numerical rank."""
    beta: float | Literal["optimal"] = "optimal"
    """A fixed momentum in [0, 1), or "optimal" for (1 - sqrt(eta lambda_min))^2."""

    key: ClassVar[str] = "heavy-ball"
    label: ClassVar[str] = "Heavy ball"
    phrase: ClassVar[str] = "gradient descent with momentum"
    steps_with_kappa: ClassVar[str] = "the root of κ"
    takes_real_steps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, below in (("eta", torch.inf), ("beta", 1.0)):
            value: float | str = getattr(self, name)
            if value != "optimal" and (isinstance(value, str) or not 0 <= value < below):
                raise ValueError(f"{name} must be in [0, {below}) or 'optimal', got {value!r}")

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        eigenvalues = prefixes.eigenvalues
        eta, beta = (tensor[..., None] for tensor in self._parameters(prefixes))
        contraction = eta * eigenvalues
        warn_of_divergence(self.name, contraction > 2 * (1 + beta), prefixes)
        # (1 - sqrt(beta))^2 - eta l and (1 + sqrt(beta))^2 - eta l: the optimal choices put the
        # ends of the spectrum at their zeros, where only a difference of eigenvalues is accurate
        if self.beta == "optimal":
            lower = eta * (prefixes.smallest_eigenvalues[..., None] - eigenvalues)
        else:
            lower = ((1 - beta) / (1 + beta.sqrt())).square() - contraction
        if self.beta == self.eta == "optimal":
            upper = eta * (eigenvalues[..., :1] - eigenvalues)
        else:
            upper = (1 + beta.sqrt()).square() - contraction
        residual = two_term_recurrence(
            1 + beta - contraction, beta.expand_as(contraction), lower * upper
        )
        return lambda step: 1 - residual(step)

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        return momentum_at_zero(*self._parameters(prefixes), step)

    def _parameters(
        self, prefixes: Prefixes
    ) -> tuple[Float[Tensor, "prompt point"], Float[Tensor, "prompt point"]]:
        """The step size and momentum of every prefix."""
        smallest = prefixes.smallest_eigenvalues
        if isinstance(self.eta, str):
            roots = prefixes.eigenvalues[..., 0].sqrt() + smallest.sqrt()
            eta = torch.where(roots > 0, 4 / roots.square(), 0.0)
        else:
            eta = torch.full_like(smallest, self.eta)
        if isinstance(self.beta, str):
            return eta, (1 - (eta * smallest).sqrt()).square()
        return eta, torch.full_like(smallest, self.beta)
