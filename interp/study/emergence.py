"""When an algorithm appears: every checkpoint of a training, analysed and put side by side."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import xarray

from hooks.model import SequenceModel
from interp.analyses.anatomy import LEAST_PROMPTS
from interp.jobs.outcome import Failure, keep_tracebacks, outcome_of, sentences
from interp.jobs.pool import Pool
from interp.progress import Progress, shows_progress, silent
from interp.study.analyses import AnatomyAnalysis, MatchAnalysis, anatomy_point
from interp.study.analysis import Analysis, AnalysisCell, run_cell
from interp.study.change_points import change_points, last_reference
from interp.study.checkpoint import Checkpoint
from interp.study.errors import ErrorAnalysis
from interp.study.pool import PoolAnalysis
from interp.study.run import Results, Study
from interp.study.snapshots import Models, find_snapshots, open_snapshot
from interp.study.store import Store
from interp.study.table import join_results
from interp.tasks import LinearRegression, Task
from interp.tasks.compatibility import check_fit, task_of
from interp.versions import library_versions

FORMAT = "icl-interp-emergence/1"

Reasons = list[tuple[str, Failure]]


@shows_progress
def emerge(
    models: Models,
    task: Task | None = None,
    *,
    n_prompts: int = 512,
    seed: int = 0,
    anatomy: bool = False,
    out: str | Path | None = None,
    pool: Pool | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> xarray.Dataset:
    """Says of every checkpoint of a training how well it predicts and which algorithm it runs.

    Args:
        models: The folder of a training with its checkpoints, or checkpoints (paths, names, models
            in memory) by training step. Steps come from names, such as `step_8.safetensors` in
            `snapshots/`, `model_8.pt`, `checkpoint-8/` or `epoch=1-step=8.ckpt`, else from what
            checkpoints say of themselves.
        task: Where prompts come from; by default what the last model was trained on.
        n_prompts: To evaluate every checkpoint on.
        seed: Of the prompts, which are the same for every checkpoint.
        anatomy: Whether to take layers apart too; see `interp.anatomy`. It takes longer.
        out: Folder whose `cells/` keep what is done, so that the next call goes on from there; by
            default nothing is kept.
        pool: Where checkpoints are analysed; by default in this process, one by one.
        device: Where checkpoints run, as for `interp.match`; in place of the pool's.
        progress: Called after every piece of work.

    Returns:
        By `step`: `error_mean`, `error_baseline` and `error_excess` (squared errors / n_dims over
        all points), `match_answer`, `match_verdict` and `match_steps_per_layer`; with `layer`
        `match_layer_error`; with `reference` and `layer` `match_best_step` and
        `match_best_similarity` (SimE); `anatomy_share`, `anatomy_ceiling` and
        `anatomy_resolved_eigenvalue` if asked for; and `zero_error`, that of predicting 0. On a
        task with a pool of weight vectors `pool_…` say what was learnt of it, see
        `interp.study.pool`. By `change` the change points, see `interp.study.change_points`.
        Attribute `without_result` is a JSON list of what has no result, and why.

    Raises:
        ValueError: There are no checkpoints, none can be read, two are of one step, they are of
            different sizes, or the task does not fit.
        OSError: The folder cannot be written, or the cluster not be reached.
    """
    pool = pool or Pool()
    if device is not None:
        pool = replace(pool, device=device)
    reasons: Reasons = []
    checkpoints, task = _open(models, task, reasons, progress)
    analyses: dict[str, Analysis] = {
        "error": ErrorAnalysis(n_prompts),
        "match": MatchAnalysis(n_prompts),
    }
    if anatomy:
        analyses["anatomy"] = AnatomyAnalysis(max(n_prompts, LEAST_PROMPTS))
    if isinstance(task, LinearRegression) and task.n_tasks:
        analyses["pool"] = PoolAnalysis(n_prompts)
    cells = {
        (label, step): AnalysisCell(checkpoint, task, seed, analysis)
        for step, checkpoint in checkpoints.items()
        for label, analysis in analyses.items()
    }

    def join(results: Results[AnalysisCell, xarray.Dataset]) -> xarray.Dataset:
        found: dict[str, dict[tuple[str, str, int], xarray.Dataset]] = {}
        for (label, step), cell in cells.items():
            one = results[cell]
            if isinstance(one, Failure):
                reasons.append((f"{label} of step {step}", one))
            else:
                found.setdefault(label, {})[str(step), task.name, seed] = one
        labels = [str(step) for step in checkpoints], [task.name], [seed]
        return join_results(found, labels).isel(task=0, seed=0, drop=True)

    files = {name: file for one in checkpoints.values() for name, file in one.files.items()}
    study = Study(list(cells.values()), run_cell, join, files)
    with tempfile.TemporaryDirectory() as temporary:
        store = Store(Path(out or temporary) / "cells", xarray.Dataset)
        data = study.execute(store, pool, finished=partial(progress, "analyses"))
    if out is not None:
        keep_tracebacks(Path(out) / "tracebacks.txt", reasons)
    if "error_mean" not in data or "match_answer" not in data:
        raise ValueError(f"no checkpoint has a result; {'; '.join(sentences(reasons[:1]))}")
    data = data.rename(model="step").assign_coords(step=list(checkpoints))
    is_least_squares = isinstance(task, LinearRegression) and not (task.noise_std or task.n_tasks)
    data = data.assign(zero_error=_zero_error(task, n_prompts, seed))
    data = data.merge(change_points(data), combine_attrs="override")
    return data.assign_attrs(
        format=FORMAT,
        reference=last_reference(data),
        examples=anatomy_point(task),
        task=json.dumps(task.describe()),
        baseline="least squares" if is_least_squares else "best predictor known",
        n_prompts=n_prompts,
        seed=seed,
        without_result=json.dumps(sentences(reasons)),
        versions=json.dumps(library_versions()),
    )


def _open(
    models: Models, task: Task | None, reasons: Reasons, progress: Progress
) -> tuple[dict[int, Checkpoint], Task]:
    """Checkpoints that can be read, by step, and a task: by default that of the last of them."""
    found = find_snapshots(models)
    sizes: dict[int, dict[str, Any]] = {}
    checkpoints: dict[int, Checkpoint] = {}
    last: SequenceModel | None = None
    for index, (named, source) in enumerate(found):
        progress("opening checkpoints", index, len(found))
        where = str(source) if named is None else f"step {named}"
        _, opened = outcome_of(index, open_snapshot, source)
        if isinstance(opened, Failure):
            reasons.append((where, opened))
            continue
        checkpoint, model = opened
        step = model.provenance.get("step") if named is None else named
        if step is None:
            reasons.append((where, Failure("neither its name nor its metadata has a step")))
            continue
        if step in checkpoints:
            names = (Path(one.source).name for one in (checkpoints[step], checkpoint))
            raise ValueError(f"{' and '.join(names)} are both of step {step}; keep one of them")
        checkpoints[step] = checkpoint
        n_weights = sum(one.numel() for one in model.parameters())
        sizes[step] = {
            "architecture": type(model).__name__,
            **model.describe(),
            "weights": n_weights,
        }
        last = model if step == max(checkpoints) else last
    if last is None:
        raise ValueError(f"no checkpoint can be used; {'; '.join(sentences(reasons[:1]))}")
    first, *others = sorted(sizes)
    for step in others:
        if changed := [key for key in sizes[step] if sizes[step][key] != sizes[first].get(key)]:
            differ = (
                f"step {one} has "
                + " and ".join(f"{key} = {sizes[one].get(key)}" for key in changed)
                for one in (first, step)
            )
            raise ValueError(f"checkpoints must be of one training: {', '.join(differ)}")
    task = task or task_of(last)
    check_fit(last, task)
    return dict(sorted(checkpoints.items())), task


def _zero_error(task: Task, n_prompts: int, seed: int) -> float:
    """Mean squared y / n_dims on the prompts of every checkpoint."""
    ys = torch.cat([prompts.ys for prompts in task.stream(n_prompts, seed=seed)])
    return ys.double().square().mean().item() / task.n_dims
