"""How far a model is from the best predictor known."""

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
from hooks.inference import predict
from hooks.model import SequenceModel
from interp.study.analysis import Analysis, at_least
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
        """Squared errors / n_dims by point, their means, the paired excess, and `learnt`.

        That is the share of the way from the error of predicting 0 to that of the baseline, with an
        interval by the delta method on the same prompts.
        """
        del part
        errors = torch.cat(list(self._errors(model, task, seed)), dim=1) / task.n_dims
        by_point = errors.mean(1)
        excess = (errors[0] - errors[1]).mean(1)
        reach = REACH * excess.std().item() / math.sqrt(len(excess))
        gained, possible = ((errors[2] - errors[row]).mean(1) for row in (0, 1))
        learnt, learnt_low, learnt_high = ratio_of_means(gained, possible)
        return xarray.Dataset(
            {
                "by_point": ("point", by_point[0].numpy()),
                "baseline_by_point": ("point", by_point[1].numpy()),
                "mean": by_point[0].mean().item(),
                "baseline": by_point[1].mean().item(),
                "excess": excess.mean().item(),
                "excess_low": excess.mean().item() - reach,
                "excess_high": excess.mean().item() + reach,
                "learnt": learnt,
                "learnt_low": learnt_low,
                "learnt_high": learnt_high,
            },
            coords={"point": range(task.n_points)},
        )

    def _errors(
        self, model: SequenceModel, task: Task, seed: int
    ) -> Iterator[Float[Tensor, "predictor prompt point"]]:
        n_seen = 0
        for xs, ys, *_ in task.stream(self.n_prompts, seed=seed, batch_size=self.batch_size):
            said = predict(model, xs, ys)
            check_finite(said, "predictions", n_seen)
            best = baseline_predictions(task, xs, ys)
            yield torch.stack(
                [squared_error(one, ys) for one in (said, best, torch.zeros_like(ys))]
            )
            n_seen += len(xs)


def ratio_of_means(
    part: Float[Tensor, " prompt"], whole: Float[Tensor, " prompt"]
) -> tuple[float, float, float]:
    """The ratio of two means over the same prompts, and its interval by the delta method."""
    share = (part.mean() / whole.mean()).item()
    spread = (part - share * whole).std() / whole.mean().abs()
    reach = REACH * spread.item() / math.sqrt(len(whole))
    return share, share - reach, share + reach
