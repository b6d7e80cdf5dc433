"""Nesterov's accelerated gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.divergence import warn_of_divergence
from probes.references.gd import StepSize, check_step_size, step_sizes
from probes.references.prefixes import Prefixes
from probes.references.spectral import FilterFactors, SpectralReference
from probes.references.two_term_recurrence import momentum_at_zero, two_term_recurrence


@dataclass(frozen=True)
class Nesterov(SpectralReference):
    """u = w + beta v, v <- beta v - eta (S u - X^T y), w <- w + v, from 0 (Nesterov 1983).

    With a constant beta any whole step costs the same; the schedule "convex" is run step by step.
    Diverges where eta l > 2 (1 + beta) / (1 + 2 beta).

    >>> w, v = np.zeros(2), np.zeros(2)
    >>> for _ in range(3):
    ...     u = w + 0.5 * v
    ...     v = 0.5 * v - 0.1 * (S @ u - b)
    ...     w = w + v
    >>> same(Nesterov(eta=0.1, beta=0.5), w, step=3)
    True
    """

    eta: StepSize = "inverse_largest"
    """As in `GD`."""
    beta: float | Literal["optimal", "convex"] = "optimal"
    """A fixed momentum in [0, 1); "optimal" for (1 - sqrt(eta lambda_min)) / (1 + sqrt(eta
    lambda_min)) of each prefix; or "convex" for k / (k + 3) at step k = 0, 1, …, which needs no
    lambda_min."""

    key: ClassVar[str] = "nesterov"
    label: ClassVar[str] = "Nesterov"
    phrase: ClassVar[str] = "Nesterov's accelerated gradient descent"
    steps_with_kappa: ClassVar[str] = "the root of κ"
    takes_real_steps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_step_size("eta", self.eta)
        is_rule = self.beta in ("optimal", "convex")
        if not is_rule and (isinstance(self.beta, str) or not 0 <= self.beta < 1):
            raise ValueError(f"beta must be in [0, 1), 'optimal' or 'convex', got {self.beta!r}")

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        eigenvalues = prefixes.eigenvalues
        eta = step_sizes(self.eta, prefixes)[..., None]
        contraction = eta * eigenvalues
        if self.beta == "convex":
            warn_of_divergence(self.name, contraction > 4 / 3, prefixes)
            return _convex_schedule(contraction)
        beta = self._momentum(prefixes)[..., None]
        warn_of_divergence(self.name, contraction > 2 * (1 + beta) / (1 + 2 * beta), prefixes)
        # (1 - beta)^2 - (1 + beta)^2 eta l, zero at lambda_min for the optimal momentum
        if self.beta == "optimal":
            gap = eta * (prefixes.smallest_eigenvalues[..., None] - eigenvalues)
            gap = (1 + beta).square() * gap
        else:
            gap = (1 - beta).square() - (1 + beta).square() * contraction
        factor = 1 - contraction
        residual = two_term_recurrence((1 + beta) * factor, beta * factor, factor * gap)
        return lambda step: 1 - residual(step)

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        eta = step_sizes(self.eta, prefixes)
        if self.beta != "convex":
            return momentum_at_zero(eta, self._momentum(prefixes), step)
        reached, velocity = 0.0, 0.0
        for k in range(int(step)):
            velocity = k / (k + 3) * velocity + 1
            reached += velocity
        return reached * eta

    def _momentum(self, prefixes: Prefixes) -> Float[Tensor, "prompt point"]:
        if not isinstance(self.beta, str):
            return torch.full_like(prefixes.ys, self.beta)
        root = (step_sizes(self.eta, prefixes) * prefixes.smallest_eigenvalues).sqrt()
        return ((1 - root) / (1 + root)).clamp(min=0)


def _convex_schedule(contraction: Float[Tensor, "prompt point direction"]) -> FilterFactors:
    learnt, velocity = torch.zeros_like(contraction), torch.zeros_like(contraction)
    done = 0

    def advance(step: float) -> Tensor:
        nonlocal done
        for k in range(done, int(step)):
            velocity.mul_(k / (k + 3))
            velocity.addcmul_(contraction, 1 - learnt - velocity)
            learnt.add_(velocity)
        done = int(step)
        return learnt.clone()

    return advance
