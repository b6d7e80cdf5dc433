"""Which parts of a model its error and its match curve depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray

from hooks.interventions import METHODS, Ablate, AblateLayer, Intervention, Method, record
from hooks.interventions.ablation import check_method
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.ablation_passes import (
    Change,
    Measured,
    error_columns,
    mean_interval,
    measure,
    shift_interval,
)
from interp.analyses.comparisons import (
    default_comparisons,
    own_parameters,
    stepping_comparisons,
)
from interp.analyses.empty_table import empty_table
from interp.progress import Progress, shows_progress, silent
from interp.scoring.layer_matches import CurveReader
from interp.scoring.layer_predictions import fit_layer_readouts
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from probes.uncertainty.bootstrap import bootstrap_weights

OF_MODEL = ("error", "step", "similarity")
PARTS: dict[str, str | None] = {"layer": None, "attention": "attn_out", "mlp": "mlp_out"}
"""What is ablated of every layer, and the kind of site that it writes."""
N_CURVE_REPLICATES = 200


@dataclass(frozen=True)
class AblationSettings:
    """Options of `ablate`, with the defaults of the command line."""

    methods: tuple[Method, ...] = METHODS
    """See `hooks.interventions.Method`; of a layer, "zero" skips it."""
    n_prompts: int = 512
    batch_size: int = 256
    """Prompts in a pass; means and stand-ins are taken within a batch."""
    seed: int = 0
    """Seed of prompts, stand-ins and intervals."""
    level: float = 0.95
    """Of the intervals."""
    references: tuple[str, ...] | None = None
    """Whose steps the layers are matched with; by default the algorithm that a model was built to
    run, or Newton and GD."""
    n_fit_prompts: int = 2048
    """To fit the read-outs of the match curves on."""

    def __post_init__(self) -> None:
        if not self.methods:
            raise ValueError("methods must name at least one of " + ", ".join(METHODS))
        for method in self.methods:
            check_method(method)
        for name in ("n_prompts", "batch_size", "n_fit_prompts"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")
        if self.n_prompts % self.batch_size == 1:
            raise ValueError(
                f"n_prompts must not leave a batch of one prompt, got {self.n_prompts} in batches "
                f"of {self.batch_size}"
            )
        if not 0 < self.level < 1:
            raise ValueError(f"level must be between 0 and 1, got {self.level}")


class _Part(NamedTuple):
    """A row of the result: which part of which layer."""

    layer: int
    name: str
    head: int | None = None

    def ablation(self, method: Method, seed: int) -> Intervention:
        if self.name == "layer":
            return AblateLayer(self.layer, method, seed)
        kind = "z" if self.head is not None else str(PARTS[self.name])
        return Ablate(Site(self.layer, kind), method, self.head, seed)


@shows_progress
def ablate(
    model: SequenceModel,
    task: Task | None = None,
    settings: AblationSettings | None = None,
    *,
    device: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> xarray.Dataset:
    """Takes away every layer, attention, MLP and head in turn; measures error and match curve.

    The curve is read by read-outs of the whole model (`interp.scoring.layer_matches`).

    Args:
        model: Any hooked model: from `interp.load`, trained here, or attached.
        task: Where prompts come from; by default what the model was trained on.
        settings: Options; further keyword arguments replace single ones of them.
        device: Where the model runs, as for `interp.match`.
        progress: Called after every pass.
        **options: Fields of `AblationSettings`.

    Returns:
        In units of squared error / n_dims, means over prompts and points: `error` and its
        `effect`, the error minus that of the whole model, by `part` (`layer`, `attention`, `mlp`),
        `layer` and `ablation` (the method); `head_error` and `head_effect` by `layer`, `head` and
        `ablation` if the model has heads; `model_error`; intervals of the effects and of the
        model's error, from resampled prompts, by `bound`. By `reference` and `read_layer` also
        `step`, the best-matching step of what is left (`head_step`), its `similarity`, and the
        whole model's `model_step` and `model_similarity`; `final_shift` (`head_final_shift`), by
        how many steps the last layer falls behind the whole model's (below 0) or gets ahead, with
        its interval. NaN where a model has no such part; without it an error that is infinite and
        steps that are NaN where what is left is not finite.

    Raises:
        ValueError: The task does not fit the model, or an option is out of range.
        NonFiniteError: A prediction of the whole model is NaN or infinite.
    """
    settings = replace(settings or AblationSettings(), **options)
    model, task = model_and_task(model, task, device=device, every_point=True)
    comparisons = stepping_comparisons(
        model, default_comparisons(task, own_parameters(model)), settings.references
    )
    parts = list(_parts(model, task))
    fit_seed = int(np.random.SeedSequence(settings.seed).generate_state(1)[0])
    readout = fit_layer_readouts(
        model, task, n_prompts=settings.n_fit_prompts, seed=fit_seed, progress=progress
    )
    reader = CurveReader(readout, comparisons)
    changes = [Change(model)]
    for part, method in product(parts, settings.methods):
        changes.append(Change(model, (part.ablation(method, settings.seed),)))
    prompts = task.stream(settings.n_prompts, seed=settings.seed, batch_size=settings.batch_size)
    resampled = bootstrap_weights(settings.n_prompts, N_CURVE_REPLICATES, settings.seed)
    total = -(-settings.n_prompts // settings.batch_size) * len(changes)
    measured = measure(
        changes, prompts, reader, resampled, lambda done: progress("ablating", done, total)
    )
    return _dataset(model, settings, parts, reader, measured)


def _parts(model: SequenceModel, task: Task) -> Iterator[_Part]:
    n_heads = _head_counts(model, task)
    for layer in range(1, model.n_layers + 1):
        for name, kind in PARTS.items():
            if kind is None or kind in model.site_kinds:
                yield _Part(layer, name)
        for head in range(n_heads[layer - 1]):
            yield _Part(layer, "head", head)


def _head_counts(model: SequenceModel, task: Task) -> list[int]:
    """Heads of every layer; 0 where there are none to tell apart."""
    if "z" not in model.site_kinds:
        return [0] * model.n_layers
    xs, ys, _ = task.sample(1, torch.Generator().manual_seed(0))
    sites = model.sites("z")
    seen = record(model, xs, ys, sites)
    return [seen[site].shape[2] if seen[site].ndim == 4 else 0 for site in sites]


def _dataset(
    model: SequenceModel,
    settings: AblationSettings,
    parts: Sequence[_Part],
    reader: CurveReader,
    measured: Measured,
) -> xarray.Dataset:
    coords: dict[str, Any] = {
        "part": list(PARTS),
        "layer": np.arange(1, model.n_layers + 1),
        "ablation": list(settings.methods),
        "bound": ["low", "high"],
        "reference": [item.name for item in reader.comparisons],
        "read_layer": np.arange(model.n_layers + 1),
    }
    if heads := [part.head for part in parts if part.head is not None]:
        coords["head"] = np.arange(1 + max(heads))
    columns = error_columns(measured, settings.seed, settings.level) | _curve_columns(
        measured, reader, settings
    )
    axes = {"": ("part", "layer")} | ({"head_": ("layer", "head")} if heads else {})
    dims = {
        prefix + name: (*own, "ablation", *extra)
        for prefix, own in axes.items()
        for name, (extra, _) in columns.items()
    }
    attrs = {name: getattr(settings, name) for name in ("n_prompts", "seed", "level")}
    table = empty_table(dims, coords, attrs)
    n_methods = len(settings.methods)
    for index, part in enumerate(parts):
        rows = slice(1 + index * n_methods, 1 + (index + 1) * n_methods)
        prefix, place = "head_", (part.layer - 1, part.head)
        if part.head is None:
            prefix, place = "", (list(PARTS).index(part.name), part.layer - 1)
        for name, (_, values) in columns.items():
            table[prefix + name].values[place] = values[rows]
    whole = {f"model_{name}": (columns[name][0], columns[name][1][0]) for name in OF_MODEL}
    own = mean_interval(measured.error[:1], settings.seed, settings.level)
    whole["model_error_interval"] = (("bound",), own[0])
    return table.assign(whole)


def _curve_columns(
    measured: Measured, reader: CurveReader, settings: AblationSettings
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    steps, similarities, shifts, bounds = [], [], [], []
    for name, similarity in measured.similarity.items():
        found = reader.match(name, similarity[:, :-1])
        steps.append(found.step)
        similarities.append(found.similarity)
        shifts.append(found.step[:, -1] - found.step[:1, -1])
        last = reader.match(name, measured.followed[name][:, 0]).step
        bounds.append(torch.from_numpy(shift_interval(last, settings.n_prompts, settings.level)))
    curve = ("reference", "read_layer")
    return {
        "step": (curve, torch.stack(steps, 1).numpy()),
        "similarity": (curve, torch.stack(similarities, 1).numpy()),
        "final_shift": (curve[:1], torch.stack(shifts, 1).numpy()),
        "final_shift_interval": ((*curve[:1], "bound"), torch.stack(bounds, 1).numpy()),
    }
