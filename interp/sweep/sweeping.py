"""Runs a grid, keeps every cell, and joins what there is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import xarray

from interp.jobs.failure import Failure, keep_tracebacks, sentences
from interp.jobs.pool import Pool
from interp.jobs.running import run_missing
from interp.results.netcdf import save_netcdf
from interp.sweep.analyses import Analysis
from interp.sweep.cell import Cell, run_cell
from interp.sweep.checkpoint import Checkpoint
from interp.sweep.dataset import join_results
from interp.sweep.grid import Grid
from interp.sweep.planning import PlannedModel, plan_models
from interp.sweep.store import DatasetStore, hash_of
from interp.sweep.training import TrainingStore, train_elsewhere, train_here
from interp.tasks import Task
from interp.versions import library_versions

FORMAT = "icl-interp-sweep/1"

Progress = Callable[[str, int, int], None]
"""Told of a stage, how many of its cells are done, and of how many."""


@dataclass(frozen=True)
class Sweep:
    """What a grid gave."""

    data: xarray.Dataset
    """Every result by model, task and seed; see `interp.sweep.dataset`."""
    failures: tuple[str, ...]
    """What has no result and why, a sentence each."""


@dataclass(frozen=True)
class _Result:
    """One result of the dataset: where it belongs, and the cells it is joined from."""

    place: tuple[str, str, int]
    """Labels of model and task, and the seed."""
    label: str
    analysis: Analysis
    task: Task
    cells: tuple[Cell, ...]

    def __str__(self) -> str:
        model, task, seed = self.place
        return f"{self.label} of {model}, {task}, seed {seed}"


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
            them ask for is computed once.
        pool: Where cells run; by default in this process, one by one.
        progress: Told of every cell.

    Raises:
        ValueError: A checkpoint cannot be opened or a task does not fit it; nothing was run.
        OSError: The folder cannot be written, or the cluster not be reached. Cells that were done
            are kept.
    """
    out, pool = Path(out), pool or Pool()
    planned = plan_models(grid)
    models, reasons = _train(planned, out / "trainings", pool, progress)
    results = list(_results(grid, models))
    store = DatasetStore(out / "cells")
    failures = run_missing(
        [cell for result in results for cell in result.cells],
        run_cell,
        store,
        pool,
        files={n: f for m in models if m.checkpoint for n, f in m.checkpoint.files.items()},
        finished=partial(progress, "cells"),
    )
    progress("joining results", 0, 1)
    datasets: dict[str, dict[tuple[str, str, int], xarray.Dataset]] = {}
    for result in results:
        found = _joined(result, store, failures)
        if isinstance(found, Failure):
            reasons.append((str(result), found))
        else:
            datasets.setdefault(result.label, {})[result.place] = found
    data = join_results(
        datasets, ([m.label for m in planned], [t.label for t in grid.tasks], grid.seeds)
    )
    data = _described(data, models)
    save_netcdf(data, out / "sweep.nc")
    keep_tracebacks(out / "tracebacks.txt", reasons)
    return Sweep(data, sentences(reasons))


def _train(
    models: Sequence[PlannedModel], folder: Path, pool: Pool, progress: Progress
) -> tuple[list[PlannedModel], list[tuple[str, Failure]]]:
    """Trains what is not trained yet; models whose training failed are left out."""
    cells = {m.training.key: m.training for m in models if m.training is not None}
    store = TrainingStore(folder, cells)
    failures = {}
    if cells:
        work = train_elsewhere if pool.is_remote else partial(train_here, store=store)
        finished = partial(progress, "trainings")
        failures = run_missing(list(cells.values()), work, store, pool, finished=finished)
    ready, reasons = [], []
    for model in models:
        if model.training is None:
            ready.append(model)
        elif model.training.key in failures:
            reasons.append((f"training of {model.label}", failures[model.training.key]))
        else:
            checkpoint = Checkpoint.of(str(store.path(model.training.key)))
            ready.append(replace(model, checkpoint=checkpoint))
    return ready, reasons


def _results(grid: Grid, models: Sequence[PlannedModel]) -> Iterator[_Result]:
    """Model by model, so that workers load each as seldom as can be."""
    for model in models:
        assert model.checkpoint is not None
        for task_label, task in model.tasks.items():
            for seed in grid.seeds:
                for label, analysis in grid.analyses.items():
                    cells = tuple(
                        Cell(model.checkpoint, task, seed, analysis, part)
                        for part in range(analysis.n_parts)
                    )
                    yield _Result((model.label, task_label, seed), label, analysis, task, cells)


def _joined(
    result: _Result, store: DatasetStore, failures: Mapping[str, Failure]
) -> xarray.Dataset | Failure:
    for cell in result.cells:
        if cell.key in failures:
            return failures[cell.key]
    if len(result.cells) == 1:
        return store.read(result.cells[0].key)
    key = hash_of("joined cells", {"cells": [cell.key for cell in result.cells]})
    if key not in store:
        parts = (store.read(cell.key) for cell in result.cells)
        store.put(key, result.analysis.join(parts, result.task))
    return store.read(key)


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
