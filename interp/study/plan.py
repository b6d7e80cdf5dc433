"""Finds out, before anything runs, whether everything in a grid can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hooks.architectures import build_model
from hooks.model import SequenceModel
from interp.study.checkpoint import Checkpoint
from interp.study.grid import Grid, ModelEntry
from interp.study.trainings import TrainingCell
from interp.tasks import Task
from interp.tasks.compatibility import check_fit, task_of


@dataclass(frozen=True)
class PlannedModel:
    """A model of a grid with the tasks it is looked at on."""

    label: str
    tasks: Mapping[str, Task]
    """By label."""
    checkpoint: Checkpoint | None
    """None as long as it is not trained."""
    training: TrainingCell | None = None


def plan_models(grid: Grid) -> tuple[PlannedModel, ...]:
    """Opens every checkpoint once, hashes it and tries every task on it.

    Raises:
        ValueError: A checkpoint cannot be opened, or a task does not fit a model; the message
            names both.
        OSError: A checkpoint cannot be read.
    """
    return tuple(_plan(entry, grid) for entry in grid.models)


def _plan(entry: ModelEntry, grid: Grid) -> PlannedModel:
    if entry.recipe is not None:
        recipe = entry.recipe
        model = build_model(recipe.architecture, recipe.model, seed=recipe.seed)
        tasks = _tasks(entry, grid, model, recipe.task)
        return PlannedModel(entry.label, tasks, None, TrainingCell(recipe))
    assert entry.source is not None
    checkpoint = Checkpoint.of(entry.source)
    model = checkpoint.load()
    is_needed = any("name" not in task.changes for task in grid.tasks)
    tasks = _tasks(entry, grid, model, task_of(model) if is_needed else None)
    return PlannedModel(entry.label, tasks, checkpoint)


def _tasks(
    entry: ModelEntry, grid: Grid, model: SequenceModel, trained_on: Task | None
) -> dict[str, Task]:
    tasks = {}
    for task in grid.tasks:
        try:
            tasks[task.label] = task.of(trained_on)
            check_fit(model, tasks[task.label])
        except ValueError as error:
            raise ValueError(f"{entry.label} on task {task.label!r}: {error}") from None
    return tasks
