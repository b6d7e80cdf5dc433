"""A sweep: its grid's models opened, trained where they need it, analysed, and joined."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import xarray

from hooks.architectures import build_model
from hooks.model import SequenceModel
from interp.jobs.outcome import Failure, keep_tracebacks, sentences
from interp.jobs.pool import Pool
from interp.results.netcdf import save_netcdf
from interp.study.analysis import Analysis, AnalysisCell, run_cell
from interp.study.checkpoint import Checkpoint
from interp.study.grid import Grid, ModelEntry
from interp.study.run import Results, Study
from interp.study.store import Store, hash_of
from interp.study.table import join_results
from interp.study.trainings import TrainingCell, TrainingStore, train_elsewhere, train_here
from interp.tasks import Task
from interp.tasks.compatibility import check_fit, task_of
from interp.versions import library_versions


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


FORMAT = "icl-interp-sweep/1"

Progress = Callable[[str, int, int], None]
"""Called with a stage, how many of its cells are done, and of how many."""

Reasons = list[tuple[str, Failure]]
"""What has no result, and why."""


@dataclass(frozen=True)
class Sweep:
    """What a grid gave."""

    data: xarray.Dataset
    """Every result by model, task and seed; see `interp.study.table`."""
    failures: tuple[str, ...]
    """What has no result and why, a sentence each."""


@dataclass(frozen=True)
class _Answer:
    """One result of the dataset: where it belongs, and the cells it is joined from."""

    place: tuple[str, str, int]
    """Labels of model and task, and the seed."""
    label: str
    analysis: Analysis
    task: Task
    cells: tuple[AnalysisCell, ...]

    def __str__(self) -> str:
        model, task, seed = self.place
        return f"{self.label} of {model}, {task}, seed {seed}"

    def of(
        self, results: Results[AnalysisCell, xarray.Dataset], store: Store[xarray.Dataset]
    ) -> xarray.Dataset | Failure:
        """The whole, from the results of its cells; kept too where they are several."""
        for cell in self.cells:
            if cell.key in results.reasons:
                return results.reasons[cell.key]
        if len(self.cells) == 1:
            return self.analysis.join([store.read(self.cells[0].key)], self.task)
        key = hash_of("joined cells", {"cells": [cell.key for cell in self.cells]})
        if key not in store:
            parts = (store.read(cell.key) for cell in self.cells)
            store.put(key, self.analysis.join(parts, self.task))
        return store.read(key)


def run_sweep(
    grid: Grid,
    out: str | Path,
    pool: Pool | None = None,
    *,
    progress: Progress = lambda stage, done, total: None,
) -> Sweep:
    """Runs every cell of a grid that was not run before, and writes `sweep.nc`.

    A cell that fails leaves a gap in the dataset and stops no other.

    Args:
        grid: What to run.
        out: Folder for `cells/`, `trainings/` and `sweep.nc`. Grids may share one: what two of
            them need is computed once.
        pool: Where cells run; by default in this process, one by one.
        progress: Called after every cell.

    Raises:
        ValueError: A checkpoint cannot be opened or a task does not fit it; nothing was run.
        OSError: The folder cannot be written, or the cluster not be reached. Cells that were done
            are kept.
    """
    out, pool = Path(out), pool or Pool()
    planned = plan_models(grid)
    models, reasons = _trained(planned, out / "trainings", pool, progress)
    answers = list(_answers(grid, models))
    store = Store(out / "cells", xarray.Dataset)

    def join(results: Results[AnalysisCell, xarray.Dataset]) -> xarray.Dataset:
        progress("joining results", 0, 1)
        datasets: dict[str, dict[tuple[str, str, int], xarray.Dataset]] = {}
        for answer in answers:
            found = answer.of(results, store)
            if isinstance(found, Failure):
                reasons.append((str(answer), found))
            else:
                datasets.setdefault(answer.label, {})[answer.place] = found
        labels = [m.label for m in planned], [t.label for t in grid.tasks], grid.seeds
        return join_results(datasets, labels)

    study = Study(
        [cell for answer in answers for cell in answer.cells],
        run_cell,
        join,
        {name: file for m in models if m.checkpoint for name, file in m.checkpoint.files.items()},
    )
    data = study.execute(store, pool, finished=partial(progress, "cells"))
    data = _described(data, models)
    save_netcdf(data, out / "sweep.nc")
    keep_tracebacks(out / "tracebacks.txt", reasons)
    return Sweep(data, sentences(reasons))


def _trained(
    models: Sequence[PlannedModel], folder: Path, pool: Pool, progress: Progress
) -> tuple[list[PlannedModel], Reasons]:
    """Models whose training is done, after training; and why others' training failed."""
    cells = {m.training.key: m.training for m in models if m.training is not None}
    store = TrainingStore(folder, cells)
    work = train_elsewhere if pool.is_remote else partial(train_here, store=store)
    study = Study(list(cells.values()), work, lambda results: results)
    finished = partial(progress, "trainings") if cells else lambda done, total: None
    checkpoints = study.execute(store, pool, finished=finished)
    ready, reasons = [], []
    for model in models:
        checkpoint = model.training and checkpoints[model.training]
        if isinstance(checkpoint, Failure):
            reasons.append((f"training of {model.label}", checkpoint))
        else:
            ready.append(replace(model, checkpoint=checkpoint) if checkpoint else model)
    return ready, reasons


def _answers(grid: Grid, models: Sequence[PlannedModel]) -> Iterator[_Answer]:
    """Model by model, so that workers load each as seldom as can be."""
    for model in models:
        assert model.checkpoint is not None
        for task_label, task in model.tasks.items():
            for seed in grid.seeds:
                for label, analysis in grid.analyses.items():
                    cells = tuple(
                        AnalysisCell(model.checkpoint, task, seed, analysis, part)
                        for part in range(analysis.n_parts)
                    )
                    yield _Answer((model.label, task_label, seed), label, analysis, task, cells)


def _described(data: xarray.Dataset, models: Sequence[PlannedModel]) -> xarray.Dataset:
    """With what every model and task is, and what made the numbers."""
    by_label = {model.label: model for model in models}
    known = [by_label.get(label) for label in data.model.values]
    checkpoints = [model.checkpoint if model else None for model in known]
    tasks = [
        [json.dumps(model.tasks[label].describe()) if model else "" for label in data.task.values]
        for model in known
    ]
    return data.assign_coords(
        checkpoint=("model", [item.source if item else "" for item in checkpoints]),
        digest=("model", [item.digest if item else "" for item in checkpoints]),
        task_description=(("model", "task"), tasks),
    ).assign_attrs(format=FORMAT, versions=json.dumps(library_versions()))
