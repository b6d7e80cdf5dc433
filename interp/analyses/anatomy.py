"""What the layers of a model are made of, whether or not an algorithm is known that they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray

from hooks.activation_files import ActivationFile
from hooks.model import SequenceModel
from interp.analyses.anatomy_sums import (
    N_GROUPS,
    add_groups,
    empty_sums,
    sums_of_cut_prompts,
)
from interp.analyses.anatomy_table import anatomy_table
from interp.analyses.comparisons import default_comparisons, own_parameters
from interp.results.anatomy import Anatomy, make_anatomy
from interp.scoring.layer_predictions import fit_layer_readouts
from interp.scoring.stream import BATCH_SIZE, Progress, SavedActivations, batches, silent
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from interp.versions import checkpoint_of, library_versions
from probes.anatomy import (
    LayerSums,
    Mixture,
    Shares,
)
from probes.candidate import Candidate
from probes.references.spectral import SpectralReference
from probes.uncertainty import bootstrap_weights

N_REPLICATES = 400
LEAST_PROMPTS = 512
NO_CHANGES = (
    "The shares beside order, filter and reference need a task whose x is Gaussian without a "
    "preferred direction and whose y is linear in x with Gaussian weights and noise; this one's "
    "prompts can only be permuted."
)
NO_RUNS = (
    "Saved activations cannot be run on changed prompts, so only the filter and the references' "
    "shares are given; interp.anatomy(model) gives the rest."
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
        model: Any hooked model that can be run. Saved activations, which cannot, are read for the
            filter and the references' shares only.
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
        `data["gap"]` from there to the ceiling, with its interval, and `data["best_reference"]`,
        the index of the one that is the part "reference"; by `point`, `data["halvings"]` of the
        resolved eigenvalue a layer, `data["steps_per_layer"]` of each reference that resolve as
        much, both with intervals, `data["geometric_evidence"]`, the likelihood of a geometric fall
        over one like 1 / depth, and the misfit of both laws;
        `data["mixture_weight"]` of every reference, none negative, at `data["mixture_step"]` in the
        mixture that explains a layer best, `data["mixture_share"]` of its energy on other prompts
        and `data["mixture_gain"]` over the best reference alone, with intervals;
        `data["energy"]`, the mean square of what a layer says in units of that of y. Where that is
        next to nothing, so is what its shares mean.

    Raises:
        TypeError: It is no hooked model; for a module, the message says how to attach to it.
        ValueError: A task that does not fit the model, a point that it does not have or that no
            examples come before, or too few prompts.
        NonFiniteError: A read-out is NaN or infinite.
    """
    if isinstance(model, ActivationFile):
        return _of_file(model, points, n_prompts, seed, comparisons, progress)
    model, task = model_and_task(model, task)
    points = tuple(points) if points is not None else default_points(task, model.first_point)
    check_points(points, task, model.first_point)
    if n_prompts < LEAST_PROMPTS:
        raise ValueError(f"n_prompts must be at least {LEAST_PROMPTS}, got {n_prompts}")
    items = _with_steps(comparisons or default_comparisons(task, own_parameters(model)))
    per_point = -(-n_prompts // (N_GROUPS * len(points))) * N_GROUPS
    seeds = [int(one) for one in np.random.SeedSequence(seed).generate_state(3)]
    readout = fit_layer_readouts(model, task, n_prompts=n_prompts, seed=seeds[0], progress=progress)
    generator = torch.Generator().manual_seed(seeds[1])
    total, done = per_point * len(points), 0

    def report(n_more: int) -> None:
        nonlocal done
        done += n_more
        progress("taking layers apart", done, total)

    sums = [
        sums_of_cut_prompts(model, task, readout, point, items, per_point, generator, report)
        for point in points
    ]
    has_changes = task.fresh_targets(task.sample(1, generator).xs, generator) is not None
    layers = [one.layer for one in model.sites()]
    table = _table(layers, points, items, sums, seeds[2], "" if has_changes else NO_CHANGES)
    return make_anatomy(table, _provenance(model, task, total, seed))


def _of_file(
    file: ActivationFile,
    points: Sequence[int] | None,
    n_prompts: int,
    seed: int,
    comparisons: Sequence[Candidate] | None,
    progress: Progress,
) -> Anatomy:
    """Filters and references only, on the second half of a file's prompts or on `n_prompts`."""
    source = SavedActivations(file)
    task = source.task
    points = tuple(points) if points is not None else default_points(task)
    check_points(points, task)
    n_split = min(n_prompts, file.n_prompts // 2) // N_GROUPS * N_GROUPS
    if n_split < LEAST_PROMPTS:
        raise ValueError(
            f"{file.path}: has {file.n_prompts} prompts; at least {2 * LEAST_PROMPTS} are needed, "
            "to fit read-outs on and to take layers apart"
        )
    n_held_out = n_split // 5
    n_fit = n_split - n_held_out
    readout = fit_layer_readouts(
        source, task, n_prompts=n_fit, seed=0, held_out_seed=n_fit, progress=progress
    )
    items = _with_steps(comparisons or default_comparisons(task))
    group_size = n_split // N_GROUPS
    together = max(1, BATCH_SIZE // group_size) * group_size
    sums: list[LayerSums] = []
    done = 0
    for prefixes, activations, _ in batches(
        source, task, source.sites(), n_split, n_split, batch_size=together
    ):
        said = readout(activations)[..., 0]
        for index, point in enumerate(points):
            here = prefixes.at_points([point])
            if index == len(sums):
                sums.append(empty_sums(here, len(said), items))
            add_groups(
                sums[index], done // group_size, group_size, here, items, said[..., point], None
            )
        done += len(prefixes.xs)
        progress("taking layers apart", done, n_split)
    layers = [one.layer for one in source.sites()]
    [last] = np.random.SeedSequence(seed).generate_state(1)
    table = _table(layers, points, items, sums, int(last), NO_RUNS)
    return make_anatomy(table, _provenance(source, task, n_split, seed))


def _with_steps(comparisons: Sequence[Candidate]) -> list[Candidate]:
    return [one for one in comparisons if one.has_steps]


def _provenance(
    model: SequenceModel | SavedActivations, task: Task, n_prompts: int, seed: int
) -> dict[str, Any]:
    return {
        "checkpoint": checkpoint_of(model.provenance),
        "task": task.describe(),
        "prompts": n_prompts,
        "seed": seed,
        "versions": library_versions(),
    }


def _table(
    layers: Sequence[int],
    points: Sequence[int],
    items: Sequence[Candidate],
    sums: Sequence[LayerSums],
    seed: int,
    missing: str,
) -> xarray.Dataset:
    weights = bootstrap_weights(N_GROUPS, N_REPLICATES, seed)
    sizes = [len(item.grid.steps) for item in items]
    is_filter = [isinstance(item.reference, SpectralReference) for item in items]
    found = [Shares.of(one, sizes, is_filter, weights) for one in sums]
    mixtures = [Mixture.of(*one.sampled(), sizes, weights) for one in sums]
    table = anatomy_table(layers, points, items, sums, found, mixtures)
    return table.assign_attrs(missing=missing)


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
