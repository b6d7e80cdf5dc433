"""Gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.divergence import warn_of_divergence
from probes.references.prefixes import Prefixes
from probes.references.reference import Parameters
from probes.references.residual_power import alternating_sign, one_minus_power
from probes.references.spectral import FilterFactors, SpectralReference

StepSize = float | Literal["inverse_largest", "optimal"]


@dataclass(frozen=True)
class GD(SpectralReference):
    """w_0 = 0, w <- w - eta (S w - X^T y); phi_k(l) = (1 - (1 - eta l)^k) / l.

    The loss is half the sum of squares over the prefix, as in the code of Fu et al. 2024, not the
    mean. Where eta l > 1 the factor 1 - eta l is negative and w oscillates from step to step; at a
    step that is not whole the power's real part |1 - eta l|^k cos(pi k) is taken, which is
    continuous in k and agrees with the iteration at every whole k. Where eta l > 2 the iteration
    diverges: a `DivergenceWarning` says on how many prefixes, and the values are the true ones
    (beyond 1e308, inf or NaN, as the plain loop's).

    >>> w = np.zeros(2)
    >>> for _ in range(3):
    ...     w = w - 0.01 * (S @ w - b)
    >>> same(GD(0.01), w, step=3)
    True
    """

    eta: StepSize = 0.01
    """A fixed step size, "inverse_largest" for 1 / lambda_max of each prefix, or "optimal" for
    2 / (lambda_max + lambda_min) with its smallest eigenvalue within the numerical rank. The last
    two are 0 for a prefix of zeros."""

    key: ClassVar[str] = "gd"
    label: ClassVar[str] = "GD"
    phrase: ClassVar[str] = "gradient descent"
    scale: ClassVar[tuple[str, ...]] = ("eta",)
    steps_with_kappa: ClassVar[str] = "κ"
    doublings: ClassVar[int | None] = 14

    def __post_init__(self) -> None:
        check_step_size("eta", self.eta)

    @property
    def name(self) -> str:
        keys: dict[StepSize, str] = {"inverse_largest": "gd-adaptive", "optimal": "gd-optimal"}
        if self.eta in keys:
            return self._name(keys[self.eta], without=["eta"])
        return self._name(self.key)

    @classmethod
    def candidates(cls, largest_eigenvalue: float) -> Parameters:
        return {"gd": {"eta": 1 / largest_eigenvalue}, "gd-adaptive": {"eta": "inverse_largest"}}

    @property
    def legend(self) -> str:
        sizes = {"inverse_largest": "step size per prefix", "optimal": "optimal step per prefix"}
        return f"{self.label}, {sizes.get(str(self.eta), 'one step size')}"

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        contraction = step_sizes(self.eta, prefixes)[..., None] * prefixes.eigenvalues
        warn_of_divergence(self.name, contraction > 2, prefixes)
        learnt = one_minus_power(contraction)
        return lambda step: learnt(step, alternating_sign(step))

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        return step * step_sizes(self.eta, prefixes)


def check_step_size(name: str, eta: StepSize) -> None:
    """Raises a `ValueError` unless eta is a positive number or the name of a rule."""
    is_rule = eta in ("inverse_largest", "optimal")
    if not is_rule and (isinstance(eta, str) or not 0 < eta < float("inf")):
        raise ValueError(
            f"{name} must be a number above 0, 'inverse_largest' or 'optimal', got {eta!r}"
        )


def step_sizes(eta: StepSize, prefixes: Prefixes) -> Float[Tensor, "prompt point"]:
    """The step size of every prefix."""
    eigenvalues = prefixes.eigenvalues
    if not isinstance(eta, str):
        return torch.full_like(prefixes.ys, eta)
    largest = eigenvalues[..., 0]
    if eta == "inverse_largest":
        return torch.where(largest > 0, 1 / largest, 0.0)
    return torch.where(largest > 0, 2 / (largest + prefixes.smallest_eigenvalues), 0.0)
