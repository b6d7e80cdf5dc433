"""Where does a model break? Its errors and matching steps away from its training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import xarray

from hooks.model import SequenceModel
from interp.conditions.sweeping import LEAST_PROMPTS, condition_tasks, conditions
from interp.conditions.variations import VARIATIONS, choose_variations
from interp.sweep.analyses.analysis import Analysis, at_least
from interp.tasks import Task


@dataclass(frozen=True)
class ConditionsAnalysis(Analysis):
    """`interp.conditions`, a property of the prompts in each part."""

    vary: tuple[str, ...] = tuple(VARIATIONS)
    """What is varied, names of `interp.conditions.variations.VARIATIONS`."""
    values: tuple[float, ...] = ()
    """In place of the defaults, of a single property."""
    n_prompts: int = 512

    name: ClassVar[str] = "conditions"

    def __post_init__(self) -> None:
        choose_variations(self.vary)
        at_least(LEAST_PROMPTS, self, "n_prompts")
        if len(set(self.vary)) < len(self.vary):
            raise ValueError(f"vary names a property twice: {', '.join(self.vary)}")
        if self.values and len(self.vary) > 1:
            raise ValueError("values needs vary with a single property")

    @property
    def n_parts(self) -> int:
        return len(self.vary)

    def run(self, model: SequenceModel, task: Task, seed: int, part: int) -> xarray.Dataset:
        """Everything by the values of one property; nothing where task or model has no such one.

        Errors are squared errors / n_dims. The worst excess is the largest, over values, of the
        model's error above the best answer's, in units of the error of predicting 0.
        """
        name = self.vary[part]
        values = {name: self.values} if self.values else None
        if not condition_tasks(model, task, (name,), values):
            return xarray.Dataset()
        table = conditions(
            model, task, vary=(name,), values=values, n_prompts=self.n_prompts, seed=seed
        ).table(name)
        axis = name.replace("-", "_")
        data: dict[str, Any] = {
            "model_error": table.model_error,
            "model_error_low": table.model_error_interval.sel(bound="low", drop=True),
            "model_error_high": table.model_error_interval.sel(bound="high", drop=True),
            "best_error": table.best_error,
            "zero_error": table.zero_error,
            "layer_error": table.error,
            "best_step": table.best_step,
            "best_similarity": table.similarity,
            "steps_needed": table.steps_needed,
            "worst_excess": _worst_excess(table),
        }
        found = xarray.Dataset({f"{axis}_{key}": entry for key, entry in data.items()})
        return found.rename(value=axis)

    def join(self, parts: Iterable[xarray.Dataset], task: Task) -> xarray.Dataset:
        """All properties side by side, each on an axis of its own."""
        del task
        return xarray.merge(list(parts), join="outer")


def _worst_excess(table: xarray.Dataset) -> float:
    """Infinite where the model leaves the range of numbers."""
    excess = (table.model_error - table.best_error) / table.zero_error
    return float(np.where(table.failure.values == "", excess.values, np.inf).max())
