"""Scores of layers and references on prompts that no read-out has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor

from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.comparisons import Comparison
from interp.scoring.explained_variance import ExplainedVariance
from interp.scoring.readouts import (
    FittedReadouts,
    PromptBudget,
    leading,
    other_prompts,
)
from interp.scoring.saved_activations import SavedActivations
from interp.scoring.stream import Progress, batches, prompts_per_batch, silent
from interp.tasks import Task
from probes.readout import Readout
from probes.references import Prefixes
from probes.similarity import Convention, error_directions, group_similarity

Matching = Literal["matched", "raw"]
"""Whether an iterate gets its own affine read-out of y, as the layer has, or is taken as it is."""

COMPARED: tuple[tuple[Matching, Convention], ...] = (
    ("matched", "paper"),
    ("raw", "paper"),
    ("raw", "official"),
)
"""Treatments of the iterates and conventions under which SimE is computed."""

N_SAMPLE = 1024
"""Prompts, at most, that are kept one by one."""


@dataclass(frozen=True)
class GroupMeans:
    """Means within groups of prompts, which follow each other on the first axis."""

    similarity: dict[tuple[str, str, str], Float[Tensor, "group site _step"]]
    """SimE by (comparison, treatment, convention), see `COMPARED`."""
    layer_error: Float[Tensor, "group site point"]
    """Squared error of each site's read-out."""
    shuffled_error: Float[Tensor, "group site point"]
    """Of the read-out of other prompts' y, as a prediction of those."""
    reference_error: dict[str, Float[Tensor, "group _step point"]]
    """Of the iterates as they are …"""
    matched_error: dict[str, Float[Tensor, "group _step point"]]
    """… and with their own read-out of y."""
    error_product: dict[str, Float[Tensor, "group site _step point"]]
    """Product of a layer's error and that of a matched iterate."""
    model_error: Float[Tensor, "group point"]
    target_square: Float[Tensor, "group point"]
    """Mean of y^2: the error of predicting 0."""
    change: Float[Tensor, " site"]
    """Largest relative change from the site before, over prompts and points."""


@dataclass(frozen=True)
class Sample:
    """The first evaluation prompts, one by one, and what every site's read-out predicts on them."""

    prefixes: Prefixes
    """The prompts, decomposed once for all who need it."""
    said: Float[Tensor, "site prompt point"]

    @property
    def xs(self) -> Float[Tensor, "prompt point dim"]:
        return self.prefixes.xs

    @property
    def ys(self) -> Float[Tensor, "prompt point"]:
        return self.prefixes.ys


@dataclass(frozen=True, kw_only=True)
class Evaluation(GroupMeans):
    """All groups of prompts, from which every score and its replicates follow."""

    n_groups: int
    sample: Sample
    direct: tuple[ExplainedVariance, ...]
    """Of the iterates' predictions, and of their weights and filtered queries."""


def evaluate(
    model: SequenceModel | SavedActivations,
    task: Task,
    sites: Sequence[Site],
    comparisons: Sequence[Comparison],
    readouts: FittedReadouts,
    budget: PromptBudget,
    seed: int,
    n_groups: int,
    *,
    final_norm: FinalNorm = "official",
    batch_size: int | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Scores fitted read-outs on fresh prompts, batch by batch.

    Every batch is a whole number of groups, so memory does not grow with the prompts.

    Args:
        model: The model.
        task: Where the prompts come from.
        sites: The sites that the read-outs were fitted on.
        comparisons: The references that they were fitted for.
        readouts: What `fit_readouts` gave.
        budget: How many prompts to use, each number a multiple of the group size.
        seed: Of the prompts; see `interp.scoring.stream.batches`.
        n_groups: Groups of prompts, the units of the bootstrap.
        final_norm: See `hooks.capture`.
        batch_size: Prompts a batch, about; by default as many as suit the sites' size.
        progress: Called after every batch.
    """
    group_size = budget.n_evaluate // n_groups
    most = batch_size or prompts_per_batch(model, task, len(sites))
    protocols = (
        (readouts.predictions, budget.n_predictions),
        (readouts.vectors, budget.n_vectors),
    )
    direct = tuple(
        ExplainedVariance.empty(item.targets, min(n, budget.n_evaluate) // group_size, item.n_sites)
        for item, n in protocols
    )
    parts: list[_Batch] = []
    kept: list[Sample] = []
    done = 0
    for prefixes, activations, predictions in batches(
        model,
        task,
        sites,
        budget.n_evaluate,
        seed,
        final_norm,
        max(1, most // group_size) * group_size,
    ):
        iterates = {item.name: item.iterates(prefixes) for item in comparisons}
        said = readouts.layers(activations)[..., 0]
        parts.append(
            _Batch.of(
                prefixes,
                said,
                readouts.shuffled(activations)[..., 0],
                predictions,
                iterates,
                readouts,
                prefixes.n_prompts // group_size,
                _relative_change(activations),
            )
        )
        for variance, (item, n) in zip(direct, protocols, strict=True):
            n_direct = leading(n, done, prefixes)
            if not n_direct:
                continue
            rows = {name: values[:, :n_direct] for name, values in iterates.items()}
            some = prefixes.part(0, n_direct)
            for start, stop, values in item.targets.parts(some, rows, group_size):
                variance.add(
                    (done + start) // group_size,
                    (stop - start) // group_size,
                    item.readout,
                    activations[: item.n_sites, start:stop],
                    values,
                )
        if n_kept := leading(N_SAMPLE, done, prefixes):
            kept.append(Sample(prefixes.part(0, n_kept), said[:, :n_kept]))
        done += prefixes.n_prompts
        progress("comparing with references", done, budget.n_evaluate)
    sample = Sample(
        Prefixes.joined([part.prefixes for part in kept]),
        torch.cat([part.said for part in kept], 1),
    )
    return Evaluation(n_groups=n_groups, sample=sample, direct=direct, **_joined(parts))


def _joined(parts: Sequence[_Batch]) -> dict[str, Any]:
    """The fields of all batches, joined along their groups."""
    joined: dict[str, Any] = {}
    for entry in fields(GroupMeans):
        values = [getattr(part, entry.name) for part in parts]
        if entry.name == "change":
            joined["change"] = torch.stack(values).amax(0)
        elif isinstance(values[0], dict):
            joined[entry.name] = {key: torch.cat([v[key] for v in values]) for key in values[0]}
        else:
            joined[entry.name] = torch.cat(values)
    return joined


class _Batch(GroupMeans):
    """The groups of prompts of one batch."""

    @classmethod
    def of(
        cls,
        prefixes: Prefixes,
        layers: Float[Tensor, "site prompt point"],
        shuffled: Float[Tensor, "site prompt point"],
        predictions: Float[Tensor, "prompt point"],
        raw_iterates: Mapping[str, Float[Tensor, "_step prompt point"]],
        readouts: FittedReadouts,
        n_groups: int,
        change: Float[Tensor, " site"],
    ) -> _Batch:
        ys = prefixes.ys
        directions = {name: error_directions(layers, ys, name) for name in get_args(Convention)}
        layer_residuals = layers - ys
        similarity: dict[tuple[str, str, str], Tensor] = {}
        reference_error, matched_error, error_product = {}, {}, {}
        for name, raw in raw_iterates.items():
            reference_error[name] = _group_error(raw, ys, n_groups)
            iterates = {"raw": raw, "matched": _matched(raw, readouts.references[name])}
            residuals = iterates["matched"] - ys
            matched_error[name] = _group_mean(residuals.square(), n_groups)
            error_product[name] = _group_product(layer_residuals, residuals, n_groups)
            for readout, convention in COMPARED:
                similarity[name, readout, convention] = group_similarity(
                    directions[convention],
                    error_directions(iterates[readout], ys, convention),
                    n_groups,
                )
        return cls(
            similarity=similarity,
            layer_error=_group_error(layers, ys, n_groups),
            shuffled_error=_group_error(shuffled, other_prompts(ys), n_groups),
            reference_error=reference_error,
            matched_error=matched_error,
            error_product=error_product,
            model_error=_group_error(predictions[None].double(), ys, n_groups)[:, 0],
            target_square=_group_error(torch.zeros_like(ys)[None], ys, n_groups)[:, 0],
            change=change,
        )


def _matched(
    iterates: Float[Tensor, "step prompt point"], readout: Readout
) -> Float[Tensor, "step prompt point"]:
    return iterates * readout.weight[:, :, 0, None] + readout.bias[:, :, None]


def _group_error(
    predictions: Float[Tensor, "predictor prompt point"],
    ys: Float[Tensor, "prompt point"],
    n_groups: int,
) -> Float[Tensor, "group predictor point"]:
    return _group_mean((predictions - ys).square(), n_groups)


def _group_mean(
    values: Float[Tensor, "predictor prompt point"], n_groups: int
) -> Float[Tensor, "group predictor point"]:
    return reduce(
        values,
        "predictor (group prompt) point -> group predictor point",
        "mean",
        group=n_groups,
    )


def _group_product(
    layers: Float[Tensor, "site prompt point"],
    iterates: Float[Tensor, "step prompt point"],
    n_groups: int,
) -> Float[Tensor, "group site step point"]:
    """Mean over a group's prompts of the product of errors, point by point."""
    a = rearrange(layers, "site (group p) point -> group point site p", group=n_groups)
    b = rearrange(iterates, "step (group p) point -> group point p step", group=n_groups)
    return rearrange(a @ b / a.shape[-1], "group point site step -> group site step point")


def _relative_change(
    activations: Float[Tensor, "site prompt point d_model"],
) -> Float[Tensor, " site"]:
    """Largest change of each site from the one before, relative to the site's root mean square."""
    scale = activations.square().mean((1, 2, 3)).sqrt().clamp(min=1e-30)
    change = activations.diff(dim=0).abs().amax((1, 2, 3)) / scale[1:]
    return torch.cat([torch.full((1,), torch.inf), change.float()])
