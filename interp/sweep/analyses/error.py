"""How well does a model predict, beside the best predictor known for the task?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.finite import check_finite
from hooks.inference import inference
from hooks.model import SequenceModel
from interp.sweep.analyses.analysis import Analysis, at_least
from interp.tasks import Task
from interp.training.baseline import baseline_predictions
from interp.training.validation import squared_error

REACH = 1.96
"""Standard errors to either side of a mean that an interval of 95 % takes in."""


@dataclass(frozen=True)
class ErrorAnalysis(Analysis):
    """Errors of the model itself and of the baseline (see `interp.training.baseline`)."""

    n_prompts: int = 4096
    batch_size: int = 512

    name: ClassVar[str] = "error"

    def __post_init__(self) -> None:
        at_least(2, self, "n_prompts")
        at_least(1, self, "batch_size")

    def run(self, model: SequenceModel, task: Task, seed: int, part: int) -> xarray.Dataset:
        """Squared errors / n_dims by point, their means, and the paired excess."""
        del part
        errors = torch.cat(list(self._errors(model, task, seed)), dim=1) / task.n_dims
        by_point = errors.mean(1)
        excess = (errors[0] - errors[1]).mean(1)
        reach = REACH * excess.std().item() / math.sqrt(len(excess))
        return xarray.Dataset(
            {
                "by_point": ("point", by_point[0].numpy()),
                "baseline_by_point": ("point", by_point[1].numpy()),
                "mean": by_point[0].mean().item(),
                "baseline": by_point[1].mean().item(),
                "excess": excess.mean().item(),
                "excess_low": excess.mean().item() - reach,
                "excess_high": excess.mean().item() + reach,
            },
            coords={"point": range(task.n_points)},
        )

    def _errors(
        self, model: SequenceModel, task: Task, seed: int
    ) -> Iterator[Float[Tensor, "predictor prompt point"]]:
        n_seen = 0
        for xs, ys, *_ in task.stream(self.n_prompts, seed=seed, batch_size=self.batch_size):
            with inference(model):
                said = model(xs.to(model.device), ys.to(model.device)).double().cpu()
            check_finite(said, "predictions", n_seen)
            best = baseline_predictions(task, xs, ys)
            yield torch.stack([squared_error(said, ys), squared_error(best, ys)])
            n_seen += len(xs)
