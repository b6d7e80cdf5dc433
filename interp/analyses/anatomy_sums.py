"""What layers and references say about changed prompts, summed over groups of prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.capture import capture
from hooks.model import SequenceModel
from hooks.shared_prefix import last_activations, shares_prefixes
from interp.tasks import Task
from probes.anatomy import (
    N_FACTORS,
    VARIANTS,
    FilterBasis,
    LayerSums,
    draw_variants,
    kept_parts,
)
from probes.candidate import Candidate
from probes.readout import Readout
from probes.references import Prefixes

N_GROUPS = 128
PROMPTS_PER_BATCH = 64
"""Each is run as it is and once for every change of it."""


def sums_of_cut_prompts(
    model: SequenceModel,
    task: Task,
    readout: Readout,
    point: int,
    items: Sequence[Candidate],
    n_prompts: int,
    generator: torch.Generator,
    progress: Callable[[int], None],
) -> LayerSums:
    """Sums over prompts that are cut after a point."""
    longer = replace(task, n_points=point + 2)  # the last x is another query
    group_size = n_prompts // N_GROUPS
    n_together = max(1, PROMPTS_PER_BATCH // group_size)
    sums: LayerSums | None = None
    for first in range(0, N_GROUPS, n_together):
        n_groups = min(n_together, N_GROUPS - first)
        prompts = longer.sample(n_groups * group_size, generator)
        xs, ys = prompts.xs[:, :-1], prompts.ys[:, :-1]
        fresh = task.fresh_targets(xs, generator)
        prefixes = Prefixes(xs, ys).at_points([point])
        sums = sums or empty_sums(prefixes, len(readout.weight), items)
        changed = draw_variants(xs, ys, fresh, prompts.xs[:, -1], generator)
        said = _said(model, readout, *changed)
        add_groups(sums, first, group_size, prefixes, items, said[..., 0], kept_parts(said))
        progress(len(xs))
    assert sums is not None
    return sums


def empty_sums(prefixes: Prefixes, n_layers: int, items: Sequence[Candidate]) -> LayerSums:
    """Sums over no prompts yet, with knots at the eigenvalues of these."""
    n_iterates = sum(len(item.grid.steps) for item in items)
    return LayerSums(FilterBasis.of(prefixes.eigenvalues), n_layers, n_iterates, N_GROUPS)


def add_groups(
    sums: LayerSums,
    first_group: int,
    group_size: int,
    prefixes: Prefixes,
    items: Sequence[Candidate],
    said: Float[Tensor, "layer prompt"],
    kept: Float[Tensor, "layer prompt kept"] | None,
) -> None:
    """Adds prompts, decomposed at one point, in groups of equal size."""
    iterates = torch.cat([item.iterates(prefixes) for item in items])[..., 0]
    features = sums.basis.features(prefixes.eigenvalues[:, 0], prefixes.terms[:, 0])
    sums.update(
        first_group,
        prefixes.ys[:, 0].unflatten(0, (-1, group_size)),
        said.unflatten(1, (-1, group_size)),
        features.unflatten(0, (-1, group_size)),
        iterates.unflatten(1, (-1, group_size)),
        None if kept is None else kept.unflatten(1, (-1, group_size)),
    )


def _said(
    model: SequenceModel,
    readout: Readout,
    xs: Float[Tensor, "variant prompt point dim"],
    ys: Float[Tensor, "variant prompt point"],
) -> Float[Tensor, "layer prompt variant"]:
    """What every layer says at the last point.

    Variants that differ in nothing but the query are run after one prefix where a model can.
    """
    if len(xs) < len(VARIANTS) or not shares_prefixes(model):
        return _said_alone(model, readout, xs, ys)
    n_alone = len(VARIANTS) - N_FACTORS**2
    prefixes, targets = (part[n_alone::N_FACTORS].flatten(0, 1) for part in (xs, ys))
    queries = rearrange(
        xs[n_alone:, :, -1], "(y query) prompt dim -> (y prompt) query dim", query=N_FACTORS
    )
    asked = last_activations(model, prefixes, targets, queries)
    more = rearrange(
        readout(asked.cpu())[..., 0], "layer (y prompt) query -> layer prompt (y query)",
        prompt=xs.shape[1],
    )  # fmt: skip
    return torch.cat([_said_alone(model, readout, xs[:n_alone], ys[:n_alone]), more], 2)


def _said_alone(
    model: SequenceModel,
    readout: Readout,
    xs: Float[Tensor, "variant prompt point dim"],
    ys: Float[Tensor, "variant prompt point"],
) -> Float[Tensor, "layer prompt variant"]:
    [seen] = capture(model, (xs.flatten(0, 1), ys.flatten(0, 1)), model.sites())
    said = readout(seen.activations[:, :, -1].cpu())[..., 0]
    return said.unflatten(1, (len(xs), -1)).mT
