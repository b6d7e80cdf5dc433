"""Similarity of induced weights (SimW), layer by layer and prefix by prefix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray
from einops import einsum
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hooks.induced_weights import Induced, induce_weights
from hooks.model import SequenceModel
from hooks.shared_prefix import shares_prefixes
from interp.analyses.comparisons import default_comparisons, own_parameters
from interp.progress import Progress, shows_progress, silent
from interp.scoring.layer_matches import LayerMatches
from interp.scoring.layer_predictions import fit_layer_readouts
from interp.scoring.scores import average
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from probes.candidate import Candidate
from probes.readout import Readout
from probes.references import Prefixes
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

N_PROMPTS = 128
N_PROMPTS_BY_ITSELF = 32
"""Where every query is run by itself."""
N_REPLICATES = 200
MAX_NUMBERS = 2**23
"""Of the largest array of a batch, about."""


@dataclass(frozen=True)
class InducedWeightSettings:
    """Options of `compare_induced_weights`."""

    n_prompts: int | None = None
    """By default `N_PROMPTS`, fewer for models that run every query by itself."""
    n_queries: int | None = None
    """Fresh inputs that weights are regressed on; by default 64, or 8 a dimension if that is
    more."""
    n_fit_prompts: int = 4096
    """To fit the layers' read-outs of y on."""
    seed: int = 0
    level: float = 0.95
    """Of the intervals."""

    def __post_init__(self) -> None:
        for name, least in (("n_prompts", 2), ("n_queries", 2), ("n_fit_prompts", 8)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if not 0 < self.level < 1:
            raise ValueError(f"level must be between 0 and 1, got {self.level}")


@shows_progress
def compare_induced_weights(
    model: SequenceModel,
    task: Task | None = None,
    settings: InducedWeightSettings | None = None,
    *,
    comparisons: Sequence[Candidate] | None = None,
    readout: Readout | None = None,
    device: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> xarray.DataTree:
    """Compares the weights that layers' predictions imply with those of reference algorithms.

    What a layer's read-out of y says after a prefix is a function of the next x. Regressed on
    fresh x it gives the layer's induced weights; SimW is the mean, over prompts and prefixes of
    at least one pair, of their cosine with a reference's w_k (Fu et al. 2024, Definition 5). A
    cosine does not see how long a weight vector is, so iterates need no read-out of their own.

    Args:
        model: Any hooked model. Attached models, and those of ours without a softmax over
            causal tokens, run every query by itself: slow, on fewer prompts, with a warning.
        task: Where prompts and fresh x come from; by default what the model was trained on.
        settings: Options; further keyword arguments replace single ones of them.
        comparisons: References; by default those of `interp.match`.
        readout: Of y, from the residual stream of every layer; by default fitted here.
        device: Where the model runs, as for `interp.match`.
        progress: Called after every batch.
        **options: Fields of `InducedWeightSettings`.

    Returns:
        At the root, by `layer` and `point`: `in_span`, the share of the squared length of the
        induced weights that lies in the span of the prefix's examples (Fig. 27), its
        interval by `bound`, and `random_in_span`, that of a direction drawn at random. Under
        each reference's name, by `layer`: `similarity` (SimW) by `step`, `best_step`,
        `best_similarity` and their intervals, and `point_similarity` by `step` and `point`.

    Raises:
        ValueError: The task does not fit the model, or an option is out of range.
        NonFiniteError: A prediction or activation is NaN or infinite.
    """
    settings = replace(settings or InducedWeightSettings(), **options)
    model, task = model_and_task(model, task, device=device, every_point=True)
    is_shared = shares_prefixes(model)
    n_prompts = settings.n_prompts or (N_PROMPTS if is_shared else N_PROMPTS_BY_ITSELF)
    if not is_shared:
        warnings.warn(
            f"induced weights: {type(model).__name__} runs every query by itself, which is slow; "
            f"{n_prompts} prompts are used",
            stacklevel=2,
        )
    seeds = [int(s) for s in np.random.SeedSequence(settings.seed).generate_state(4)]
    if comparisons is None:
        comparisons = default_comparisons(task, own_parameters(model))
    if readout is None:
        readout = fit_layer_readouts(
            model, task, n_prompts=settings.n_fit_prompts, seed=seeds[0], progress=progress
        )
    n_queries = settings.n_queries or max(64, 8 * task.n_dims)
    queries = task.sample(n_queries, torch.Generator().manual_seed(seeds[1])).xs[:, 0]
    parts: list[_Cosines] = []
    done = 0
    stage = "inducing weights" if is_shared else "inducing weights, slowly"
    progress(stage, 0, n_prompts)
    for xs, ys, _ in task.stream(
        n_prompts, seed=seeds[2], batch_size=_batch_size(model, task, n_prompts, is_shared)
    ):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* runs every query by itself")
            [induced] = induce_weights(model, (xs, ys), queries, model.sites())
        weights = _layer_weights(induced, readout)
        parts.append(_Cosines.of(weights, Prefixes(xs, ys), comparisons))
        done += len(xs)
        progress(stage, done, n_prompts)
    resampled = bootstrap_weights(n_prompts, N_REPLICATES, seeds[3], with_original=True)
    attrs = {
        "n_prompts": n_prompts,
        "n_queries": n_queries,
        "seed": settings.seed,
        "level": settings.level,
        "shared_prefix": int(is_shared),
    }
    return _tree(parts, comparisons, resampled, task.n_dims, attrs)


def _batch_size(model: SequenceModel, task: Task, n_prompts: int, is_shared: bool) -> int:
    """Prompts of a batch, small enough to keep maps, and to show that slow work goes on."""
    numbers = (model.n_layers + 1) * task.n_points * task.n_dims * model.config.d_model
    return max(1, min(n_prompts, MAX_NUMBERS // numbers, 32 if is_shared else 4))


def _layer_weights(induced: Induced, readout: Readout) -> Float[Tensor, "layer prompt point dim"]:
    """What the layers' read-outs induce; see `hooks.induced_weights.Induced`."""
    along = einsum(
        induced.maps.cpu().double(),
        readout.weight[..., 0],
        "layer prompt point dim d_model, layer d_model -> layer prompt point dim",
    )
    return along + readout.bias[:, None, None] * induced.constant.cpu().double()


@dataclass(frozen=True)
class _Cosines:
    """One batch of prompts, at points that have seen a pair."""

    in_span: Float[Tensor, "prompt layer point"]
    similarity: dict[str, Float[Tensor, "prompt layer _step"]]
    """Means over points, by comparison."""
    at_points: dict[str, Float[Tensor, "layer _step point"]]
    """Sums over prompts, by comparison."""

    @classmethod
    def of(
        cls,
        weights: Float[Tensor, "layer prompt point dim"],
        prefixes: Prefixes,
        comparisons: Sequence[Candidate],
    ) -> _Cosines:
        directions = _unit(weights[:, :, 1:])
        spanned = einsum(
            prefixes.decomposition.right_vectors[:, 1:],
            directions,
            "prompt point direction dim, layer prompt point dim -> prompt layer point direction",
        )
        similarity, at_points = {}, {}
        for item in comparisons:
            theirs = _unit(item.reference.weights(prefixes, item.grid.steps)[:, :, 1:])
            cosines = einsum(
                directions,
                theirs,
                "layer prompt point dim, step prompt point dim -> prompt layer step point",
            )
            similarity[item.name] = cosines.mean(-1)
            at_points[item.name] = cosines.sum(0)
        return cls(spanned.square().sum(-1), similarity, at_points)


def _unit(weights: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """Directions; no weights have none, and a cosine of 0 with everything."""
    return F.normalize(weights, dim=-1, eps=1e-150)


def _tree(
    parts: Sequence[_Cosines],
    comparisons: Sequence[Candidate],
    resampled: Float[Tensor, "replicate prompt"],
    n_dims: int,
    attrs: dict[str, Any],
) -> xarray.DataTree:
    in_span = torch.cat([part.in_span for part in parts])
    n_prompts, n_layers, n_points = in_span.shape
    points = np.arange(1, n_points + 1)
    options: dict[str, Any] = {"level": attrs["level"], "n_groups": n_prompts}
    coords = {"layer": np.arange(n_layers), "point": points, "bound": ["low", "high"]}
    spread = average(in_span, resampled)
    bounds = bootstrap_interval(spread[1:], **options).movedim(0, -1)
    tree: dict[str, xarray.Dataset] = {
        "/": xarray.Dataset(
            {
                "in_span": (("layer", "point"), spread[0].numpy()),
                "in_span_interval": (("layer", "point", "bound"), bounds.numpy()),
                "random_in_span": (("point",), np.minimum(points, n_dims) / n_dims),
            },
            coords,
            attrs,
        )
    }
    for item in comparisons:
        table = average(torch.cat([part.similarity[item.name] for part in parts]), resampled)
        at_points = torch.stack([part.at_points[item.name] for part in parts]).sum(0) / n_prompts
        tree[f"/{item.name}"] = xarray.Dataset(
            {
                **LayerMatches.of_replicates(table, item.grid, **options).variables(),
                "point_similarity": (("layer", "step", "point"), at_points.numpy()),
            },
            {**coords, "step": list(item.grid.steps)},
            {"family": item.family, "spacing": item.grid.spacing},
        )
    return xarray.DataTree.from_dict(tree)
