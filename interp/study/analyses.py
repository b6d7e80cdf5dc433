"""The analyses of a sweep. A new one is a subclass of `Analysis` and one entry of `ANALYSES`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import xarray

from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from interp.analyses.anatomy import LEAST_PROMPTS as LEAST_ANATOMY_PROMPTS
from interp.analyses.anatomy import anatomy
from interp.analyses.match import match
from interp.analyses.match_settings import MatchSettings
from interp.analyses.robustness import LEAST_PROMPTS, condition_tasks, conditions
from interp.analyses.variations import VARIATIONS, choose_variations
from interp.report.verdict_text import rate_of, short_answer
from interp.study.analysis import Analysis, at_least
from interp.study.errors import ErrorAnalysis
from interp.study.pool import PoolAnalysis
from interp.study.readouts import ReadoutAnalysis
from interp.tasks import Task
from probes.verdict import Measure

BY_LAYER = ("best_step", "best_similarity")
OF_ANATOMY = ("share", "ceiling", "resolved_eigenvalue")


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
        """The verdict, errors and convergence of layers, best steps by reference and layer.

        `growth_gain` is the similarity that a constant number of steps a layer gains over a single
        step for all layers.
        """
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
            "error_reduction": layers.error_reduction,
        }
        data |= _bounds(layers, "convergence_order") | _bounds(layers, "error_reduction")
        tables = [result.reference(name).isel(site=0).reset_coords(drop=True) for name in names]
        for name in BY_LAYER:
            rows = [xarray.Dataset({name: t[name]} | _bounds(t, name)) for t in tables]
            table = xarray.concat(rows, xarray.IndexVariable("reference", names))
            data |= {str(key): values for key, values in table.data_vars.items()}
        gains = {
            item.name: (item.growth_gain.value, item.growth_gain.low, item.growth_gain.high)
            for finding in verdict.findings
            if finding.measure is Measure.SIMILARITY
            for item in finding.evidence
        }
        found = np.array([gains.get(name, (np.nan,) * 3) for name in names])
        for end, values in zip(("", "_low", "_high"), found.T, strict=True):
            data[f"growth_gain{end}"] = ("reference", values)
        return xarray.Dataset(data)


def _bounds(table: xarray.Dataset, name: str) -> dict[str, xarray.DataArray]:
    interval = table[f"{name}_interval"]
    return {f"{name}_{end}": interval.sel(bound=end, drop=True) for end in ("low", "high")}


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
        """Shares, ceiling and resolved eigenvalue of layers, with intervals; and their energy."""
        del part
        points = (anatomy_point(task),)
        found = anatomy(model, task, points=points, n_prompts=self.n_prompts, seed=seed).table
        names = [f"{name}{end}" for name in OF_ANATOMY for end in ("", "_low", "_high")]
        return found[[*names, "energy"]].isel(point=0, drop=True)


def anatomy_point(task: Task) -> int:
    """Number of examples after which layers are taken apart."""
    return min(task.n_dims, task.n_points - 1)


ANALYSES: dict[str, type[Analysis]] = {
    analysis.name: analysis
    for analysis in (
        ErrorAnalysis,
        MatchAnalysis,
        ReadoutAnalysis,
        ConditionsAnalysis,
        AnatomyAnalysis,
        PoolAnalysis,
    )
}
