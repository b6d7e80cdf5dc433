"""Whether a model that was trained on a finite pool of tasks has learnt the pool or the task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
import xarray

from hooks.finite import check_finite
from hooks.inference import predict
from hooks.model import SequenceModel
from interp.study.analysis import Analysis, at_least
from interp.study.errors import ratio_of_means
from interp.tasks import LinearRegression, Task
from interp.training.baseline import best_reference
from interp.training.validation import squared_error
from probes.references import Prefixes

PREDICTORS = ("model", "dmmse", "ridge")


@dataclass(frozen=True)
class PoolAnalysis(Analysis):
    """The model between dMMSE and ridge, on tasks of its pool and on others (Raventós et al. 2023).

    dMMSE is the best predictor where w comes from the pool, ridge (OLS without noise) where it is
    new in every prompt.
    """

    n_prompts: int = 1024

    name: ClassVar[str] = "pool"

    def __post_init__(self) -> None:
        at_least(2, self, "n_prompts")

    def run(self, model: SequenceModel, task: Task, seed: int, part: int) -> xarray.Dataset:
        """Everything by `prompts`, "pool" or "new"; nothing where the task has no pool.

        `model_error`, `dmmse_error` and `ridge_error` are squared errors / n_dims, `dmmse_distance`
        and `ridge_distance` squared differences of predictions / n_dims. `ridge_likeness` is the
        share of the first distance in the sum of both, 0 at dMMSE and 1 at ridge, with an interval
        by the delta method.
        """
        del part
        if not isinstance(task, LinearRegression) or not task.n_tasks:
            return xarray.Dataset()
        new = replace(task, n_tasks=0)
        references = [best_reference(one) for one in (task, new)]
        rows = []
        for source in (task, new):
            squares = []
            for xs, ys, *_ in source.stream(self.n_prompts, seed=seed):
                said = predict(model, xs, ys)
                check_finite(said, "predictions")
                prefixes = Prefixes(xs, ys)
                dmmse, ridge = (one.predictions(prefixes, None)[0] for one in references)
                pairs = [(said, ys), (dmmse, ys), (ridge, ys), (said, dmmse), (said, ridge)]
                squares.append(torch.stack([squared_error(a.to(b), b).mean(1) for a, b in pairs]))
            rows.append(torch.cat(squares, dim=1) / task.n_dims)
        names = [*(f"{name}_error" for name in PREDICTORS), "dmmse_distance", "ridge_distance"]
        data = {
            name: ("prompts", [row[index].mean().item() for row in rows])
            for index, name in enumerate(names)
        }
        bands = np.array([ratio_of_means(row[3], row[3] + row[4]) for row in rows])
        for end, values in zip(("", "_low", "_high"), bands.T, strict=True):
            data[f"ridge_likeness{end}"] = ("prompts", values.tolist())
        return xarray.Dataset(data, {"prompts": ["pool", "new"]})
