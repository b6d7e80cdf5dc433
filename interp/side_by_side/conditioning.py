"""Condition numbers: what models say on prompts of other condition numbers than in training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from einops import reduce
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
    baseline_error: Float[Tensor, "group kappa"]
    """Squared error / n_dims of the best predictor known."""

    @classmethod
    def of(cls, task: Task, n_prompts: int, seed: int) -> IllConditioned:
        """Draws prompts for every condition number; none for a task that has no such thing."""
        kappas = () if lacks(task, KAPPA) else KAPPA.values
        xs = torch.empty(len(kappas), n_prompts, task.n_points, task.n_dims, dtype=torch.float64)
        ys, said = xs[..., 0].clone(), xs[..., 0].clone()
        for index, kappa in enumerate(kappas):
            condition = KAPPA.apply(task, kappa)
            generator = torch.Generator().manual_seed(seed)
            xs[index], ys[index], _ = condition.sample(n_prompts, generator)
            said[index] = baseline_predictions(condition, xs[index], ys[index])
        return cls(kappas, xs, ys, _group_error(said, ys, task.n_dims))

    def of_model(self, model: SequenceModel) -> Float[Tensor, "group kappa"]:
        """Squared error / n_dims of a model; NaN where it leaves the range of numbers."""
        if not self.kappas:
            return self.baseline_error.clone()
        said = predict(model, self.xs.flatten(0, 1), self.ys.flatten(0, 1))
        by_kappa = said.unflatten(0, self.ys.shape[:2])
        error = _group_error(by_kappa, self.ys, self.xs.shape[3])
        return torch.where(error.isfinite().all(0), error, torch.nan)


def _group_error(
    said: Float[Tensor, "kappa prompt point"], ys: Float[Tensor, "kappa prompt point"], n_dims: int
) -> Float[Tensor, "group kappa"]:
    squares = (said - ys).square() / n_dims
    return reduce(squares, "k (group prompt) point -> group k", "mean", group=N_GROUPS)


@lru_cache(maxsize=2)
def ill_conditioned(task: Task, seed: int) -> IllConditioned:
    """`IllConditioned.of` with `N_PROMPTS`, remembered for the next model of the same task."""
    return IllConditioned.of(task, N_PROMPTS, seed)
