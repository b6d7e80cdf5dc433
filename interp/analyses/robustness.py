"""Where does a model break? Its layers on prompts unlike those of its training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import xarray

from hooks.model import SequenceModel
from interp.analyses.comparisons import own_parameters
from interp.analyses.condition_scores import N_GROUPS, measure, references_for
from interp.analyses.condition_sweep import ConditionSweep, make_sweep
from interp.analyses.variations import VARIATIONS, Variation, choose_variations, lacks
from interp.progress import Progress, shows_progress, silent
from interp.scoring.stream import check_batch_size
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from interp.versions import checkpoint_of, command_line, library_versions
from probes.references import DivergenceWarning

LEAST_PROMPTS = 4 * N_GROUPS


@shows_progress
def conditions(
    model: SequenceModel,
    task: Task | None = None,
    *,
    vary: Sequence[str] = tuple(VARIATIONS),
    values: Mapping[str, Sequence[float]] | None = None,
    n_prompts: int = 512,
    seed: int = 0,
    device: str | None = None,
    batch_size: int | None = None,
    progress: Progress = silent,
) -> ConditionSweep:
    """Errors and matching steps of a model by condition number, noise, scale and length of prompts.

    The model stays as it is; under every condition its layers get fresh read-outs, their errors
    are measured and they are matched with Newton, gradient descent and conjugate gradients. How
    many steps those need themselves stands beside it: gradient descent needs steps in proportion
    to the condition number, conjugate gradients to its root (at most one a dimension), Newton to
    its logarithm.

    Args:
        model: Any hooked model.
        task: The task of which one property at a time is varied; by default that of the training.
        vary: Names of `VARIATIONS`.
        values: Values to take in place of the defaults, by name.
        n_prompts: Prompts to evaluate on under each condition, rounded up to a multiple of 64; as
            many more fit read-outs.
        seed: Of all prompts.
        device: Where the model runs, as for `interp.match`.
        batch_size: Prompts of a forward pass; by default all of a condition.
        progress: Called after every condition.

    Returns:
        One table for each property; see `interp.analyses.condition_scores.measure`.

    Raises:
        ValueError: An unknown property, a value that it cannot take, too few prompts, a task that
            does not fit the model, or nothing left to vary.
    """
    if n_prompts < LEAST_PROMPTS:
        raise ValueError(f"n_prompts must be at least {LEAST_PROMPTS}, got {n_prompts}")
    n_prompts = -(-n_prompts // N_GROUPS) * N_GROUPS
    check_batch_size(batch_size)
    model, task = model_and_task(model, task, device=device, every_point=True)
    tasks = condition_tasks(model, task, vary, values)
    if not tasks:
        chosen = choose_variations(vary).values()
        reasons = [reason for item in chosen if (reason := lacks(task, item))]
        raise ValueError("; ".join(reasons) or _no_longer(model))
    known = own_parameters(model)
    total, done = sum(map(len, tasks.values())), 0
    tables = {}
    for name, by_value in tasks.items():
        rows = []
        for condition in by_value.values():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DivergenceWarning)  # away from training they may
                references = references_for(condition, known)
                rows.append(
                    measure(
                        model,
                        condition,
                        references,
                        n_prompts=n_prompts,
                        seed=seed,
                        batch_size=batch_size,
                    )
                )
            done += 1
            progress(f"varying {name}", done, total)
        table = xarray.concat(rows, xarray.Variable("value", list(by_value)))
        tables[name] = table.assign_attrs(own=VARIATIONS[name].own(task))
    left_out = {
        name: lacks(task, variation) or _no_longer(model)
        for name, variation in choose_variations(vary).items()
        if name not in tasks
    }
    return make_sweep(tables, {**_provenance(model, task, n_prompts, seed), "left_out": left_out})


def _no_longer(model: SequenceModel) -> str:
    n_points = model.config.n_points
    return f"the model takes no longer prompts than the {n_points} points it was built for"


def condition_tasks(
    model: SequenceModel,
    task: Task,
    vary: Sequence[str],
    values: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, dict[float, Task]]:
    """The task of every condition, by property and value, as `conditions` looks at them.

    Properties that the task has not, and longer prompts than the model takes, are left out.

    Raises:
        ValueError: An unknown property, or a value that it cannot take.
    """
    chosen = choose_variations(vary)
    given = {name: tuple(map(float, numbers)) for name, numbers in (values or {}).items()}
    if unknown := sorted(set(given) - set(chosen)):
        raise ValueError(f"values are for {', '.join(unknown)}, which vary does not name")
    tasks = {
        name: _tasks(model, task, name, variation, given.get(name, variation.values))
        for name, variation in chosen.items()
        if lacks(task, variation) is None
    }
    return {name: found for name, found in tasks.items() if found}


def _tasks(
    model: SequenceModel, task: Task, name: str, variation: Variation, values: Sequence[float]
) -> dict[float, Task]:
    """The condition of every value; longer prompts only where the model takes them."""
    if not values:
        raise ValueError(f"values of {name} must hold at least one number")
    found = {}
    for value in sorted(set(values)):
        try:
            condition = variation.apply(task, value)
        except ValueError as error:
            raise ValueError(f"values of {name}: {error}") from None
        is_longer = condition.n_points > model.config.n_points
        if name == "points" and is_longer and not model.takes_longer_prompts:
            continue
        if condition.n_points < 2:
            raise ValueError(f"values of {name} must leave at least 2 points, got {value}")
        found[value] = condition
    if name == "points" and set(found) <= {1.0}:
        return {}
    return found


def _provenance(model: SequenceModel, task: Task, n_prompts: int, seed: int) -> dict[str, Any]:
    return {
        "checkpoint": checkpoint_of(model.provenance),
        "architecture": type(model).__name__,
        "config": model.describe(),
        "task": task.describe(),
        "seed": seed,
        "prompts": n_prompts,
        "versions": library_versions(),
        "command": command_line(),
    }
