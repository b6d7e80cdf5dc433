"""Which algorithm do a model's layers run? The verdict and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import xarray

from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from interp.analyses.match import match
from interp.analyses.match_settings import MatchSettings
from interp.sweep.analyses.analysis import Analysis
from interp.tasks import Task

BY_LAYER = ("best_step", "best_similarity")


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
        return MatchSettings((self.site_kind,), self.readout, self.n_prompts, seed, self.final_norm)

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
            "standing": ", ".join(verdict.standing),
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
