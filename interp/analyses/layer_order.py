"""What a model does when a layer is repeated, swapped with the next one, or skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from hooks.model import SequenceModel
from hooks.reordered import Reordered
from interp.analyses.ablation_passes import (
    Change,
    Measured,
    error_columns,
    mean_interval,
    measure,
    shift_interval,
)
from interp.analyses.anatomy import check_points
from interp.analyses.comparisons import (
    default_comparisons,
    own_parameters,
    stepping_comparisons,
)
from interp.analyses.empty_table import empty_table
from interp.analyses.resolved_eigenvalues import LEVEL, ResolvedEigenvalues
from interp.progress import Progress, shows_progress, silent
from interp.scoring.layer_matches import CurveReader
from interp.scoring.layer_predictions import fit_layer_readouts
from interp.scoring.stream import check_batch_size
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from probes.uncertainty.bootstrap import bootstrap_weights

CHANGES = ("repeat", "swap", "skip")
"""What is done to a layer: it runs twice, after the layer that follows it, or not at all."""
N_REPLICATES = 200
N_FIT_PROMPTS = 2048
LEAST_PROMPTS = 64
BATCH_SIZE = 256


@shows_progress
def reorder_layers(
    model: SequenceModel,
    task: Task | None = None,
    *,
    point: int | None = None,
    references: Sequence[str] | None = None,
    n_prompts: int = 512,
    seed: int = 0,
    device: str | None = None,
    batch_size: int | None = None,
    progress: Progress = silent,
) -> xarray.Dataset:
    """Repeats every layer, swaps it with the next one, and skips it; measures what changes.

    A model that iterates goes on by one more layer's steps when a layer is repeated, stays where it
    is when two are swapped, and falls behind by a layer's steps when one is skipped. Layers are
    read by read-outs that were fitted on the whole model, each where it has run last.

    Args:
        model: Any model whose layers can be hooked: ours, from Hugging Face, or attached.
        task: Where prompts come from; by default what the model was trained on.
        point: Number of examples seen at which filters are measured; by default `n_dims`, where
            eigenvalues spread widely.
        references: Whose steps are counted; by default the algorithm that a model was built to run,
            or Newton and GD.
        n_prompts: To measure on; 2,048 others fit the read-outs.
        seed: Of all prompts.
        device: Where the model runs, as for `interp.match`.
        batch_size: Prompts of a forward pass; by default 256.
        progress: Called after every pass.

    Returns:
        By `change` (`CHANGES`) and `layer`: `error`, squared error / n_dims, and `effect`, by how
        much it rises; by `read_layer` the `resolved_eigenvalue`, and with `reference` the match
        curve's `step` and `similarity`; of the model's own prediction `output_step` and
        `output_resolved_eigenvalue`; by how many steps the prediction (`output_shift`) and what the
        changed layer says (`layer_shift`) get ahead; and `output_resolved_ratio`, the factor by
        which the prediction's resolved eigenvalue changes. `…_interval` by `bound` are 95 %
        intervals over prompts. The same of the whole model begins with `model_`; `layer_gain` is by
        how many steps a layer of it is ahead of the layer before. NaN where there is no such change
        (the last layer has no next one, an only layer cannot be left out), or where activations are
        not finite.

    Raises:
        TypeError: It is no hooked model; for a module, the message says how to attach to it.
        ValueError: The task does not fit the model, too few prompts, a point that prompts do not
            have, or a reference that is unknown or has no steps.
        NonFiniteError: A prediction of the whole model is NaN or infinite.
    """
    check_batch_size(batch_size)
    model, task = model_and_task(model, task, device=device, every_point=True)
    if n_prompts < LEAST_PROMPTS:
        raise ValueError(f"n_prompts must be at least {LEAST_PROMPTS}, got {n_prompts}")
    point = min(task.n_dims, task.n_points - 1) if point is None else point
    check_points([point], task, model.first_point)
    comparisons = stepping_comparisons(
        model, default_comparisons(task, own_parameters(model)), references
    )
    fit_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    readout = fit_layer_readouts(
        model,
        task,
        n_prompts=N_FIT_PROMPTS,
        seed=fit_seed,
        batch_size=batch_size,
        progress=progress,
    )
    reader = CurveReader(readout, comparisons)
    layers = range(1, model.n_layers + 1)
    orders = {
        (change, layer): order
        for change, layer in product(CHANGES, layers)
        if (order := order_after(change, layer, model.n_layers))
    }
    changes = [Change(model, followed=(-1,))]
    for order in orders.values():
        places = _places(order, model.n_layers)
        changes.append(Change(Reordered(model, order), places=places, followed=(-1,)))
    filters = ResolvedEigenvalues(point, len(changes), model.n_layers + 2, n_prompts)
    resampled = bootstrap_weights(n_prompts, N_REPLICATES, seed)
    size = batch_size or BATCH_SIZE
    n_batches = -(-n_prompts // size)
    measured = measure(
        changes,
        task.stream(n_prompts, seed=seed, batch_size=size),
        reader,
        resampled,
        lambda done: progress("reordering layers", done, n_batches * len(changes)),
        filters.update,
    )
    columns: dict[str, Any] = {**error_columns(measured, seed, LEVEL)}
    columns["error_interval"] = (("bound",), mean_interval(measured.error, seed, LEVEL))
    columns |= filters.columns(resampled)
    columns |= _curve_columns(measured, reader, [layer for _, layer in orders])
    coords = {
        "change": list(CHANGES),
        "layer": list(layers),
        "reference": [item.name for item in comparisons],
        "read_layer": np.arange(model.n_layers + 1),
        "bound": ["low", "high"],
    }
    attrs = {"n_prompts": n_prompts, "seed": seed, "point": point, "level": LEVEL}
    return _dataset(columns, list(orders), coords, attrs | {"checkpoint": model.name})


def order_after(change: str, layer: int, n_layers: int) -> list[int]:
    """The order of layers after one of `CHANGES`; empty where there is no such change."""
    order = list(range(1, n_layers + 1))
    if change == "repeat":
        order.insert(layer, layer)
    elif change == "skip":
        order.remove(layer)
    elif layer == n_layers:
        return []
    else:
        order[layer - 1 : layer + 1] = [layer + 1, layer]
    return order


def _places(order: Sequence[int], n_layers: int) -> list[int]:
    """Where each layer has run last; a skipped one is read where it would have run."""
    last = {layer: place for place, layer in enumerate([0, *order])}
    return [last.get(layer, last.get(layer - 1, 0)) for layer in range(n_layers + 1)]


def _curve_columns(
    measured: Measured, reader: CurveReader, layers: Sequence[int]
) -> dict[str, Any]:
    """Steps of the match curve: axes after the change, and values, the whole model's first."""
    n_prompts = measured.error.shape[1]
    columns: dict[str, list[np.ndarray]] = {}
    rows = torch.tensor([0, *layers])
    for name, similarity in measured.similarity.items():
        found = reader.match(name, similarity)
        steps, own = found.step, found.step[torch.arange(len(rows)), rows]
        again = reader.match(name, measured.followed[name][:, 0]).step  # [change, replicate]
        parts: dict[str, Tensor | np.ndarray] = {
            "step": steps[:, :-1],
            "similarity": found.similarity[:, :-1],
            "output_step": steps[:, -1],
            "layer_shift": own - steps[0, rows],
            "output_shift": steps[:, -1] - steps[0, -1],
            "output_shift_interval": shift_interval(again, n_prompts, LEVEL),
        }
        for key, values in parts.items():
            columns.setdefault(key, []).append(np.asarray(values))
    axes = {"step": ("read_layer",), "similarity": ("read_layer",)}
    return {
        key: (
            ("reference", *axes.get(key, ("bound",) if key.endswith("interval") else ())),
            np.stack(values, 1),
        )
        for key, values in columns.items()
    }


def _dataset(
    columns: Mapping[str, tuple[tuple[str, ...], np.ndarray]],
    places: Sequence[tuple[str, int]],
    coords: dict[str, Any],
    attrs: dict[str, Any],
) -> xarray.Dataset:
    table = empty_table(
        {name: ("change", "layer", *extra) for name, (extra, _) in columns.items()}, coords, attrs
    )
    for name, (_, values) in columns.items():
        for row, (change, layer) in enumerate(places, start=1):
            table[name].values[CHANGES.index(change), layer - 1] = values[row]
    whole = {
        f"model_{name}": (extra, values[0])
        for name, (extra, values) in columns.items()
        if not name.startswith(("effect", "layer_shift", "output_shift", "output_resolved_ratio"))
    }
    gain = whole["model_step"][1]
    return table.assign(whole | {"layer_gain": (("reference", "layer"), np.diff(gain))})
