"""The analyses of a sweep. A new one is a subclass of `Analysis` and one entry of `ANALYSES`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.capture import FinalNorm
from hooks.finite import check_finite
from hooks.inference import predict
from hooks.model import SequenceModel
from interp.analyses.anatomy import LEAST_PROMPTS as LEAST_ANATOMY_PROMPTS
from interp.analyses.anatomy import anatomy
from interp.analyses.match import match
from interp.analyses.match_settings import MatchSettings
from interp.analyses.robustness import LEAST_PROMPTS, condition_tasks, conditions
from interp.analyses.variations import VARIATIONS, choose_variations
from interp.report.verdict_text import rate_of, short_answer
from interp.study.analysis import Analysis, at_least
from interp.study.readouts import ReadoutAnalysis
from interp.tasks import Task
from interp.training.baseline import baseline_predictions
from interp.training.validation import squared_error

REACH = 1.96
"""Standard errors to either side of a mean that an interval of 95 % takes in."""
BY_LAYER = ("best_step", "best_similarity")
OF_ANATOMY = ("share", "ceiling", "resolved_eigenvalue")


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
            said = predict(model, xs, ys)
            check_finite(said, "predictions", n_seen)
            best = baseline_predictions(task, xs, ys)
            yield torch.stack([squared_error(said, ys), squared_error(best, ys)])
            n_seen += len(xs)


@dataclass(frozen=True)
class MatchAnalysis(Analysis):
    """`interp.match`, reduced to what can be compared between models."""

    n_prompts: int = 1024
    readout: Literal["matched", "raw"] = "matched"
    site_kind: str = "resid_post"
    final_norm: FinalNorm = "official"

    name: ClassVar[str] = "match"

    def __post_init__(self) -> None:
        self.settings(0)

    def settings(self, seed: int) -> MatchSettings:
        """The options of `interp.match`."""
        return MatchSettings(
            (self.site_kind,), self.readout, self.n_prompts, seed, final_norm=self.final_norm
        )

    def run(self, model: SequenceModel, task: Task, seed: int, part: int) -> xarray.Dataset:
        """The verdict, errors and convergence of layers, best steps by reference and layer."""
        del part
        result = match(model, task, self.settings(seed))
        layers, verdict = result.layers.isel(site=0, drop=True), result.verdict
        names = [name for name in result.references if result.reference(name).sizes["step"] > 1]
        low, high = verdict.interval or (np.nan, np.nan)
        rate = verdict.steps_per_layer
        data: dict[str, Any] = {
            "answer": verdict.answer,
            "verdict": short_answer(verdict),
            "rate_of": rate_of(verdict),
            "retained": ", ".join(verdict.retained),
            "steps_per_layer": np.nan if rate is None else rate,
            "steps_per_layer_low": low,
            "steps_per_layer_high": high,
            "layer_error": layers.mean_error,
            "convergence_order": layers.convergence_order,
        }
        for end in ("low", "high"):
            bound = layers.convergence_order_interval.sel(bound=end, drop=True)
            data[f"convergence_order_{end}"] = bound
        for name in BY_LAYER:
            tables = [result.reference(reference)[name].isel(site=0) for reference in names]
            data[name] = xarray.concat(
                [table.reset_coords(drop=True) for table in tables],
                xarray.IndexVariable("reference", names),
            )
        return xarray.Dataset(data)


@dataclass(frozen=True)
class ConditionsAnalysis(Analysis):
    """`interp.conditions`, a property of the prompts in each part."""

    vary: tuple[str, ...] = tuple(VARIATIONS)
    """What is varied, names of `interp.analyses.variations.VARIATIONS`."""
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


@dataclass(frozen=True)
class AnatomyAnalysis(Analysis):
    """`interp.anatomy` after as many examples as x has entries, where eigenvalues spread most."""

    n_prompts: int = 4096

    name: ClassVar[str] = "anatomy"

    def __post_init__(self) -> None:
        at_least(LEAST_ANATOMY_PROMPTS, self, "n_prompts")

    def run(self, model: SequenceModel, task: Task, seed: int, part: int) -> xarray.Dataset:
        """Shares, ceiling and resolved eigenvalue of every layer, with their intervals."""
        del part
        points = (min(task.n_dims, task.n_points - 1),)
        found = anatomy(model, task, points=points, n_prompts=self.n_prompts, seed=seed).table
        names = [f"{name}{end}" for name in OF_ANATOMY for end in ("", "_low", "_high")]
        return found[names].isel(point=0, drop=True)


ANALYSES: dict[str, type[Analysis]] = {
    analysis.name: analysis
    for analysis in (
        ErrorAnalysis,
        MatchAnalysis,
        ReadoutAnalysis,
        ConditionsAnalysis,
        AnatomyAnalysis,
    )
}
