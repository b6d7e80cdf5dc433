"""Parameters of references that are told from a model's layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.model import SequenceModel
from interp.analyses.comparisons import default_comparisons
from interp.scoring.saved_activations import SavedActivations
from interp.scoring.stream import batches
from interp.tasks import Task
from probes.candidate import Candidate, select
from probes.references import Prefixes

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
        model, task, sites, N_PROMPTS, seed, batch_size=N_PROMPTS
    )
    flat = rearrange(activations[:, :, 1:].double(), "site prompt point d -> site (prompt point) d")
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
                iterates = reference.predictions(prefixes, steps.tolist())[..., 1:].flatten(1)
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
