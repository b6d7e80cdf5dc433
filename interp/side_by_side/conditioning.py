"""Condition numbers: what models say on prompts of other condition numbers than in training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor

from hooks.model import SequenceModel
from interp.conditions.variations import VARIATIONS, lacks
from interp.side_by_side.settings import N_GROUPS
from interp.side_by_side.yardstick import predict
from interp.tasks import Task
from interp.training.baseline import baseline_predictions

KAPPA = VARIATIONS["kappa"]
N_PROMPTS = 256
"""For each condition number."""


@dataclass(frozen=True)
class IllConditioned:
    """Prompts of several condition numbers, of one largest eigenvalue."""

    kappas: tuple[float, ...]
    xs: Float[Tensor, "kappa prompt point dim"]
    ys: Float[Tensor, "kappa prompt point"]
    baseline_error: Float[Tensor, " kappa"]
    """Squared error / n_dims of the best predictor known."""

    @classmethod
    def of(cls, task: Task, n_prompts: int, seed: int) -> IllConditioned:
        """Draws prompts for every condition number; none for a task that has no such thing."""
        kappas = () if lacks(task, KAPPA) else KAPPA.values
        xs = torch.empty(len(kappas), n_prompts, task.n_points, task.n_dims, dtype=torch.float64)
        ys, baseline = xs[..., 0].clone(), xs[:, 0, 0, 0].clone()
        for index, kappa in enumerate(kappas):
            condition = KAPPA.apply(task, kappa)
            generator = torch.Generator().manual_seed(seed)
            xs[index], ys[index], _ = condition.sample(n_prompts, generator)
            said = baseline_predictions(condition, xs[index], ys[index])
            baseline[index] = (said - ys[index]).square().mean() / task.n_dims
        return cls(kappas, xs, ys, baseline)

    def of_model(self, model: SequenceModel) -> Float[Tensor, "group kappa"]:
        """Squared error / n_dims of a model; NaN where it leaves the range of numbers."""
        n_kappas, n_prompts = self.ys.shape[:2]
        if not n_kappas:
            return torch.empty(N_GROUPS, 0, dtype=torch.float64)
        said = predict(model, self.xs.flatten(0, 1), self.ys.flatten(0, 1))
        squares = rearrange(said, "(k prompt) point -> k prompt point", prompt=n_prompts) - self.ys
        error = reduce(
            squares.square() / self.xs.shape[3],
            "k (group prompt) point -> group k",
            "mean",
            group=N_GROUPS,
        )
        return torch.where(error.isfinite().all(0), error, torch.nan)


@lru_cache(maxsize=2)
def ill_conditioned(task: Task, seed: int) -> IllConditioned:
    """`IllConditioned.of` with `N_PROMPTS`, remembered for the next model of the same task."""
    return IllConditioned.of(task, N_PROMPTS, seed)
