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
from interp.scoring.direct_targets import TARGETS
from interp.scoring.scores import COMPARED, Matching, Scores
from probes.candidate import Candidate
from probes.controls.selectivity import selectivity
from probes.matching import Match, StepGrid, best_match
from probes.uncertainty.bootstrap import bootstrap_interval

BOUNDS = ("low", "high")
TREATMENTS = tuple(f"{readout}/{convention}" for readout, convention in COMPARED)
"""How SimE was computed: read-out of the iterates / where residual vectors start."""


def layer_table(scores: Scores, arrange: Arrangement, n_dims: int) -> xarray.Dataset:
    """Errors by site, layer and point, in units of squared error / n_dims.

    `error_selectivity` is the shuffled control's error minus the layer's, both as shares of the
    error of predicting 0; it is the R^2 of the layer minus that of the control. `error_reduction`
    is the share of the error of the layer before, or of predicting 0, that a layer removes.
    """
    zero = scores.target_square.mean(-1, keepdim=True)
    real, control = (part.mean(-1) / zero for part in (scores.layer_error, scores.shuffled_error))
    before = torch.ones_like(real)
    for site, previous in arrange.previous.items():
        before[:, site] = real[:, previous]
    error = scores.layer_error / n_dims
    mean = error.mean(-1)
    data: dict[str, Any] = {
        "error": arrange(error[0], "point"),
        **arrange.with_interval("mean_error", mean, scores.n_groups),
        "model_error": (("point",), (scores.model_error[0] / n_dims).numpy()),
        "zero_error": (("point",), (scores.target_square[0] / n_dims).numpy()),
        "change": arrange(scores.change),
        **arrange.with_interval("error_selectivity", selectivity(control, real), scores.n_groups),
        **arrange.with_interval("error_reduction", 1 - real / before, scores.n_groups),
    }
    return xarray.Dataset(
        data, coords={**arrange.coords, "point": arrange.points, "bound": list(BOUNDS)}
    )


def reference_table(
    scores: Scores,
    twin: Scores | None,
    item: Candidate,
    arrange: Arrangement,
    readout: Matching,
    n_dims: int,
) -> xarray.Dataset:
    """All scores against one reference; best steps by SimE with iterates treated as `readout` says.

    `selectivity` is SimE at each layer's best step minus that of the random-initialised twin at the
    best step of its same layer, and `prediction_selectivity` the same of the direct R^2; at the
    sites of the first kind, NaN at others. Without a twin there are none.
    """
    treatment = f"{readout}/paper"
    tables = torch.stack(
        [scores.similarity[item.name, readout, convention] for readout, convention in COMPARED]
    )  # [treatment, replicate, site, step]
    chosen = tables[TREATMENTS.index(treatment)]
    found = best_match(chosen, item.grid)
    every = best_match(tables[:, 0], item.grid)
    error = scores.reference_error[item.name] / n_dims
    data: dict[str, Any] = {
        "similarity": arrange(tables[:, 0].movedim(0, -1), "step", "treatment"),
        "whole_best_step": arrange(found.whole_step[0]),
        **arrange.with_interval("best_step", found.step, scores.n_groups),
        **arrange.with_interval("best_similarity", found.similarity, scores.n_groups),
        "best_step_by_treatment": arrange(every.step.T, "treatment"),
        "best_similarity_by_treatment": arrange(every.similarity.T, "treatment"),
        "error": (("step", "point"), error.numpy()),
        "point_similarity": arrange(scores.point_similarity[item.name], "step", "point"),
    }
    coords: dict[str, Any] = {
        **arrange.coords,
        "step": list(item.grid.steps),
        "point": arrange.points,
        "treatment": list(TREATMENTS),
        "bound": list(BOUNDS),
    }
    for target in TARGETS:
        if (item.name, target) in scores.direct:
            part, steps = _direct_table(scores, item, target, arrange)
            data |= part
            coords[f"{target}_step"] = steps
    if twin is not None:
        data |= _selectivities(scores, twin, item, arrange, readout)
    attrs = {
        "family": item.family,
        "reference": repr(item.reference),
        "spacing": item.grid.spacing,
        "treatment": treatment,
    }
    return xarray.Dataset(data, coords, attrs)


def control_tables(
    scores: Scores, twin: Scores | None, comparisons: Sequence[Candidate], arrange: Arrangement
) -> dict[str, xarray.Dataset]:
    """What the controls reach: error of read-outs over that of predicting 0, and direct R^2."""

    def table(error: Tensor, zero: Tensor, r2: Tensor | None) -> xarray.Dataset:
        relative = error[0].mean(-1) / zero[0].mean().item()
        r2 = torch.full_like(relative, torch.nan) if r2 is None else r2
        data = {"relative_error": arrange(relative), "prediction_r2": arrange(r2)}
        return xarray.Dataset(data, coords=arrange.coords)

    found = {"shuffled targets": table(scores.shuffled_error, scores.target_square, None)}
    if twin is not None:
        steps = [item.name for item in comparisons if item.has_steps]
        best = torch.stack([twin.direct[name, "prediction"][0].amax(-1) for name in steps]).amax(0)
        found["random weights"] = table(twin.layer_error, twin.target_square, best)
    return found


def _selectivities(
    scores: Scores, twin: Scores, item: Candidate, arrange: Arrangement, readout: Matching
) -> dict[str, Any]:
    key, direct = (item.name, readout, "paper"), (item.name, "prediction")
    control = twin.similarity[key].amax(-1)
    n = control.shape[1]
    found = arrange.with_interval(
        "selectivity",
        selectivity(scores.similarity[key][:, :n].amax(-1), control),
        scores.n_groups,
    )
    if item.has_steps and direct in scores.direct and direct in twin.direct:
        # below 0 nothing is read, and how far below says how many read-outs were tried
        real, control = (
            table.amax(-1).clamp(min=0)
            for table in (scores.direct[direct][:, :n], twin.direct[direct])
        )
        found |= arrange.with_interval(
            "prediction_selectivity", selectivity(real, control), scores.n_groups
        )
    return found


def _direct_table(
    scores: Scores, item: Candidate, target: str, arrange: Arrangement
) -> tuple[dict[str, Any], list[float]]:
    r2 = scores.direct[item.name, target]
    grid: StepGrid = item.grid_of(target)
    found: Match = best_match(r2, grid)
    return {
        f"{target}_r2": arrange(r2[0], f"{target}_step"),
        f"{target}_best_r2": arrange(found.similarity[0]),
        **arrange.with_interval(f"{target}_best_step", found.step, scores.n_groups),
    }, list(grid.steps)


class Arrangement:
    """Turns a flat axis of sites into `site` (the kind) and `layer`; NaN where there is none."""

    def __init__(self, sites: Sequence[Site], points: Sequence[int] = ()) -> None:
        self.points = list(points)
        self.kinds = list(dict.fromkeys(site.kind for site in sites))
        self.layers = sorted({site.layer for site in sites})
        self.rows = [self.kinds.index(site.kind) for site in sites]
        self.columns = [self.layers.index(site.layer) for site in sites]

    @property
    def coords(self) -> dict[str, Any]:
        return {"site": self.kinds, "layer": self.layers}

    @property
    def previous(self) -> dict[int, int]:
        """The site of the same kind at the layer before, where that was read."""
        order = sorted(range(len(self.rows)), key=lambda i: (self.rows[i], self.columns[i]))
        pairs = zip(order[1:], order, strict=False)
        return {site: before for site, before in pairs if self.rows[site] == self.rows[before]}

    def __call__(
        self, values: Float[Tensor, " site *rest"], *dims: str
    ) -> tuple[tuple[str, ...], np.ndarray]:
        shape = (len(self.kinds), len(self.layers), *values.shape[1:])
        table = np.full(shape, np.nan)
        n_rows = len(values)  # vectors are read at the first kind of site only
        table[self.rows[:n_rows], self.columns[:n_rows]] = values.numpy()
        return ("site", "layer", *dims), table

    def with_interval(
        self, name: str, replicates: Float[Tensor, "replicate site"], n_groups: int
    ) -> dict[str, Any]:
        """A score and its 95 % interval over prompts, as variables of a dataset."""
        bounds = bootstrap_interval(replicates[1:], n_groups=n_groups).T
        return {name: self(replicates[0]), f"{name}_interval": self(bounds, "bound")}
