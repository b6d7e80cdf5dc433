"""Which parts of a model its error depends on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.finite import check_finite
from hooks.inference import inference
from hooks.interventions import (
    METHODS,
    Ablate,
    AblateLayer,
    Intervention,
    Method,
    intervene,
    record,
)
from hooks.interventions.ablation import check_method
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.fitting import Progress
from interp.analyses.task_fit import check_fit, task_of
from interp.tasks import Task
from probes.controls.bootstrap import bootstrap_weights, interval

PARTS: dict[str, str | None] = {"layer": None, "attention": "attn_out", "mlp": "mlp_out"}
"""What is ablated of every layer, and the kind of site that it writes."""
N_REPLICATES = 400


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

    def __post_init__(self) -> None:
        if not self.methods:
            raise ValueError("methods must name at least one of " + ", ".join(METHODS))
        for method in self.methods:
            check_method(method)
        for name in ("n_prompts", "batch_size"):
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


def ablate(
    model: SequenceModel,
    task: Task | None = None,
    settings: AblationSettings | None = None,
    *,
    progress: Progress = lambda stage, done, total: None,
    **options: Any,
) -> xarray.Dataset:
    """Takes away every layer, attention, MLP and head in turn and measures the error.

    Args:
        model: Any hooked model: from `interp.load`, trained here, or attached.
        task: Where prompts come from; by default what the model was trained on.
        settings: Options; further keyword arguments replace single ones of them.
        progress: Told of every pass.
        **options: Fields of `AblationSettings`.

    Returns:
        In units of squared error / n_dims, means over prompts and points: `error` and its
        `effect`, the error minus that of the whole model, by `part` (`layer`, `attention`, `mlp`),
        `layer` and `ablation` (the method); `head_error` and `head_effect` by `layer`, `head` and
        `ablation` if the model has heads; `model_error`; intervals of the effects and of the
        model's error, from resampled prompts, by `bound`. NaN where a model has no such part,
        infinite where it makes predictions that are not finite without it.

    Raises:
        ValueError: The task does not fit the model, or an option is out of range.
        NonFiniteError: A prediction of the whole model is NaN or infinite.
    """
    settings = replace(settings or AblationSettings(), **options)
    task = task or task_of(model)
    check_fit(model, task)
    parts = list(_parts(model, task))
    errors = _measure(model, task, settings, parts, progress) / task.n_dims
    return _dataset(model, settings, parts, errors)


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
    prompts = task.sample(1, torch.Generator().manual_seed(0))
    sites = model.sites("z")
    seen = record(model, prompts.xs, prompts.ys, sites)
    return [seen[site].shape[2] if seen[site].ndim == 4 else 0 for site in sites]


def _measure(
    model: SequenceModel,
    task: Task,
    settings: AblationSettings,
    parts: Sequence[_Part],
    progress: Progress,
) -> Float[Tensor, "change prompt"]:
    """Squared errors, averaged over points: the whole model's, then every part's by method."""
    changes: list[tuple[Intervention, ...]] = [()]
    for part in parts:
        changes += [(part.ablation(method, settings.seed),) for method in settings.methods]
    batches = -(-settings.n_prompts // settings.batch_size)
    total, done, n_seen = len(changes) * batches, 0, 0
    columns = []
    with inference(model):
        for xs, ys, _ in task.stream(
            settings.n_prompts, seed=settings.seed, batch_size=settings.batch_size
        ):
            on_device = xs.to(model.device), ys.to(model.device)
            rows = []
            for interventions in changes:
                with intervene(model, *interventions):
                    predictions = model(*on_device).cpu().double()
                if not interventions:
                    check_finite(predictions, "predictions of the whole model", n_seen)
                error = (predictions - ys).square().mean(-1)
                rows.append(torch.where(error.isnan(), torch.inf, error))
                done += 1
                progress("ablating", done, total)
            columns.append(torch.stack(rows))
            n_seen += len(xs)
    return torch.cat(columns, 1).clone()


def _dataset(
    model: SequenceModel,
    settings: AblationSettings,
    parts: Sequence[_Part],
    errors: Float[Tensor, "change prompt"],
) -> xarray.Dataset:
    n_methods, n_layers = len(settings.methods), model.n_layers
    n_prompts = errors.shape[1]
    weights = bootstrap_weights(n_prompts, N_REPLICATES, settings.seed) / n_prompts

    def bounds(values: Float[Tensor, "row prompt"]) -> np.ndarray:
        is_infinite = values.isinf().any(1)
        finite = torch.where(is_infinite[:, None], 0.0, values)
        bound = interval(weights @ finite.T, settings.level, n_groups=n_prompts).T
        return torch.where(is_infinite[:, None], torch.inf, bound).numpy()

    whole, changed = errors[:1], errors[1:]
    effects = changed - whole
    size = {
        "part": len(PARTS),
        "layer": n_layers,
        "head": 1 + max((part.head for part in parts if part.head is not None), default=-1),
        "ablation": n_methods,
        "bound": 2,
    }
    table: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for prefix, axes in (("", ("part", "layer")), ("head_", ("layer", "head"))):
        for name, extra in (("error", ()), ("effect", ()), ("effect_interval", ("bound",))):
            dims = (*axes, "ablation", *extra)
            table[prefix + name] = dims, np.full([size[axis] for axis in dims], np.nan)
    mean_error, mean_effect = changed.mean(1).numpy(), effects.mean(1).numpy()
    effect_bounds = bounds(effects)
    for index, part in enumerate(parts):
        rows = slice(index * n_methods, (index + 1) * n_methods)
        layer = part.layer - 1
        prefix, place = (
            ("", (list(PARTS).index(part.name), layer))
            if part.head is None
            else ("head_", (layer, part.head))
        )
        table[f"{prefix}error"][1][place] = mean_error[rows]
        table[f"{prefix}effect"][1][place] = mean_effect[rows]
        table[f"{prefix}effect_interval"][1][place] = effect_bounds[rows]
    if not size["head"]:
        table = {name: entry for name, entry in table.items() if not name.startswith("head_")}
    return xarray.Dataset(
        {
            **table,
            "model_error": ((), whole.mean().item()),
            "model_error_interval": (("bound",), bounds(whole)[0]),
        },
        coords={
            "part": list(PARTS),
            "layer": np.arange(1, n_layers + 1),
            "ablation": list(settings.methods),
            "bound": ["low", "high"],
            **({"head": np.arange(size["head"])} if size["head"] else {}),
        },
        attrs={"n_prompts": n_prompts, "seed": settings.seed, "level": settings.level},
    )
