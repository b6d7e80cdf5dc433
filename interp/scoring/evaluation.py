"""Scores of layers and references on prompts that no read-out has seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.scoring.direct_targets import ExplainedVariance
from interp.scoring.readouts import FittedReadouts, PromptBudget, leading
from interp.scoring.scores import COMPARED, Matching, Sample, Scores, Totals
from interp.scoring.stream import Progress, SavedActivations, batches, prompts_per_batch, silent
from interp.tasks import Task
from probes.candidate import Candidate
from probes.references import Prefixes
from probes.similarity import Convention

N_SAMPLE = 1024
"""Prompts, at most, that are kept one by one, …"""
N_ACTIVATIONS = 384
"""… and with their activations."""
PROMPTS_AT_ONCE = 64
"""Prompts whose iterates are scored at once, about: few enough for the cache."""


def evaluate(
    model: SequenceModel | SavedActivations,
    task: Task,
    sites: Sequence[Site],
    comparisons: Sequence[Candidate],
    readouts: FittedReadouts,
    budget: PromptBudget,
    seed: int,
    weights: Float[Tensor, "replicate group"],
    *,
    compared: Sequence[tuple[Matching, Convention]] = COMPARED,
    by_point: bool = True,
    keeps_sample: bool = True,
    points: Sequence[int] | None = None,
    final_norm: FinalNorm = "official",
    batch_size: int | None = None,
    progress: Progress = silent,
) -> Scores:
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
        weights: How often each group of prompts counts, the first row once each.
        compared: Treatments of the iterates and conventions of SimE, some of `COMPARED`.
        by_point: Whether errors of references and similarities point by point are wanted.
        keeps_sample: Whether single prompts are wanted; else one is kept.
        points: Points to look at; all without them.
        final_norm: See `hooks.capture`.
        batch_size: Prompts a batch, about; by default as many as suit the sites' size.
        progress: Called after every batch.
    """
    group_size = budget.n_evaluate // weights.shape[1]
    most = batch_size or prompts_per_batch(model, task, len(sites))
    n_first_kind = sum(site.kind == sites[0].kind for site in sites)
    direct = [
        ExplainedVariance.empty(
            item.targets, min(item.n_prompts, budget.n_evaluate) // group_size, item.n_sites
        )
        for item in readouts.direct
    ]
    n_sample, n_activations = (N_SAMPLE, N_ACTIVATIONS) if keeps_sample else (1, 1)
    totals = Totals(group_size, compared, by_point)
    n_at_once = -(-PROMPTS_AT_ONCE // group_size) * group_size
    kept: list[Sample] = []
    first_activations: list[Tensor] = []
    done = 0
    for prefixes, activations, predictions in batches(
        model,
        task,
        sites,
        budget.n_evaluate,
        seed,
        final_norm,
        max(1, most // group_size) * group_size,
        points,
    ):
        iterates = {item.name: item.iterates(prefixes) for item in comparisons if compared}
        said, shuffled = readouts.layers(activations).unbind(-1)
        totals.add_layers(prefixes.ys, said, shuffled, predictions)
        totals.add_change(activations)
        for first in range(0, prefixes.n_prompts, n_at_once):
            few = slice(first, first + n_at_once)
            totals.add_references(
                {name: raw[:, few] for name, raw in iterates.items()},
                readouts.references,
                said[:, few],
                prefixes.ys[few],
                prefixes.n_unseen,
            )
        for variance, item in zip(direct, readouts.direct, strict=True):
            if not (n_direct := leading(item.n_prompts, done, prefixes)):
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
        if n_kept := leading(n_sample, done, prefixes):
            kept.append(Sample(prefixes.part(0, n_kept), said[:, :n_kept]))
        if n_few := leading(n_activations, done, prefixes):
            first_activations.append(activations[:n_first_kind, :n_few].clone())
        done += prefixes.n_prompts
        progress("comparing with references", done, budget.n_evaluate)
    sample = Sample(
        Prefixes.joined([part.prefixes for part in kept]),
        torch.cat([part.said for part in kept], 1),
        torch.cat(first_activations, 1),
    )
    return totals.scores(weights, direct, sample)
