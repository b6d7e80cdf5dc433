"""A model on prompts that were built to tell two references apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.capture import capture
from hooks.model import SequenceModel
from interp.analyses.comparisons import default_comparisons, own_parameters
from interp.scoring.layer_matches import match_steps
from interp.scoring.layer_predictions import fit_layer_readouts
from interp.scoring.stream import batches, check_batch_size, joined
from interp.scoring.tables import BOUNDS
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from interp.versions import library_versions
from probes.candidate import Candidate, select
from probes.references import Prefixes
from probes.separating_prompts import separating_prompts
from probes.similarity import error_directions
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

N_FIT_PROMPTS = 1024
N_REPLICATES = 200
MOST_STEPS = 6
"""Steps of the first reference that the prompts are built for."""
KINDS = ("separating", "ordinary")


def separate(
    model: SequenceModel,
    a: str = "newton",
    b: str = "gd",
    task: Task | None = None,
    *,
    n_prompts: int = 512,
    largest_condition: float = 100.0,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    device: str | None = None,
    batch_size: int | None = None,
) -> xarray.Dataset:
    """SimE of every layer with two references, on prompts built to separate them.

    On ordinary prompts each layer is matched with both references; the prompts are built for the
    steps of A that were found, with all steps of B to choose from (`probes.separating_prompts`).
    Read-outs of layers are those fitted on ordinary prompts, iterates are taken as they are. A
    layer that runs A stays similar to A and loses B, or the other way round. The prompts are unlike
    those of training, so `model_error` beside `best_error` says whether the model still works.

    Args:
        model: Any hooked model.
        a: A reference that `interp.match` compares …
        b: … and the one to tell it from.
        task: Ordinary prompts; by default those of the training.
        n_prompts: Prompts of each kind.
        largest_condition: Largest condition number of the built prompts.
        parameters: Of references, see `interp.analyses.comparisons`; those that a model was built
            with are known.
        seed: Of all prompts.
        device: Where the model runs, as for `interp.match`.
        batch_size: Prompts of a forward pass; by default all of a kind.

    Returns:
        By `prompts` ("separating", "ordinary"), `reference` and `layer`: `best_step` and
        `similarity` there; `margin` of A over B with its interval; `separation` of the references
        themselves at those steps of A, 1 - SimE.

    Raises:
        ValueError: A reference that is not compared or has no steps, the same one twice, two that
            no prompt separates, or a task that does not fit the model.
    """
    check_batch_size(batch_size)
    model, task = model_and_task(model, task, device=device, every_point=True)
    comparisons = default_comparisons(task, own_parameters(model) | dict(parameters or {}))
    items = [select(comparisons, name) for name in (a, b)]
    for item in items:
        if not item.has_steps:
            raise ValueError(f"{item.name} has no steps that a layer could match")
    sites, size = list(model.sites()), batch_size or n_prompts
    readout = fit_layer_readouts(
        model, task, n_prompts=N_FIT_PROMPTS, seed=seed, scaling="rms", batch_size=batch_size
    )
    ordinary = joined(batches(model, task, sites, n_prompts, seed + 1, "official", size))
    said = readout(ordinary[1])[..., 0]
    matched = match_steps(
        said,
        ordinary[0],
        items[0].reference,
        items[0].grid,
        n_groups=_n_groups(n_prompts),
        matched_on=ordinary[0],
        interpolate=True,
        seed=seed,
    )
    built = separating_prompts(
        items[0].reference,
        items[1].reference,
        steps_a=_steps(matched.step, items[0]),
        steps_b=items[1].grid.steps,
        n_prompts=n_prompts,
        n_points=task.n_points,
        n_dims=task.n_dims,
        largest_condition=largest_condition,
        seed=seed,
    )
    unusual = joined(
        (Prefixes(part.xs, part.ys), part.activations.cpu(), part.predictions.cpu())
        for part in capture(model, (built.xs, built.ys), sites, batch_size=size)
    )
    kinds = (unusual, ordinary)
    parts = [
        _similarities(readout(activations)[..., 0], prefixes, predictions, items, comparisons, seed)
        for prefixes, activations, predictions in kinds
    ]
    table = xarray.concat(parts, xarray.Variable("prompts", list(KINDS)))
    table = table.assign_coords(layer=[site.layer for site in sites])
    table["separation"] = (
        ("prompts", "step"),
        torch.stack([built.separation, built.random_separation]).numpy(),
    )
    return table.assign_coords(step=list(built.steps)).assign_attrs(
        a=a,
        b=b,
        task=json.dumps(task.describe()),
        n_prompts=n_prompts,
        seed=seed,
        versions=json.dumps(library_versions()),
    )


def _n_groups(n_prompts: int) -> int:
    return next(n for n in range(min(64, n_prompts), 0, -1) if n_prompts % n == 0)


def _steps(matched: Float[Tensor, " layer"], item: Candidate) -> list[float]:
    """A few of the layers' steps that lie above 0, spread over their range."""
    if not item.reference.takes_real_steps:
        matched = matched.round()
    steps = matched[matched >= 1].unique()
    if not len(steps):
        raise ValueError(f"no layer of the model is like a step of {item.name} above 0")
    places = torch.linspace(0, len(steps) - 1, min(MOST_STEPS, len(steps))).round().long()
    return [float(steps[place]) for place in places]


def _similarities(
    said: Float[Tensor, "layer prompt point"],
    prefixes: Prefixes,
    predictions: Float[Tensor, "prompt point"],
    items: Sequence[Candidate],
    comparisons: Sequence[Candidate],
    seed: int,
) -> xarray.Dataset:
    ys = prefixes.ys
    directions = error_directions(said, ys)
    steps, cosines = [], []
    for item in items:
        iterates = item.reference.predictions(prefixes, item.grid.steps)
        each = torch.einsum("lpt,spt->lsp", directions, error_directions(iterates, ys))
        best = each.mean(-1).argmax(1)
        steps.append(item.grid.tensor()[best])
        cosines.append(each[torch.arange(len(best)), best])
    weights = bootstrap_weights(len(ys), N_REPLICATES, seed) / len(ys)
    margin = cosines[0] - cosines[1]
    bounds = bootstrap_interval(weights @ margin.T, n_groups=len(ys))
    zero = ys.square().mean()
    ols = select(comparisons, "ols").reference.predictions(prefixes)[0]
    return xarray.Dataset(
        {
            "best_step": (("reference", "layer"), torch.stack(steps).numpy()),
            "similarity": (("reference", "layer"), torch.stack(cosines).mean(-1).numpy()),
            "margin": ("layer", margin.mean(-1).numpy()),
            "margin_interval": (("layer", "bound"), bounds.T.numpy()),
            "model_error": ((), ((predictions.double() - ys).square().mean() / zero).item()),
            "best_error": ((), ((ols - ys).square().mean() / zero).item()),
        },
        {"reference": [item.name for item in items], "bound": list(BOUNDS)},
    )
