"""From what was measured about each model to one labelled data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.analyses.scores import average
from interp.side_by_side.assessment import Assessment
from interp.side_by_side.forgetting import REMEMBERING
from interp.side_by_side.result import FORMAT, ModelComparison
from interp.side_by_side.settings import N_GROUPS, N_REPLICATES
from interp.side_by_side.yardstick import TABLE_REFERENCES
from probes.controls.bootstrap import bootstrap_weights, interval
from probes.matching import Match, best_match

BOUNDS = ("low", "high")


def make_comparison(
    assessments: Sequence[Assessment], provenance: Mapping[str, Any]
) -> ModelComparison:
    """Puts models beside each other, with bootstrap draws that all of them share.

    Args:
        assessments: One for each model; those of the same task were measured on the same prompts.
        provenance: `seed`, of the bootstrap as well, and whatever else should be kept.
    """
    weights = bootstrap_weights(N_GROUPS, N_REPLICATES, provenance["seed"], with_original=True)
    models = [_Replicates(item, weights) for item in assessments]
    tasks = list(dict.fromkeys(item.task for item in assessments))
    scalars = {
        "error": [model.error.mean(1) for model in models],
        "excess": [(model.error - model.baseline).mean(1) for model in models],
    }
    data: dict[str, Any] = {
        "task": ("model", [tasks.index(item.task) for item in assessments]),
        "baseline_error": ("model", [model.baseline[0].mean().item() for model in models]),
        "n_parameters": ("model", [item.n_parameters for item in assessments]),
        "milliseconds_per_prompt": (
            "model",
            [item.milliseconds_per_prompt for item in assessments],
        ),
    }
    for name, replicates in scalars.items():
        data |= _with_interval(name, ("model",), torch.stack(replicates, 1))
    similarity = torch.stack([model.similarity for model in models], 1)
    data |= _with_interval("similarity", ("model", "reference"), similarity)
    steps = torch.stack([model.step for model in models], 1)
    data |= _with_interval("similarity_step", ("model", "reference"), steps)
    data |= _differences(similarity, [tasks.index(item.task) for item in assessments])
    data |= _by_point(models)
    data |= _forgetting(assessments, weights)
    data |= _conditioning(assessments, weights)
    summary = xarray.Dataset(
        data,
        {
            "model": [item.name for item in assessments],
            "other": [item.name for item in assessments],
            "reference": list(TABLE_REFERENCES),
            "remembering": list(REMEMBERING),
            "bound": list(BOUNDS),
        },
    )
    tree = {"/summary": summary}
    for number, item in enumerate(assessments):
        for node in item.match.data.subtree:
            path = node.path.removeprefix(item.match.data.path)
            tree[f"/models/{number}/{path.lstrip('/')}".rstrip("/")] = node.to_dataset(
                inherit=False
            )
    tree["/"] = xarray.Dataset(
        attrs={
            "format": FORMAT,
            "provenance": json.dumps({**provenance, "tasks": [task.describe() for task in tasks]}),
        }
    )
    return ModelComparison(xarray.DataTree.from_dict(tree))


class _Replicates:
    """A model's scores over all prompts first, then over replicates of them."""

    def __init__(self, item: Assessment, weights: Float[Tensor, "replicate group"]) -> None:
        outputs = item.outputs
        self.error = average(outputs.error, weights)  # [replicate, point]
        self.baseline = average(outputs.baseline_error, weights)
        found: list[Match] = []
        for name in TABLE_REFERENCES:
            similarity = average(outputs.similarity[name], weights)  # [replicate, step]
            found.append(best_match(similarity[:, None], outputs.grids[name]))
        self.similarity = torch.cat([match.similarity for match in found], 1)
        self.step = torch.cat([match.step for match in found], 1)


def _differences(
    similarity: Float[Tensor, "replicate model reference"], tasks: Sequence[int]
) -> dict[str, Any]:
    """SimE of `model` less that of `other`, NaN where they saw different prompts."""
    dims = ("model", "other", "reference")
    difference = similarity[:, :, None] - similarity[:, None]
    found = _with_interval("similarity_difference", dims, difference)
    apart = np.not_equal.outer(tasks, tasks)
    for name, (_, values) in found.items():
        values[apart] = np.nan
        assert name.startswith("similarity_difference")
    return found


def _by_point(models: Sequence[_Replicates]) -> dict[str, Any]:
    """Errors against the number of examples, up to the longest of the prompts."""
    n_points = max(model.error.shape[1] for model in models)

    def padded(values: list[Tensor]) -> np.ndarray:
        table = np.full((len(values), n_points), np.nan)
        for row, value in zip(table, values, strict=True):
            row[: len(value)] = value.numpy()
        return table

    return {
        "point_error": (("model", "point"), padded([model.error[0] for model in models])),
        "point_baseline_error": (
            ("model", "point"),
            padded([model.baseline[0] for model in models]),
        ),
    }


def _forgetting(
    assessments: Sequence[Assessment], weights: Float[Tensor, "replicate group"]
) -> dict[str, Any]:
    """Errors on an example asked again, by gap, and those of references."""
    n_gaps = max(len(item.gaps) for item in assessments)
    n_models = len(assessments)
    gaps = np.full((n_models, n_gaps), np.nan)
    error = torch.full((len(weights), n_models, n_gaps), torch.nan, dtype=torch.float64)
    reference = np.full((n_models, len(REMEMBERING), n_gaps), np.nan)
    for index, item in enumerate(assessments):
        n = len(item.gaps)
        gaps[index, :n] = item.gaps.numpy()
        error[:, index, :n] = average(item.forgetting, weights)
        for row, name in enumerate(REMEMBERING):
            reference[index, row, :n] = item.reference_forgetting[name].mean(0).numpy()
    return {
        "gap": (("model", "gap_index"), gaps),
        "n_examples": ("model", [item.n_examples for item in assessments]),
        "reference_forgetting": (("model", "remembering", "gap_index"), reference),
        **_with_interval("forgetting", ("model", "gap_index"), error),
    }


def _conditioning(
    assessments: Sequence[Assessment], weights: Float[Tensor, "replicate group"]
) -> dict[str, Any]:
    """Errors by condition number; NaN for models whose task has none, or that broke down."""
    n_kappas = max(len(item.kappas) for item in assessments)
    error = torch.full((len(weights), len(assessments), n_kappas), torch.nan).double()
    baseline = error.clone()
    kappas = np.full((len(assessments), n_kappas), np.nan)
    for index, item in enumerate(assessments):
        n = len(item.kappas)
        kappas[index, :n] = item.kappas
        baseline[:, index, :n] = average(item.kappa_baseline_error, weights)
        error[:, index, :n] = average(item.kappa_error, weights)
    dims = ("model", "kappa_index")
    return {
        "kappa": (dims, kappas),
        "kappa_baseline_error": (dims, baseline[0].numpy().copy()),
        **_with_interval("kappa_error", dims, error),
        **_with_interval("kappa_excess", dims, error - baseline),
    }


def _with_interval(
    name: str, dims: tuple[str, ...], replicates: Float[Tensor, "replicate *score"]
) -> dict[str, Any]:
    """A score and its 95 % interval; NaN stays NaN."""
    is_missing = replicates[0].isnan()
    bounds = interval(replicates[1:].nan_to_num(), n_groups=N_GROUPS)
    bounds = torch.where(is_missing, torch.nan, bounds).movedim(0, -1)
    return {
        name: (dims, replicates[0].numpy().copy()),
        f"{name}_interval": ((*dims, "bound"), bounds.numpy().copy()),
    }
