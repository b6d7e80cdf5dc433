"""Online gradient descent along the points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.reference import Parameters
from probes.references.without_steps import WithoutSteps


@dataclass(frozen=True)
class OnlineGD(WithoutSteps):
    """w <- w - eta_t (w·x_t - y_t) x_t, once for each example in its order, from w = 0.

    The official code starts from a random w; from 0 the prediction at point 0 is 0.

    >>> w = np.zeros(2)
    >>> for x_t, y_t in zip(X, y):
    ...     w = w - 0.1 * (w @ x_t - y_t) * x_t
    >>> same(OnlineGD(eta=0.1), w)
    True
    """

    eta: float | Literal["normalised"] = "normalised"
    """A fixed step size, or "normalised" for 1 / |x_t|^2, after which the newest example has no
    error (Kaczmarz's step; none for x_t = 0)."""

    key: ClassVar[str] = "ogd"
    label: ClassVar[str] = "Online GD"
    phrase: ClassVar[str] = "online gradient descent"
    uses_order: ClassVar[bool] = True
    rivals: ClassVar[Parameters] = {"ogd": {}}

    def __post_init__(self) -> None:
        is_rule = self.eta == "normalised"
        if not is_rule and (isinstance(self.eta, str) or not 0 < self.eta < torch.inf):
            raise ValueError(f"eta must be a number above 0 or 'normalised', got {self.eta!r}")

    @property
    def name(self) -> str:
        if self.eta == "normalised":
            return self.key
        return self._name("ogd-fixed", without=["eta"] if self.eta == 0.01 else [])

    def solve(self, prefixes: Prefixes) -> Float[Tensor, "prompt point dim"]:
        weights = torch.zeros_like(prefixes.xs)
        for t in range(1, prefixes.n_points):
            x, y, before = prefixes.xs[:, t - 1], prefixes.ys[:, t - 1], weights[:, t - 1]
            error = (before * x).sum(-1) - y
            weights[:, t] = before - (error * self._step_size(x))[:, None] * x
        return weights

    def _step_size(self, x: Float[Tensor, "prompt dim"]) -> Float[Tensor, " prompt"]:
        squared = x.square().sum(-1)
        if isinstance(self.eta, str):
            return torch.where(squared > 0, 1 / squared, 0.0)
        return torch.full_like(squared, self.eta)
