"""In-context linear regression: isotropic, ill-conditioned and noisy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp.tasks.prompts import Prompts, Task, inner_products, standard_normal_rows

Normalisation = Literal["none", "trace", "largest"]
ConditionDraw = Literal["fixed", "log-uniform"]


@dataclass(frozen=True)
class LinearRegression(Task):
    """x ~ N(0, Sigma), one w ~ N(0, I) per prompt, y = w·x + noise (Fu et al. 2024, Section 3).

    With `condition_number` above 1 every prompt draws its own eigenbasis, uniformly; half of
    Sigma's eigenvalues (rounded down) are `condition_number` and the others 1, before
    normalisation. `normalisation` says what Sigma is divided by: "none" (the paper's: eigenvalues
    100 and 1), "trace" (their mean, so E|x|^2 = n_dims) or "largest" (the condition number).
    With `condition_draw="log-uniform"` a prompt's own condition number is `condition_number` to the
    power of a uniform number in [0, 1]. With `n_tasks` w comes from a finite pool.
    """

    n_dims: int = 5
    n_points: int = 11
    noise_std: float = 0.0
    """Standard deviation sigma of the noise added to y."""
    condition_number: float = 1.0
    """Ratio kappa of Sigma's largest eigenvalue to its smallest."""
    normalisation: Normalisation = "none"
    condition_draw: ConditionDraw = "fixed"
    """"log-uniform" gives every prompt a condition number of its own, from 1 to kappa."""
    x_scale: float = 1.0
    """Factor on every x, after the covariance."""
    y_scale: float = 1.0
    """Factor on every y, noise included."""
    n_tasks: int = 0
    """Size of the pool of weight vectors, themselves drawn from N(0, I), that every prompt's w is
    drawn from uniformly (Raventós et al. 2023); 0 for a new w in every prompt."""
    pool_seed: int = 0
    """Decides the pool; pools of fewer dimensions are the first dimensions of larger ones."""

    name = "linear_regression"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise_std < 0:
            raise ValueError(f"noise_std must be at least 0, got {self.noise_std}")
        if self.condition_number < 1:
            raise ValueError(f"condition_number must be at least 1, got {self.condition_number}")
        if self.normalisation not in ("none", "trace", "largest"):
            raise ValueError(
                f"normalisation must be 'none', 'trace' or 'largest', got {self.normalisation!r}"
            )
        if self.condition_draw not in ("fixed", "log-uniform"):
            raise ValueError(
                f"condition_draw must be 'fixed' or 'log-uniform', got {self.condition_draw!r}"
            )
        for field in ("n_tasks", "pool_seed"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} must be at least 0, got {getattr(self, field)}")
        for field in ("x_scale", "y_scale"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field} must be above 0, got {getattr(self, field)}")

    def eigenvalues(self) -> Float[Tensor, " dim"]:
        """Eigenvalues of Sigma, after normalisation, of a prompt with the full condition number."""
        return self._eigenvalues(torch.tensor([self.condition_number], dtype=torch.float64))[0]

    def _eigenvalues(
        self, condition_numbers: Float[Tensor, " prompt"]
    ) -> Float[Tensor, "prompt dim"]:
        eigenvalues = condition_numbers.new_ones(len(condition_numbers), self.n_dims)
        eigenvalues[:, : self.n_dims // 2] = condition_numbers[:, None]
        if self.normalisation == "trace":
            eigenvalues /= eigenvalues.mean(1, keepdim=True)
        elif self.normalisation == "largest":
            eigenvalues /= eigenvalues.amax(1, keepdim=True)
        return eigenvalues

    def sample(self, n_prompts: int, generator: torch.Generator) -> Prompts:
        d, n = self.n_dims, self.n_points
        basis_size = d * d if self.condition_number > 1 else 0
        draw_size = 1 if basis_size and self.condition_draw == "log-uniform" else 0
        sizes = (d, n * d, n, basis_size, draw_size)
        rows = standard_normal_rows(n_prompts, sum(sizes), generator)
        weights, xs, noise, basis, draw = rows.split(sizes, dim=1)
        if self.n_tasks:
            share = torch.special.ndtr(weights[:, 0])
            weights = self.pool()[(share * self.n_tasks).long().clamp_max(self.n_tasks - 1)]
        xs = xs.reshape(n_prompts, n, d)
        if basis_size:
            quantile = torch.special.ndtr(draw[:, 0]) if draw_size else xs.new_ones(n_prompts)
            eigenvalues = self._eigenvalues(self.condition_number**quantile)
            xs = xs * eigenvalues.sqrt()[:, None]
            xs = inner_products(xs[:, :, None], _haar(basis.reshape(n_prompts, d, d)).mT[:, None])
        xs = xs * self.x_scale
        return Prompts(xs, self._targets(xs, weights, noise), weights * self.y_scale)

    def pool(self) -> Float[Tensor, "task dim"]:
        """The weight vectors that prompts are drawn from.

        Raises:
            ValueError: Every prompt has a new one.
        """
        if not self.n_tasks:
            raise ValueError("n_tasks is 0: every prompt has a weight vector of its own")
        return _pool(self.n_tasks, self.n_dims, self.pool_seed)

    def describe(self) -> dict[str, Any]:
        """The task as plain values; without the entries of a pool where there is none."""
        entries = super().describe()
        if not self.n_tasks:
            del entries["n_tasks"], entries["pool_seed"]
        return entries

    def fresh_targets(
        self, xs: Float[Tensor, "prompt point dim"], generator: torch.Generator
    ) -> Float[Tensor, "prompt point"] | None:
        if type(self).sample is not LinearRegression.sample or self.n_tasks:
            return None
        n_prompts, n_points, n_dims = xs.shape
        rows = standard_normal_rows(n_prompts, n_dims + n_points, generator)
        return self._targets(xs, *rows.split((n_dims, n_points), dim=1))

    def _targets(
        self,
        xs: Float[Tensor, "prompt point dim"],
        weights: Float[Tensor, "prompt dim"],
        noise: Float[Tensor, "prompt point"],
    ) -> Float[Tensor, "prompt point"]:
        return (inner_products(xs, weights[:, None]) + self.noise_std * noise) * self.y_scale


@lru_cache(maxsize=2)
def _pool(n_tasks: int, n_dims: int, seed: int) -> Float[Tensor, "task dim"]:
    generator = torch.Generator().manual_seed(seed)
    blocks = [standard_normal_rows(n_tasks, 16, generator) for _ in range(-(-n_dims // 16))]
    return torch.cat(blocks, dim=1)[:, :n_dims]


def _haar(
    gaussian: Float[Tensor, "prompt dim dim"],
) -> Float[Tensor, "prompt dim dim"]:
    """Uniformly distributed orthogonal matrices: Gram-Schmidt on Gaussian rows, projected twice.

    LAPACK's QR rounds a matrix differently at different places in memory, and so in a batch.
    """
    basis = torch.zeros_like(gaussian)
    for index, vector in enumerate(gaussian.unbind(1)):
        for _ in range(2):
            overlaps = inner_products(basis, vector[:, None])
            vector = vector - inner_products(basis.mT, overlaps[:, None])
        basis[:, index] = vector / vector.square().sum(1, keepdim=True).sqrt()
    return basis
