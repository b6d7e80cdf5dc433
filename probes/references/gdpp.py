"""GD++: gradient descent whose layers also contract the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.divergence import warn_of_divergence
from probes.references.gd import StepSize, check_step_size
from probes.references.prefixes import Prefixes
from probes.references.spectral import FilterFactors, SpectralReference


@dataclass(frozen=True)
class GDPlusPlus(SpectralReference):
    """A GD step, then x <- (I - gamma S) x for every input (von Oswald et al. 2022).

    The next step sees S with eigenvalues l (1 - gamma l)^2, large ones brought down towards the
    small ones, so that the iteration behaves like a second-order method (Vladymyrov et al. 2024).
    In an eigendirection the residual after k steps is the product of 1 - eta l_j over j < k, and
    a prediction is still phi_k(S) b with the original S. Run step by step; `filter_at_zero` is
    the sum of the step sizes.

    >>> xs, x, error, prediction = X, query, y, 0.0
    >>> for _ in range(3):
    ...     change = 0.1 * xs.T @ error
    ...     prediction, error = prediction + x @ change, error - xs @ change
    ...     shrink = I - 0.05 * xs.T @ xs
    ...     xs, x = xs @ shrink, shrink @ x
    >>> same(GDPlusPlus(eta=0.1, gamma=0.05), prediction, step=3)
    True
    """

    eta: StepSize = "inverse_largest"
    """As in `GD`, the rules being applied to what S has become at each step."""
    gamma: float | Literal["monotone"] = "monotone"
    """A fixed contraction, or "monotone" for 1 / (3 lambda_max) of what S has become at each step,
    the largest that keeps the order of its eigenvalues."""

    key: ClassVar[str] = "gd++"
    label: ClassVar[str] = "GD++"
    phrase: ClassVar[str] = "GD++"
    scale: ClassVar[tuple[str, ...]] = ("eta", "gamma")
    takes_real_steps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_step_size("eta", self.eta)
        is_rule = self.gamma == "monotone"
        if not is_rule and (isinstance(self.gamma, str) or not 0 <= self.gamma < torch.inf):
            raise ValueError(f"gamma must be a number of at least 0 or 'monotone', {self.gamma!r}")

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        current = prefixes.eigenvalues.clone()
        learnt = torch.zeros_like(current)
        if not isinstance(self.eta, str):
            warn_of_divergence(self.name, self.eta * current > 2, prefixes)
        done = 0

        def advance(step: float) -> Tensor:
            nonlocal done
            for _ in range(done, int(step)):
                eta = self._step_size(current)
                learnt.addcmul_(eta * current, 1 - learnt)
                current.mul_((1 - self._contraction(current) * current).square())
            done = int(step)
            return learnt.clone()

        return advance

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        current = prefixes.eigenvalues.clone()
        total = torch.zeros_like(prefixes.ys)
        for _ in range(int(step)):
            total += self._step_size(current)[..., 0]
            current.mul_((1 - self._contraction(current) * current).square())
        return total

    def _step_size(
        self, current: Float[Tensor, "prompt point direction"]
    ) -> Float[Tensor, "prompt point 1"]:
        largest = current.amax(-1, keepdim=True)
        if not isinstance(self.eta, str):
            return torch.full_like(largest, self.eta)
        if self.eta == "optimal":
            smallest = torch.where(current > 0, current, torch.inf).amin(-1, keepdim=True)
            return torch.where(largest > 0, 2 / (largest + smallest), 0.0)
        return torch.where(largest > 0, 1 / largest, 0.0)

    def _contraction(
        self, current: Float[Tensor, "prompt point direction"]
    ) -> Float[Tensor, "prompt point 1"]:
        largest = current.amax(-1, keepdim=True)
        if not isinstance(self.gamma, str):
            return torch.full_like(largest, self.gamma)
        return torch.where(largest > 0, 1 / (3 * largest), 0.0)
