"""Lasso."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.without_steps import WithoutSteps


@dataclass(frozen=True)
class Lasso(WithoutSteps):
    """Minimises |X w - y|^2 / (2 t) + alpha |w|_1 by scikit-learn's coordinate descent.

    The one reference that is fitted prefix by prefix; each starts from the weights of the one
    before.

    >>> w = np.zeros(2)
    >>> for _ in range(100):
    ...     for j, x_j in enumerate(X.T):
    ...         rest = x_j @ (y - X @ w + x_j * w[j])
    ...         w[j] = np.sign(rest) * max(abs(rest) - 0.05 * len(X), 0) / (x_j @ x_j)
    >>> same(Lasso(alpha=0.05, tolerance=1e-15), w)
    True
    """

    alpha: float = 0.01
    """Penalty, in scikit-learn's units (Garg et al. 2022 use 1, 0.1, …, 1e-4)."""
    tolerance: float = 1e-4
    """Duality gap to stop at, relative to |y|^2; the default is scikit-learn's."""

    key: ClassVar[str] = "lasso"
    label: ClassVar[str] = "Lasso"
    phrase: ClassVar[str] = "lasso regression"
    uses_directions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("alpha", "tolerance"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")

    def solve(self, prefixes: Prefixes) -> Float[Tensor, "prompt point dim"]:
        from sklearn import config_context
        from sklearn.linear_model import Lasso as CoordinateDescent

        weights = torch.zeros(prefixes.xs.shape, dtype=torch.float64)
        model_arguments = {
            "alpha": self.alpha,
            "fit_intercept": False,
            "max_iter": 1_000_000,
            "tol": self.tolerance,
            "warm_start": True,
        }
        with config_context(assume_finite=True, skip_parameter_validation=True):
            for prompt, (xs, ys) in enumerate(
                zip(prefixes.xs.cpu().numpy(), prefixes.ys.cpu().numpy(), strict=True)
            ):
                model = CoordinateDescent(**model_arguments)
                for t in range(1, prefixes.n_points):
                    model.fit(xs[:t], ys[:t])
                    weights[prompt, t] = torch.from_numpy(model.coef_)
        return weights.to(prefixes.xs.device)
