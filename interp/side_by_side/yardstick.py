"""Prompts of a task and what reference algorithms say on them, the same for every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from hooks.inference import inference
from hooks.model import SequenceModel
from interp.analyses.comparisons import Comparison, comparison, default_comparisons, select
from interp.side_by_side.settings import N_GROUPS
from interp.tasks import Task
from interp.training.baseline import baseline_predictions
from probes.matching import StepGrid
from probes.references import Prefixes
from probes.similarity import error_directions, group_similarity

BATCH_SIZE = 512
TABLE_REFERENCES = ("newton", "gd", "ogd")
"""What the paper's Table 1 compares predictions with."""


@dataclass(frozen=True)
class OutputScores:
    """Scores of a model's own predictions, by consecutive groups of prompts."""

    error: Float[Tensor, "group point"]
    """Squared error / n_dims."""
    baseline_error: Float[Tensor, "group point"]
    """The same of the best predictor known for the task, on the same prompts."""
    similarity: Mapping[str, Float[Tensor, "group _step"]]
    """SimE of the predictions with each of `TABLE_REFERENCES`, as they are (the paper's)."""
    grids: Mapping[str, StepGrid]
    """The steps at which each was evaluated."""


@dataclass(frozen=True)
class Yardstick:
    """Prompts, and the error directions of references on them."""

    xs: Float[Tensor, "prompt point dim"]
    ys: Float[Tensor, "prompt point"]
    comparisons: tuple[Comparison, ...]
    directions: Mapping[str, Float[Tensor, "_step prompt scored_point"]]
    baseline_error: Float[Tensor, "group point"]

    @classmethod
    def of(cls, task: Task, n_prompts: int, seed: int) -> Yardstick:
        """Draws prompts, a multiple of `N_GROUPS`, and runs the references on them once."""
        xs, ys, _ = task.sample(n_prompts, torch.Generator().manual_seed(seed))
        known = default_comparisons(task)
        compared = (
            select(known, "newton"),
            select(known, "gd"),
            comparison("ogd", "ogd", "ogd"),
        )
        prefixes = Prefixes(xs, ys)
        directions = {
            item.name: error_directions(item.reference.predictions(prefixes, item.grid.steps), ys)
            for item in compared
        }
        baseline = _group_error(baseline_predictions(task, xs, ys), ys, task.n_dims)
        return cls(xs, ys, compared, directions, baseline)

    def measure(self, model: SequenceModel) -> OutputScores:
        """Scores a model's predictions.

        Raises:
            ValueError: A prediction is not finite.
        """
        predictions = predict(model, self.xs, self.ys)
        own = error_directions(predictions[None], self.ys)
        similarity = {
            name: group_similarity(own, directions, N_GROUPS)[:, 0]
            for name, directions in self.directions.items()
        }
        return OutputScores(
            error=_group_error(predictions, self.ys, self.xs.shape[2]),
            baseline_error=self.baseline_error,
            similarity=similarity,
            grids={item.name: item.grid for item in self.comparisons},
        )


@lru_cache(maxsize=2)
def yardstick(task: Task, n_prompts: int, seed: int) -> Yardstick:
    """`Yardstick.of`, remembered for the next model of the same task."""
    return Yardstick.of(task, n_prompts, seed)


def predict(
    model: SequenceModel, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "prompt point"]:
    """A model's predictions in float64, batch by batch."""
    with inference(model):
        return torch.cat(
            [
                model(x.to(model.device), y.to(model.device)).double().cpu()
                for x, y in zip(xs.split(BATCH_SIZE), ys.split(BATCH_SIZE), strict=True)
            ]
        )


def _group_error(
    predictions: Float[Tensor, "prompt point"], ys: Float[Tensor, "prompt point"], n_dims: int
) -> Float[Tensor, "group point"]:
    squares = (predictions - ys).square() / n_dims
    return reduce(squares, "(group prompt) point -> group point", "mean", group=N_GROUPS)
