"""One model under one condition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.finite import NonFiniteError
from hooks.model import SequenceModel
from interp.analyses.comparisons import default_comparisons
from interp.scoring.layer_matches import N_REPLICATES, match_steps
from interp.scoring.layer_predictions import fit_layer_readouts
from interp.scoring.stream import batches, joined
from interp.scoring.tables import BOUNDS
from interp.tasks import Task
from interp.training.baseline import best_reference
from probes.candidate import Candidate
from probes.matching import StepGrid
from probes.references import OLS, Prefixes
from probes.steps_to_reach import steps_to_reach
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

N_GROUPS = 64
TOLERANCE = 0.1
"""A reference has solved a prompt once its weights are this near to OLS, relative to their length.
Predictions would not do: the directions that are hard at a large condition number hardly matter to
them."""
N_NEEDED_PROMPTS = 128
"""Prompts that this is measured on, at their last point."""
LARGEST_NEEDED = {"linear": 60.0, "log": 2.0**26}


def references_for(task: Task, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Candidate]:
    """What layers are matched with: Newton, GD and conjugate gradients.

    Args:
        task: The condition, which sets GD's step size to 1 / q, q being the largest eigenvalue of
            S on a thousand of its prompts.
        known: Constants of a model that was built to run an algorithm; they take precedence.
    """
    fixed = "newton-fixed" if "newton-fixed" in known else "newton"
    usual = {
        item.name: item
        for item in default_comparisons(
            task, {name: values for name, values in known.items() if name in ("newton-fixed", "gd")}
        )
    }
    cg = Candidate.of("cg", "cg", "cg")
    cg = replace(cg, grid=StepGrid.linear(float(task.n_dims), 1.0))  # after those it is OLS
    return {"newton": usual[fixed], "gd": usual["gd"], "cg": cg}


def measure(
    model: SequenceModel,
    task: Task,
    references: Mapping[str, Candidate],
    *,
    n_prompts: int,
    seed: int,
    batch_size: int | None = None,
) -> xarray.Dataset:
    """Errors of all layers, their matching steps, and the steps that the references need.

    Read-outs are fitted on prompts of the condition, so a layer's error is what can be read from
    it there; `model_error` is what the model itself says.

    Args:
        model: The model.
        task: The condition.
        references: What layers are matched with.
        n_prompts: Prompts to evaluate on, a multiple of `N_GROUPS`; as many to fit read-outs.
        seed: Of the prompts.
        batch_size: Prompts of a forward pass; by default all.

    Returns:
        NaN everywhere, and an attribute `failure`, where the model leaves the range of numbers.
    """
    layers = [site.layer for site in model.sites()]
    try:
        readout = fit_layer_readouts(
            model, task, n_prompts=n_prompts, seed=seed, scaling="rms", batch_size=batch_size
        )
        prefixes, activations, predictions = joined(
            batches(
                model, task, model.sites(), n_prompts, seed + 1, "official", batch_size or n_prompts
            )
        )
    except NonFiniteError as error:
        return _failed(layers, list(references), str(error))
    said = readout(activations)[..., 0]
    ys, scale = prefixes.ys, 1 / task.n_dims
    squares = scale * torch.cat([said - ys, (predictions.double() - ys)[None]]).square().mean(-1)
    weights = bootstrap_weights(N_GROUPS, N_REPLICATES, seed, with_original=True)
    groups = squares.unflatten(1, (N_GROUPS, -1)).mean(-1)
    replicates = weights @ groups.T / N_GROUPS  # [replicate, layer and model]
    bounds = bootstrap_interval(replicates[1:], n_groups=N_GROUPS).numpy()
    zero = scale * ys.square().mean().item()
    best = scale * best_reference(task).predictions(prefixes)[0].sub(ys).square().mean().item()
    table = _failed(layers, list(references), "")
    table["error"][:] = replicates[0, :-1].numpy()
    table["error_interval"][:] = bounds[:, :-1].T
    table["model_error"] = replicates[0, -1].item()
    table["model_error_interval"][:] = bounds[:, -1]
    table["best_error"], table["zero_error"] = best, zero
    for name, item in references.items():
        _add_reference(table, name, item, said, prefixes, seed)
    return table


def _add_reference(
    table: xarray.Dataset,
    name: str,
    item: Candidate,
    said: Float[Tensor, "layer prompt point"],
    prefixes: Prefixes,
    seed: int,
) -> None:
    """Its steps are looked at as far as it stays within the range of numbers."""
    where = {"reference": name}
    table["steps_needed"].loc[where] = steps_needed(item, prefixes)
    finite = item.reference.predictions(prefixes, item.grid.steps).isfinite().all(-1).all(-1)
    n_steps = int(finite.cumprod(0).sum())
    if n_steps < 2:
        return
    found = match_steps(
        said,
        prefixes,
        item.reference,
        replace(item.grid, steps=item.grid.steps[:n_steps]),
        n_groups=N_GROUPS,
        matched_on=prefixes,
        interpolate=True,
        seed=seed,
    )
    table["best_step"].loc[where] = found.step.numpy()
    table["best_step_interval"].loc[where] = found.step_interval.numpy()
    table["similarity"].loc[where] = found.best.numpy()


def steps_needed(item: Candidate, prefixes: Prefixes) -> float:
    """Steps after which a reference's weights are within `TOLERANCE` of OLS, a median over prompts.

    NaN where half of the prompts are not solved by the last step looked at.
    """
    few = Prefixes(prefixes.xs[:N_NEEDED_PROMPTS], prefixes.ys[:N_NEEDED_PROMPTS])
    goal = OLS().weights(few)[0, :, -1]
    size = goal.norm(dim=-1).clamp(min=1e-300)
    if item.reference.takes_real_steps:
        largest = LARGEST_NEEDED[item.grid.spacing]
        is_log = item.grid.spacing == "log"
        steps = (StepGrid.log(largest, 4) if is_log else StepGrid.linear(largest)).steps
    else:
        steps = item.grid.steps
    errors = torch.stack(
        [
            (weights[:, -1] - goal).norm(dim=-1) / size
            for _, weights in item.reference.stream_weights(few, steps)
        ],
        -1,
    )
    errors = torch.where(errors.isfinite(), errors, torch.inf)
    needed = steps_to_reach(errors, steps, TOLERANCE)
    middle = torch.where(needed.isnan(), torch.inf, needed).median().item()
    return middle if math.isfinite(middle) else math.nan


def _failed(layers: Sequence[int], references: Sequence[str], failure: str) -> xarray.Dataset:
    n, m = len(layers), len(references)
    shapes: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
        "error": (("layer",), (n,)),
        "error_interval": (("layer", "bound"), (n, 2)),
        "model_error": ((), ()),
        "model_error_interval": (("bound",), (2,)),
        "best_error": ((), ()),
        "zero_error": ((), ()),
        "best_step": (("reference", "layer"), (m, n)),
        "best_step_interval": (("reference", "layer", "bound"), (m, n, 2)),
        "similarity": (("reference", "layer"), (m, n)),
        "steps_needed": (("reference",), (m,)),
    }
    data = {name: (dims, np.full(shape, np.nan)) for name, (dims, shape) in shapes.items()}
    data["failure"] = ((), failure)  # type: ignore[assignment]
    coords = {"layer": list(layers), "reference": list(references), "bound": list(BOUNDS)}
    return xarray.Dataset(data, coords)
