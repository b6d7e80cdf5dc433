"""What `compare` found: every number with its axes named, saved and reopened whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.analyses.assessment import Assessment
from interp.analyses.benchmark_prompts import N_GROUPS, TABLE_REFERENCES
from interp.results.netcdf import read_tree
from interp.results.result import MatchResult
from interp.results.saved import SavedResult
from interp.scoring.scores import average
from probes.matching import StepGrid, best_match
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

FORMAT = "icl-interp-compare/1"
N_REPLICATES = 1000
BOUNDS = ("low", "high")


@dataclass(frozen=True, repr=False)
class ModelComparison(SavedResult):
    """Several models side by side.

    `data` is a tree: `/summary` holds errors, similarities, differences, forgetting and cost by
    `model`; `/models/<number>` is what `interp.match` found about each model by itself.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """What the models are called, in the order they were given."""
        return tuple(map(str, self.summary.model.values))

    @property
    def summary(self) -> xarray.Dataset:
        """All numbers about whole models."""
        node = self.data["summary"]
        assert isinstance(node, xarray.DataTree)
        return node.to_dataset(inherit=False)

    def match(self, name: str) -> MatchResult:
        """What `interp.match` found about one model.

        Raises:
            ValueError: It is none of those compared.
        """
        if name not in self.names:
            raise ValueError(f"model {name!r} was not compared; compared were {self.names}")
        return self._matches[name]

    @cached_property
    def _matches(self) -> dict[str, MatchResult]:
        """By name; taking a part out of a tree costs a copy."""
        return {
            name: MatchResult(self.data[f"models/{number}"].copy())  # type: ignore[arg-type]
            for number, name in enumerate(self.names)
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each model, with every number that there is one of for each model."""
        summary = self.summary
        single = [name for name, values in summary.data_vars.items() if values.dims == ("model",)]
        return summary[single].to_dataframe().reset_index()

    def _describe(self) -> str:
        return ", ".join(self.names)


def open_comparison(path: str | Path) -> ModelComparison:
    """Reads a file that `ModelComparison.save` wrote, equal to what was saved.

    Raises:
        ResultError: The file is missing, damaged, or no such result.
    """
    return ModelComparison(read_tree(path, FORMAT))


def make_comparison(
    assessments: Sequence[Assessment], provenance: Mapping[str, Any]
) -> ModelComparison:
    """Puts models side by side, with bootstrap draws that all of them share.

    Args:
        assessments: One for each model; those of the same task were measured on the same prompts.
        provenance: `seed`, of the bootstrap as well, and whatever else should be kept.
    """
    weights = bootstrap_weights(N_GROUPS, N_REPLICATES, provenance["seed"], with_original=True)
    tasks = list(dict.fromkeys(item.task for item in assessments))
    names = [item.name for item in assessments]
    replicates = xarray.concat(
        [_replicates(item.scores, weights) for item in assessments],
        xarray.Variable("model", names),
        join="outer",
    ).drop_vars(["gap_index", "kappa_index"])
    replicates["task"] = "model", [tasks.index(item.task) for item in assessments]
    similarity = replicates.similarity
    other = similarity.rename(model="other")
    same_task = replicates.task == replicates.task.rename(model="other")
    replicates["similarity_difference"] = (similarity - other).where(same_task)
    tree = {"/summary": _with_intervals(replicates)}
    for number, item in enumerate(assessments):
        for node in item.match.data.subtree:
            path = node.path.removeprefix(item.match.data.path)
            tree[f"/models/{number}/{path.lstrip('/')}".rstrip("/")] = node.to_dataset(
                inherit=False
            )
    attrs = {
        "format": FORMAT,
        "provenance": json.dumps({**provenance, "tasks": [task.describe() for task in tasks]}),
    }
    return ModelComparison(xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=attrs), **tree}))


def _replicates(
    scores: xarray.Dataset, weights: Float[Tensor, "replicate group"]
) -> xarray.Dataset:
    """A model's scores over all prompts first, then over replicates of them, by `replicate`."""

    def mean(name: str) -> Tensor:
        return average(torch.tensor(scores[name].values), weights)

    found = []
    for name in TABLE_REFERENCES:
        steps = scores[f"step_{name}"]
        grid = StepGrid(tuple(steps.values.tolist()), steps.attrs["spacing"])
        found.append(best_match(mean(f"similarity_{name}")[:, None], grid))
    error, baseline = mean("error"), mean("baseline_error")
    kappa_error, kappa_baseline = mean("kappa_error"), mean("kappa_baseline_error")
    by_reference = ("replicate", "reference")
    by_kappa = ("replicate", "kappa_index")
    data: dict[str, Any] = {
        "error": ("replicate", error.mean(1)),
        "excess": ("replicate", (error - baseline).mean(1)),
        "baseline_error": baseline[0].mean().item(),
        "point_error": ("point", error[0]),
        "point_baseline_error": ("point", baseline[0]),
        "similarity": (by_reference, torch.cat([item.similarity for item in found], 1)),
        "similarity_step": (by_reference, torch.cat([item.step for item in found], 1)),
        "last_step": ("reference", [float(scores[f"step_{n}"][-1]) for n in TABLE_REFERENCES]),
        "forgetting": (("replicate", "gap_index"), mean("forgetting")),
        "kappa_error": (by_kappa, kappa_error),
        "kappa_baseline_error": ("kappa_index", kappa_baseline[0]),
        "kappa_excess": (by_kappa, kappa_error - kappa_baseline),
    }
    kept = ("zero_error", "gap", "n_examples", "reference_forgetting", "kappa", "n_parameters")
    data |= {name: scores[name].variable for name in (*kept, "milliseconds_per_prompt")}
    table = xarray.Dataset(data, {"reference": list(TABLE_REFERENCES)})
    table = table.assign_coords(remembering=scores.remembering)
    axes = ("gap_index", "kappa_index")
    numbered = {axis: np.arange(table.sizes[axis]) for axis in axes}
    return table.assign_coords(numbered).assign_coords(point=scores.point)


def _with_intervals(replicates: xarray.Dataset) -> xarray.Dataset:
    """Scores over all prompts, each with its 95 % interval; NaN stays NaN."""
    found = replicates.isel(replicate=0)
    for name, table in replicates.data_vars.items():
        if "replicate" in table.dims:
            values = torch.tensor(table.transpose("replicate", ...).values)
            bounds = bootstrap_interval(values[1:].nan_to_num(), n_groups=N_GROUPS)
            bounds = torch.where(values[0].isnan(), torch.nan, bounds).movedim(0, -1)
            dims = (*(axis for axis in table.dims if axis != "replicate"), "bound")
            found[f"{name}_interval"] = dims, bounds.numpy()
    return found.assign_coords(bound=list(BOUNDS))
