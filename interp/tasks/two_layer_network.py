"""Two-layer networks as the function class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor

from interp.tasks.prompts import MOST_NUMBERS, Prompts, Task, inner_products, standard_normal_rows


@dataclass(frozen=True)
class TwoLayerNetwork(Task):
    """x ~ N(0, I), y = sqrt(2 / n_hidden) * sum_i a_i activation(w_i·x) + noise.

    Every prompt draws its own a ~ N(0, I) and w_i ~ N(0, I) (Garg et al. 2022, Section 5; Fu et
    al. 2024, Fig. 20 with ReLU and 21 with Tanh; both with 100 hidden units). With ReLU the mean
    of y^2 is n_dims, as on linear regression.
    """

    n_dims: int = 5
    n_points: int = 11
    n_hidden: int = 100
    activation: Literal["relu", "tanh"] = "relu"
    noise_std: float = 0.0
    """Standard deviation of the noise added to y."""

    name = "two_layer_network"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_hidden < 1:
            raise ValueError(f"n_hidden must be at least 1, got {self.n_hidden}")
        if self.n_hidden * self.n_dims > MOST_NUMBERS:
            raise ValueError(
                f"n_hidden times n_dims must be at most {MOST_NUMBERS:,}, got {self.n_hidden} "
                f"times {self.n_dims}"
            )
        if self.activation not in ("relu", "tanh"):
            raise ValueError(f"activation must be 'relu' or 'tanh', got {self.activation!r}")
        if self.noise_std < 0:
            raise ValueError(f"noise_std must be at least 0, got {self.noise_std}")

    def sample(self, n_prompts: int, generator: torch.Generator) -> Prompts:
        d, n, h = self.n_dims, self.n_points, self.n_hidden
        rows = standard_normal_rows(n_prompts, h * d + h + n * d + n, generator)
        first, second, xs, noise = rows.split((h * d, h, n * d, n), dim=1)
        xs, first = xs.unflatten(1, (n, d)), first.unflatten(1, (h, d))
        pre = torch.zeros(n_prompts, n, h, dtype=torch.float64)
        for x, w in zip(xs.unbind(2), first.unbind(2), strict=True):  # one dimension at a time
            pre += x[:, :, None] * w[:, None]
        hidden = pre.relu() if self.activation == "relu" else pre.tanh()
        ys = inner_products(hidden, second[:, None])
        return Prompts(xs, math.sqrt(2 / h) * ys + self.noise_std * noise)

    def covariance(
        self, xs: Float[Tensor, "prompt point dim"]
    ) -> Float[Tensor, "prompt point point"]:
        """Covariance of a prompt's ys given its xs, over the networks, without the noise.

        It is the same for every width: 2 E[activation(w·x) activation(w·x')]. For ReLU that is the
        arc-cosine kernel (Cho and Saul 2009), for Tanh a Gauss-Hermite quadrature.
        """
        norms = xs.norm(dim=2)
        scale = norms[:, :, None] * norms[:, None]
        cosine = ((xs @ xs.mT) / scale).clamp(-1, 1)
        if self.activation == "relu":
            angle = cosine.acos()
            return scale / math.pi * (angle.sin() + (math.pi - angle) * cosine)
        nodes, weights = (torch.from_numpy(part) for part in hermegauss(40))
        weights = weights / weights.sum()
        sine = (1 - cosine.square()).sqrt()
        total = torch.zeros_like(cosine)
        for first, first_weight in zip(nodes, weights, strict=True):
            inner = torch.zeros_like(cosine)
            for second, second_weight in zip(nodes, weights, strict=True):
                pre = norms[:, None] * (cosine * first + sine * second)
                inner += second_weight * pre.tanh()
            total += first_weight * (norms[:, :, None] * first).tanh() * inner
        return total + total.mT

    def posterior_mean(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        """The best prediction of every y that is linear in the ys before it."""
        covariance = self.covariance(xs)
        jitter = self.noise_std**2 + 1e-9 * self.n_dims
        predictions = torch.zeros_like(ys)
        for point in range(1, ys.shape[1]):
            seen = covariance[:, :point, :point] + jitter * torch.eye(point, dtype=ys.dtype)
            weights = torch.linalg.solve(seen, covariance[:, :point, point])
            predictions[:, point] = inner_products(weights, ys[:, :point])
        return predictions
