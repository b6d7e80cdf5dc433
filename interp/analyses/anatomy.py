"""What the layers of a model are made of, whether or not an algorithm is known that they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.activation_files import ActivationFile
from hooks.capture import capture
from hooks.model import SequenceModel
from hooks.shared_prefix import last_activations, shares_prefixes
from interp.analyses.anatomy_table import anatomy_table
from interp.analyses.comparisons import default_comparisons, own_parameters
from interp.results.anatomy import Anatomy, make_anatomy
from interp.scoring.layer_predictions import fit_layer_readouts
from interp.scoring.stream import Progress, silent
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from interp.versions import checkpoint_of, library_versions
from probes.anatomy import (
    N_FACTORS,
    VARIANTS,
    FilterBasis,
    LayerSums,
    Shares,
    draw_variants,
    kept_parts,
)
from probes.candidate import Candidate
from probes.readout import Readout
from probes.references import Prefixes
from probes.references.spectral import SpectralReference
from probes.uncertainty import bootstrap_weights

N_GROUPS = 128
N_REPLICATES = 400
LEAST_PROMPTS = 512
PROMPTS_PER_BATCH = 64
"""Each is run as it is and once for every change of it."""
NO_CHANGES = (
    "shares need a task whose x is Gaussian without a preferred direction and whose y is linear in "
    "x with Gaussian weights and noise; on this one only the reference's share and the filter hold"
)


def anatomy(
    model: SequenceModel | ActivationFile,
    task: Task | None = None,
    *,
    points: Sequence[int] | None = None,
    n_prompts: int = 4096,
    seed: int = 0,
    comparisons: Sequence[Candidate] | None = None,
    progress: Progress = silent,
) -> Anatomy:
    """Splits what every layer says about y into shares, and measures the filter that it applies.

    A layer's read-out of y is compared with itself on prompts that were changed in ways that leave
    their distribution as it is; see `probes.anatomy`. No list of algorithms is needed for the
    ceiling, the share that any spectral algorithm for linear regression could explain, nor for the
    filter g, the factor by which a direction of eigenvalue l is learnt.

    Args:
        model: Any hooked model that can be run.
        task: Where prompts come from; by default what the model was trained on.
        points: Numbers of examples seen at which layers are taken apart; by default below, at and
            above `n_dims`, and the most there are.
        n_prompts: To split on, each at one of the points; as many others fit the read-outs.
        seed: Of all prompts.
        comparisons: References; by default those of `interp.match`.
        progress: Called after every batch.

    Returns:
        `data["share"]` by `layer`, `point` and `part`, `data["ceiling"]`,
        `data["resolved_eigenvalue"]` and `data["exponent"]` by `layer` and `point`, each with
        `…_low` and `…_high`, the ends of a 95 % interval; `data["filter"]` by `layer`, `point` and
        `knot` at the eigenvalues `data["eigenvalue"]`; `data["reference_share"]`,
        `data["reference_step"]` and `data["reference_filter"]` of every reference at its best step,
        and `data["best_reference"]`, the index of the one that is the part "reference";
        `data["energy"]`, the mean square of what a layer says in units of that of y. Where that is
        next to nothing, so is what its shares mean.

    Raises:
        TypeError: It is no hooked model; for a module, the message says how to attach to it.
        ValueError: Saved activations, a task that does not fit the model, a point that it does not
            have or that no examples come before, or too few prompts.
        NonFiniteError: A read-out is NaN or infinite.
    """
    if isinstance(model, ActivationFile):
        raise ValueError(
            "model must be one that can be run on changed prompts; saved activations cannot"
        )
    model, task = model_and_task(model, task)
    if model.first_point:
        raise ValueError(
            f"model must be readable at every point, and this one is from point "
            f"{model.first_point} on only; attach it to prompts whose first examples it may have"
        )
    points = tuple(points) if points is not None else default_points(task)
    check_points(points, task)
    if n_prompts < LEAST_PROMPTS:
        raise ValueError(f"n_prompts must be at least {LEAST_PROMPTS}, got {n_prompts}")
    every = comparisons or default_comparisons(task, own_parameters(model))
    items = [one for one in every if one.has_steps]
    per_point = -(-n_prompts // (N_GROUPS * len(points))) * N_GROUPS
    seeds = [int(one) for one in np.random.SeedSequence(seed).generate_state(3)]
    readout = fit_layer_readouts(model, task, n_prompts=n_prompts, seed=seeds[0], progress=progress)
    generator = torch.Generator().manual_seed(seeds[1])
    total, done = per_point * len(points), 0

    def report(n_more: int) -> None:
        nonlocal done
        done += n_more
        progress("taking layers apart", done, total)

    sums = []
    for point in points:
        one, has_changes = _accumulate(
            model, task, readout, point, items, per_point, generator, report
        )
        sums.append(one)
    weights = bootstrap_weights(N_GROUPS, N_REPLICATES, seeds[2])
    found = [_solve(one, items, weights) for one in sums]
    table = anatomy_table([one.layer for one in model.sites()], points, items, sums, found)
    return make_anatomy(
        table.assign_attrs(missing="" if has_changes else NO_CHANGES),
        {
            "checkpoint": checkpoint_of(model.provenance),
            "task": task.describe(),
            "prompts": total,
            "seed": seed,
            "versions": library_versions(),
        },
    )


def default_points(task: Task, first_point: int = 0) -> tuple[int, ...]:
    """Numbers of examples below, at and above the dimension, and the most that prompts have."""
    last = task.n_points - 1
    wanted = (round(0.6 * task.n_dims), task.n_dims, round(1.5 * task.n_dims), last)
    return tuple(sorted({min(last, max(1, first_point, one)) for one in wanted}))


def check_points(points: Sequence[int], task: Task, first_point: int = 0) -> None:
    """Raises a `ValueError` unless points are different numbers of examples that prompts have."""
    least = max(1, first_point)
    for point in points:
        if not least <= point < task.n_points:
            raise ValueError(
                f"points must be numbers of examples from {least} to {task.n_points - 1}, "
                f"got {point}"
            )
    if not points or len(set(points)) < len(points):
        raise ValueError(f"points must be one or more different numbers, got {list(points)}")


def _accumulate(
    model: SequenceModel,
    task: Task,
    readout: Readout,
    point: int,
    items: Sequence[Candidate],
    n_prompts: int,
    generator: torch.Generator,
    progress: Callable[[int], None],
) -> tuple[LayerSums, bool]:
    """Sums over prompts that are cut after a point, and whether they could be changed."""
    longer = replace(task, n_points=point + 2)  # the last x is another query
    group_size = n_prompts // N_GROUPS
    n_iterates = sum(len(item.grid.steps) for item in items)
    n_together = max(1, PROMPTS_PER_BATCH // group_size)
    sums: LayerSums | None = None
    has_changes = True
    for first in range(0, N_GROUPS, n_together):
        n_groups = min(n_together, N_GROUPS - first)
        prompts = longer.sample(n_groups * group_size, generator)
        xs, ys = prompts.xs[:, :-1], prompts.ys[:, :-1]
        fresh = task.fresh_targets(xs, generator)
        has_changes = fresh is not None
        prefixes = Prefixes(xs, ys).at_points([point])
        eigenvalues, terms = prefixes.eigenvalues[:, 0], prefixes.terms[:, 0]
        if sums is None:
            basis = FilterBasis.of(eigenvalues)
            sums = LayerSums(basis, len(readout.weight), n_iterates, N_GROUPS)
        if fresh is None:
            said = _said(model, readout, xs[None], ys[None])
        else:
            changed = draw_variants(xs, ys, fresh, prompts.xs[:, -1], generator)
            said = _said(model, readout, *changed)
        iterates = torch.cat([item.iterates(prefixes) for item in items])[..., 0]
        sums.target_energy += ys[:, -1].square().sum()
        sums.update(
            first,
            said[..., 0].unflatten(1, (n_groups, -1)),
            sums.basis.features(eigenvalues, terms).unflatten(0, (n_groups, -1)),
            iterates.unflatten(1, (n_groups, -1)),
            None if fresh is None else kept_parts(said).unflatten(1, (n_groups, -1)),
        )
        progress(len(xs))
    assert sums is not None
    return sums, has_changes


def _said(
    model: SequenceModel,
    readout: Readout,
    xs: Float[Tensor, "variant prompt point dim"],
    ys: Float[Tensor, "variant prompt point"],
) -> Float[Tensor, "layer prompt variant"]:
    """What every layer says at the last point.

    Variants that differ in nothing but the query are run after one prefix where a model can.
    """
    n_alone, n_prompts = 3 if len(xs) == len(VARIANTS) else len(xs), xs.shape[1]
    if not shares_prefixes(model):
        n_alone = len(xs)
    [seen] = capture(model, (xs[:n_alone].flatten(0, 1), ys[:n_alone].flatten(0, 1)), model.sites())
    said = readout(seen.activations[:, :, -1].cpu())[..., 0].unflatten(1, (n_alone, -1))
    if n_alone == len(xs):
        return said.mT
    prefixes, targets = (part[n_alone::N_FACTORS].flatten(0, 1) for part in (xs, ys))
    queries = rearrange(
        xs[n_alone:, :, -1], "(y query) prompt dim -> (y prompt) query dim", query=N_FACTORS
    )
    asked = last_activations(model, prefixes, targets, queries)
    more = rearrange(
        readout(asked.cpu())[..., 0], "layer (y prompt) query -> layer prompt (y query)",
        prompt=n_prompts,
    )  # fmt: skip
    return torch.cat([said.mT, more], 2)


def _solve(sums: LayerSums, items: Sequence[Candidate], weights: Tensor) -> Shares:
    return Shares.of(
        sums,
        [len(item.grid.steps) for item in items],
        [isinstance(item.reference, SpectralReference) for item in items],
        weights,
    )
