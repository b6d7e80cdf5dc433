"""The references a model is compared with, and the steps at which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.model import SequenceModel
from interp.scoring.stream import SavedActivations, batches
from interp.tasks import Task
from probes.candidate import Candidate, select
from probes.references import (
    REFERENCES,
    Prefixes,
    reference_class,
    reference_classes,
)

N_CALIBRATION_PROMPTS = 1024
CALIBRATION_SEED = 2**31 - 1


def default_comparisons(
    task: Task, parameters: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Candidate, ...]:
    """The contenders of the verdict, with OLS beside them.

    Newton with the official code's alpha, with one alpha for all prefixes, and from a multiple of
    the identity (which is GD whose steps double from layer to layer), GD with one step
    size for all prefixes and with each prefix's own, ridge with a penalty halved at every step,
    and GD++, or GD on a two-layer network, where their parameters are given.
    Constants for all prefixes are set from the task: 1 / q for GD's eta and 1 / (2 q^2) for
    Newton's alpha, q being the largest eigenvalue of S seen on a thousand prompts; both iterations
    diverge only where twice that is exceeded.

    Args:
        task: Where the prompts come from.
        parameters: Parameters by reference name to use in place of those, for example
            `{"gd": {"eta": 0.02}}`.

    Raises:
        ValueError: A name that is not compared, or parameters that the reference does not take.
    """
    largest = _largest_eigenvalue(task)
    given = {name: dict(values) for name, values in (parameters or {}).items()}
    known = {
        name: (one, values)
        for one in reference_classes()
        for name, values in one.candidates(largest).items()
    }
    if unknown := sorted(set(given) - set(known) - set(REFERENCES)):
        raise ValueError(
            f"parameters are for {', '.join(unknown)}; compared are {', '.join(known)}, and every "
            f"other reference that is given parameters: {', '.join(REFERENCES)}"
        )
    extra: dict[str, Any] = {
        name: (reference_class(name), {}) for name in given if name not in known
    }
    chosen = sorted((known | extra).items(), key=lambda item: not item[1][0].is_iterative)
    return tuple(
        Candidate.of(
            name,
            one.key if name in known else name,
            one.family,
            {**values, **given.get(name, {})},
        )
        for name, (one, values) in chosen
    )


def own_parameters(model: SequenceModel) -> dict[str, dict[str, Any]]:
    """Constants in the weights of a model that was built to run a known algorithm."""
    constants = {"newton-fixed": ("alpha",), "gd": ("eta",), "gd++": ("eta", "gamma")}
    return {
        name: {field: getattr(model.config, field) for field in fields}
        for name, fields in constants.items()
        if all(hasattr(model.config, field) for field in fields)
    }


def _largest_eigenvalue(task: Task) -> float:
    """The largest eigenvalue of S over prompts and prefixes."""
    generator = torch.Generator().manual_seed(CALIBRATION_SEED)
    prompts = task.sample(N_CALIBRATION_PROMPTS, generator)
    if prompts.xs.shape[1] < 2:
        raise ValueError("n_points must be at least 2: one pair to learn from, one to predict")
    return Prefixes(prompts.xs, prompts.ys).eigenvalues.max().item()


def stepping_comparisons(
    model: SequenceModel,
    comparisons: Sequence[Candidate],
    names: Sequence[str] | None = None,
) -> tuple[Candidate, ...]:
    """The comparisons of some names, to follow step by step through a model's layers.

    Args:
        model: The model.
        comparisons: Those there are.
        names: By default the algorithm that the model was built to run, or Newton and GD.

    Raises:
        ValueError: A reference was not compared or has no steps.
    """
    chosen = tuple(
        select(comparisons, name)
        for name in (names or tuple(own_parameters(model)) or ("newton", "gd"))
    )
    if without := [item.name for item in chosen if not item.has_steps]:
        raise ValueError(f"references must have steps, {without[0]} has none")
    return chosen


FIT = "fit"
"""In place of a number, asks for the one under which the layers hold the reference best."""
N_PROMPTS = 512
FACTORS = tuple(2.0**power for power in range(-7, 1))
"""Of a parameter's default, to begin with; far above it iterations diverge."""
N_HALVINGS = 7
"""Of the distance between neighbouring values, on the scale of logarithms."""
N_ZOOMS = 4
"""Into the steps around the best one of a layer."""


def fit_parameters(
    model: SequenceModel | SavedActivations,
    task: Task,
    parameters: Mapping[str, Mapping[str, Any]],
    seed: int,
    points: Sequence[int] | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, float]]]:
    """Returns all parameters as numbers, and by themselves those that were fitted.

    A fitted one makes the iterates' predictions likeliest given the residual stream (-log(1 - R^2),
    averaged over layers, each at its best step). Similarities of errors hardly depend on a step
    size: twice as many steps of half of it predict almost alike.

    Args:
        model: What is matched.
        task: Where prompts come from.
        parameters: By reference and name; those that are `FIT` are fitted.
        seed: Of the prompts, see `batches`.
        points: Points to look at; all without them.

    Raises:
        ValueError: A reference without steps, or a field that is not a number.
    """
    numbers = {name: dict(values) for name, values in parameters.items()}
    asked = [(name, field) for name in numbers for field, v in numbers[name].items() if v == FIT]
    if not asked:
        return numbers, {}
    for name, field in asked:
        del numbers[name][field]
    sites = list(model.sites(model.site_kinds[0]))
    [(prefixes, activations, _)] = batches(
        model, task, sites, N_PROMPTS, seed, batch_size=N_PROMPTS, points=points
    )
    seen = activations[:, :, prefixes.n_unseen :].double()
    flat = rearrange(seen, "site prompt point d -> site (prompt point) d")
    directions, sizes, _ = torch.linalg.svd(flat - flat.mean(1, keepdim=True), full_matrices=False)
    is_used = sizes > sizes[:, :1] * 1e-6
    directions = directions * is_used[:, None]
    fitted: dict[str, dict[str, float]] = {}
    for name, field in asked:
        item = select(default_comparisons(task, numbers), name)
        default = getattr(item.reference, field, None)
        if not (item.has_steps and isinstance(default, float)):
            raise ValueError(f"parameters: {name}.{field} cannot be fitted, give a number")
        numbers[name][field] = _best(item, field, default, prefixes, directions)
        fitted.setdefault(name, {})[field] = numbers[name][field]
    return numbers, fitted


def _best(
    item: Candidate,
    field: str,
    default: float,
    prefixes: Prefixes,
    directions: Float[Tensor, "site sample direction"],
) -> float:
    """The likeliest value: on a coarse grid, then between ever nearer neighbours."""
    known: dict[float, float] = {}

    def score(value: float) -> float:
        """Mean log-likelihood of layers, each at its best step: of the grid, then between."""
        if value not in known:
            reference = replace(item.reference, **{field: value})  # type: ignore[type-var]
            steps = torch.tensor(item.grid.steps[1:], dtype=torch.float64)
            reach = 0.2
            for _ in range(N_ZOOMS):
                iterates = reference.predictions(prefixes, steps.tolist())
                iterates = iterates[..., prefixes.n_unseen :].flatten(1)
                targets = (iterates - iterates.mean(1, keepdim=True)).T
                held = (directions.mT @ targets).square().sum(1) / targets.square().sum(0)
                best = steps[held.nan_to_num(-1).argmax(-1)]
                steps = (best[:, None] * (1 + reach * torch.linspace(-1, 1, 9).double())).flatten()
                reach /= 4
            left = (1 - held.nan_to_num(0).amax(-1)).clamp_min(1e-12)
            known[value] = -left.log().mean().item()
        return known[value]

    best = max((default * factor for factor in FACTORS), key=score)
    for halving in range(1, N_HALVINGS + 1):
        step = 2.0 ** (2.0**-halving)
        best = max((best / step, best, best * step), key=score)
    return best
