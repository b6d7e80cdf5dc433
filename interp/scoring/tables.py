"""Scores as labelled tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.sites import Site
from interp.analyses.comparisons import Comparison
from interp.scoring.direct_targets import TARGETS
from interp.scoring.scores import Scores
from interp.scoring.totals import COMPARED
from probes.matching import Match, StepGrid, best_match
from probes.uncertainty.bootstrap import bootstrap_interval

BOUNDS = ("low", "high")
TREATMENTS = tuple(f"{readout}/{convention}" for readout, convention in COMPARED)
"""How SimE was computed: read-out of the iterates / where residual vectors start."""


def layer_table(scores: Scores, sites: Sequence[Site], n_dims: int) -> xarray.Dataset:
    """Errors by site, layer and point, in units of squared error / n_dims."""
    arrange = Arrangement(sites)
    error = scores.layer_error / n_dims
    mean = error.mean(-1)
    points = np.arange(error.shape[-1])
    data: dict[str, Any] = {
        "error": arrange(error[0], "point"),
        "mean_error": arrange(mean[0]),
        "mean_error_interval": arrange(_interval(mean, scores.n_groups), "bound"),
        "model_error": (("point",), (scores.model_error[0] / n_dims).numpy()),
        "zero_error": (("point",), (scores.target_square[0] / n_dims).numpy()),
        "change": arrange(scores.change),
    }
    return xarray.Dataset(data, coords={**arrange.coords, "point": points, "bound": list(BOUNDS)})


def reference_table(
    scores: Scores, item: Comparison, sites: Sequence[Site], treatment: str, n_dims: int
) -> xarray.Dataset:
    """All scores against one reference; best steps under `treatment`, one of `TREATMENTS`."""
    arrange = Arrangement(sites)
    tables = torch.stack(
        [scores.similarity[item.name, readout, convention] for readout, convention in COMPARED]
    )  # [treatment, replicate, site, step]
    chosen = tables[TREATMENTS.index(treatment)]
    found = best_match(chosen, item.grid)
    every = best_match(tables[:, 0], item.grid)
    error = scores.reference_error[item.name] / n_dims
    data: dict[str, Any] = {
        "similarity": arrange(tables[:, 0].movedim(0, -1), "step", "treatment"),
        "best_step": arrange(found.step[0]),
        "whole_best_step": arrange(found.whole_step[0]),
        "best_similarity": arrange(found.similarity[0]),
        "best_step_interval": arrange(_interval(found.step, scores.n_groups), "bound"),
        "best_similarity_interval": arrange(_interval(found.similarity, scores.n_groups), "bound"),
        "best_step_by_treatment": arrange(every.step.T, "treatment"),
        "best_similarity_by_treatment": arrange(every.similarity.T, "treatment"),
        "error": (("step", "point"), error.numpy()),
        "point_similarity": arrange(scores.point_similarity[item.name], "step", "point"),
    }
    coords: dict[str, Any] = {
        **arrange.coords,
        "step": list(item.grid.steps),
        "point": np.arange(error.shape[-1]),
        "treatment": list(TREATMENTS),
        "bound": list(BOUNDS),
    }
    for target in TARGETS:
        if (item.name, target) in scores.direct:
            part, steps = _direct_table(scores, item, target, arrange)
            data |= part
            coords[f"{target}_step"] = steps
    attrs = {
        "family": item.family,
        "reference": repr(item.reference),
        "spacing": item.grid.spacing,
        "treatment": treatment,
    }
    return xarray.Dataset(data, coords, attrs)


def control_table(
    r2: Float[Tensor, " site"], error: Float[Tensor, " site"], zero: float, sites: Sequence[Site]
) -> xarray.Dataset:
    """What a control reaches: error of its read-outs over that of predicting 0, and direct R^2."""
    arrange = Arrangement(sites)
    data = {"relative_error": arrange(error / zero), "prediction_r2": arrange(r2)}
    return xarray.Dataset(data, coords=arrange.coords)


def _direct_table(
    scores: Scores, item: Comparison, target: str, arrange: Arrangement
) -> tuple[dict[str, Any], list[float]]:
    r2 = scores.direct[item.name, target]
    grid: StepGrid = item.grid_of(target)
    found: Match = best_match(r2, grid)
    return {
        f"{target}_r2": arrange(r2[0], f"{target}_step"),
        f"{target}_best_step": arrange(found.step[0]),
        f"{target}_best_r2": arrange(found.similarity[0]),
        f"{target}_best_step_interval": arrange(_interval(found.step, scores.n_groups), "bound"),
    }, list(grid.steps)


class Arrangement:
    """Turns a flat axis of sites into `site` (the kind) and `layer`; NaN where there is none."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self.kinds = list(dict.fromkeys(site.kind for site in sites))
        self.layers = sorted({site.layer for site in sites})
        self.rows = [self.kinds.index(site.kind) for site in sites]
        self.columns = [self.layers.index(site.layer) for site in sites]

    @property
    def coords(self) -> dict[str, Any]:
        return {"site": self.kinds, "layer": self.layers}

    def __call__(
        self, values: Float[Tensor, " site *rest"], *dims: str
    ) -> tuple[tuple[str, ...], np.ndarray]:
        shape = (len(self.kinds), len(self.layers), *values.shape[1:])
        table = np.full(shape, np.nan)
        n_rows = len(values)  # vectors are read at the first kind of site only
        table[self.rows[:n_rows], self.columns[:n_rows]] = values.numpy()
        return ("site", "layer", *dims), table


def _interval(
    replicates: Float[Tensor, "replicate site"], n_groups: int
) -> Float[Tensor, "site bound"]:
    return bootstrap_interval(replicates[1:], n_groups=n_groups).T
