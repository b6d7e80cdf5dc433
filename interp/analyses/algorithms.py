"""One reference algorithm against another: which step of B is each step of A most like?"""

from __future__ import annotations

import json
from typing import Any

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.progress import Progress, shows_progress, silent
from interp.scoring.layer_matches import LayerMatches
from interp.tasks import LinearRegression, Task
from interp.versions import library_versions
from probes.matching import StepGrid, best_match
from probes.references import Prefixes, Reference, build_reference
from probes.similarity import error_directions, group_similarity
from probes.verdict.growth_law import GrowthLaw, growth_law

PAPER_TASK = LinearRegression(n_dims=20, n_points=41)
"""Forty examples of 20 dimensions (Fu et al. 2024)."""
LARGEST_STEP = {"linear": 24.0, "log": 2.0**12}
"""Of A, whose steps are whole; B is looked for beyond it."""
LARGEST_MATCH = {"linear": 40.0, "log": 2.0**20}
SLOW = frozenset(
    {"gd", "gd-adaptive", "gd-optimal", "preconditioned-gd", "heavy-ball", "nesterov", "chebyshev"}
)
"""References that take their thousands of steps, and so a logarithmic grid."""
N_GROUPS = 32
BATCH_SIZE = 256
CONVERGED = 1 - 1e-4
"""An iterate this similar to the last one on the grid moves no more."""


@shows_progress
def compare_algorithms(
    a: str,
    b: str,
    task: Task = PAPER_TASK,
    *,
    n_prompts: int = 256,
    seed: int = 0,
    progress: Progress = silent,
) -> xarray.Dataset:
    """Matches the steps of one reference with those of another (Fu et al. 2024, Fig. 26).

    Args:
        a: A key of `probes.references.REFERENCES`; its whole steps are matched …
        b: … with this one's, real ones where it takes them.
        task: Where the prompts come from.
        n_prompts: Prompts to average over, rounded up to a multiple of `N_GROUPS`.
        seed: Of the prompts and of the bootstrap.
        progress: Called after every batch.

    Returns:
        `similarity` [step_a, step_b], the SimE of raw iterates; for every step of A `best_step`,
        `whole_best_step` and `best_similarity`, with 95 % bootstrap intervals over prompts; whether
        the match is inside B's grid while A still moves (`is_growing`). Attributes say what was
        compared.

    Raises:
        ValueError: An unknown reference, one that needs parameters, no prompts, prompts of a
            single point, or an iteration that diverges on them.
    """
    if n_prompts < 1:
        raise ValueError(f"n_prompts must be at least 1, got {n_prompts}")
    if task.n_points < 2:
        raise ValueError("task must have n_points of at least 2: one pair to learn from")
    reference_a, reference_b = build_reference(a), build_reference(b)
    grid_a = _grid(a, reference_a, LARGEST_STEP, whole=True)
    grid_b = _grid(b, reference_b, LARGEST_MATCH, whole=not reference_b.takes_real_steps)
    group_size = -(-n_prompts // N_GROUPS)
    n_prompts = group_size * N_GROUPS
    batch_size = max(1, BATCH_SIZE // group_size) * group_size
    parts, to_last, done = [], [], 0
    for prompts in task.stream(n_prompts, seed=seed, batch_size=batch_size):
        prefixes = Prefixes(prompts.xs, prompts.ys)
        directions_a = _directions(a, reference_a, prefixes, grid_a)
        directions_b = _directions(b, reference_b, prefixes, grid_b)
        n_groups = prefixes.n_prompts // group_size
        parts.append(group_similarity(directions_a, directions_b, n_groups))
        to_last.append(group_similarity(directions_a, directions_a[-1:], n_groups))
        done += prefixes.n_prompts
        progress(f"{a} against {b}", done, n_prompts)
    interpolate = reference_b.takes_real_steps
    found = LayerMatches.of(torch.cat(parts), grid_b, interpolate=interpolate, seed=seed)
    moves = torch.cat(to_last).mean(0)[:, 0] < CONVERGED
    attrs = {
        "a": a,
        "b": b,
        "reference_a": repr(reference_a),
        "reference_b": repr(reference_b),
        "spacing_a": grid_a.spacing,
        "spacing_b": grid_b.spacing,
        "task": json.dumps(task.describe()),
        "seed": seed,
        "prompts": n_prompts,
        "versions": json.dumps(library_versions()),
    }
    return _table(found, moves, grid_a).assign_attrs(attrs)


def growth(comparison: xarray.Dataset) -> GrowthLaw | None:
    """The law by which B's matching step grows with A's, where it does and both can move.

    Depth is A's step, or its logarithm where A's steps are on a logarithmic grid.

    Returns:
        None for fewer than three such steps.
    """
    growing = comparison.where(comparison.is_growing, drop=True)
    if growing.sizes["step_a"] < 3:
        return None
    depth = torch.tensor(growing.step_a.values)
    if comparison.attrs["spacing_a"] == "log":
        depth = depth.log2()
    return growth_law(torch.tensor(growing.best_step.values), depth)


def describe_growth(comparison: xarray.Dataset) -> str:
    """One sentence on how B's matching step grows with A's."""
    a, b = comparison.attrs["a"], comparison.attrs["b"]
    law = growth(comparison)
    if law is None:
        return f"Too few steps of {a} have a match inside the grid of {b} to tell a growth law."
    is_log = comparison.attrs["spacing_a"] == "log"
    if law.law == "neither":
        return f"The matching steps of {b} follow neither a linear nor an exponential law."
    if law.law == "linear" and is_log:
        rate = f"{law.linear_rate:.2f} more for twice the steps"
        return f"Steps of {b} grow with the logarithm of those of {a}: {rate}."
    if law.law == "linear":
        return f"Steps of {b} grow in proportion to those of {a}: {law.linear_rate:.2f} a step."
    if is_log:
        return f"Steps of {b} grow as the power {law.doubling_rate:.2f} of those of {a}."
    factor = f"by a factor of {2**law.doubling_rate:.2f} a step"
    return f"Steps of {b} grow exponentially with those of {a}: {factor}."


def summarise(comparison: xarray.Dataset) -> dict[str, Any]:
    """The comparison in plain values, as `--json` prints it."""
    law = growth(comparison)
    return {
        "a": comparison.attrs["a"],
        "b": comparison.attrs["b"],
        "task": json.loads(comparison.attrs["task"]),
        "seed": comparison.attrs["seed"],
        "prompts": comparison.attrs["prompts"],
        "step": comparison.step_a.values.tolist(),
        "best_step": comparison.best_step.values.tolist(),
        "interval": comparison.best_step_interval.values.tolist(),
        "whole_best_step": comparison.whole_best_step.values.tolist(),
        "similarity": comparison.best_similarity.values.tolist(),
        "similarity_interval": comparison.best_similarity_interval.values.tolist(),
        "growth": None
        if law is None
        else {
            "law": law.law,
            "evidence_ratio": law.evidence_ratio,
            "rate": law.linear_rate,
            "doubling_rate": law.doubling_rate,
            "steps": comparison.step_a.values[comparison.is_growing.values].tolist(),
            "text": describe_growth(comparison),
        },
    }


def _grid(name: str, reference: Reference, largest: dict[str, float], *, whole: bool) -> StepGrid:
    if not reference.is_iterative:
        return StepGrid((0.0,))
    if name not in SLOW:
        return StepGrid.linear(largest["linear"], 1.0 if whole else 0.25)
    grid = StepGrid.log(largest["log"], 1 if largest is LARGEST_STEP else 8)
    if not whole:
        return grid
    return StepGrid(tuple(sorted({float(round(step)) for step in grid.steps})), "log")


def _directions(
    name: str, reference: Reference, prefixes: Prefixes, grid: StepGrid
) -> Float[Tensor, "step prompt scored_point"]:
    """Error directions step by step, so that only those are held."""
    directions = []
    for step, predictions in reference.stream_predictions(prefixes, grid.steps):
        if not predictions.isfinite().all():
            raise ValueError(
                f"{name} diverges on these prompts: its predictions leave the range of numbers "
                f"after {step:,.4g} steps; its step size does not suit the task"
            )
        directions.append(error_directions(predictions, prefixes.ys))
    return torch.stack(directions)


def _table(found: LayerMatches, moves: Tensor, grid_a: StepGrid) -> xarray.Dataset:
    steps_b = found.grid.steps
    inside = (found.step > steps_b[0]) & (found.step < steps_b[-1])
    is_growing = moves & inside & (grid_a.tensor() > 0)
    whole = best_match(found.similarity, found.grid).whole_step
    return xarray.Dataset(
        {
            **found.variables("step_a", "step_b"),
            "whole_best_step": ("step_a", whole.numpy()),
            "is_growing": ("step_a", is_growing.numpy()),
        },
        {"step_a": list(grid_a.steps), "step_b": list(steps_b), "bound": ["low", "high"]},
    )
