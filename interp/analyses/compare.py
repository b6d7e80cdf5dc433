"""Several models side by side: which algorithm each runs, how fast, and which does it better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from hooks.foreign import unwrapped
from hooks.model import SequenceModel
from interp.analyses.assessment import Assessment, CompareSettings, assess
from interp.analyses.comparison_result import ModelComparison, make_comparison
from interp.points import check_points
from interp.progress import Progress, shows_progress, silent
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from interp.versions import command_line, library_versions
from interp.zoo.loading import load

Source = nn.Module | str | Path
"""A hooked model, compiled or not, or what `interp.load` takes."""


@shows_progress
def compare(
    models: Mapping[str, Source] | Sequence[Source],
    task: Task | None = None,
    settings: CompareSettings | None = None,
    *,
    n_jobs: int = 1,
    device: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> ModelComparison:
    """Verdicts, errors, similarities, forgetting and cost of models, side by side.

    Models of one task see the same prompts, and differences between them are taken prompt by
    prompt, with the same bootstrap draws.

    Args:
        models: Names, and the model of each: one in memory (attached ones too), a name that
            `interp zoo` lists, or a path. In a plain sequence, names and paths stand for
            themselves, and a model in memory is called as its checkpoint or its class.
        task: Where the prompts for all of them come from; by default, for each, the task it was
            trained on.
        settings: Options; further keyword arguments replace single ones of them.
        n_jobs: Processes at a time. With more than one, models are sent to the others.
        device: Where models that are loaded run, as for `interp.load`.
        progress: Called with a stage, what of it is done, and the total.
        **options: Fields of `CompareSettings`.

    Returns:
        Every number with its interval and each model's whole match; see `ModelComparison`.

    Raises:
        ValueError: No models, a name twice, a model that cannot be opened or does not fit the
            task, or an option out of range.
    """
    settings = replace(settings or CompareSettings(), **options)
    sources = _named(models)
    if n_jobs < 1:
        raise ValueError(f"n_jobs must be at least 1, got {n_jobs}")
    opened: dict[str, tuple[SequenceModel, Task]] = {}
    for done, (name, source) in enumerate(sources.items()):
        progress("opening models", done, len(sources))
        opened[name] = _open(name, source, task, device, settings)
    first_point = max(model.first_point for model, _ in opened.values())
    if settings.points is None and first_point:
        settings = replace(settings, points=f"{first_point}-")
    assessments = list(_assess_all(opened, settings, n_jobs, progress))
    return make_comparison(
        assessments,
        {
            "seed": settings.seed,
            "prompts": settings.n_whole_groups,
            "points": check_points(settings.points),
            "readout": settings.readout,
            "versions": library_versions(),
            "command": command_line(),
        },
    )


def _named(models: Mapping[str, Source] | Sequence[Source]) -> dict[str, Source]:
    if not isinstance(models, (Mapping, Sequence)) or isinstance(models, str):
        raise ValueError("models must be several, or one in a list: compare(['gpt2-d5'])")
    if not models:
        raise ValueError("models is empty; `interp zoo` lists what can be compared")
    if isinstance(models, Mapping):
        return dict(models)
    named: dict[str, Source] = {}
    for model in models:
        name = base = _name(model)
        if name in named and isinstance(model, (str, Path)):
            raise ValueError(f"models names {name} more than once")
        while name in named:
            name = f"{base} ({len(named) + 1})"
        named[name] = model
    return named


def _name(model: Source) -> str:
    """What a model without a name is called."""
    if isinstance(model, (str, Path)):
        return str(model)
    inner = unwrapped(model)
    return inner.name if isinstance(inner, SequenceModel) else type(inner).__name__


def _open(
    name: str,
    source: Source,
    task: Task | None,
    device: str | None,
    settings: CompareSettings,
) -> tuple[SequenceModel, Task]:
    """The model and the task that it is measured on.

    Raises:
        ValueError: There is no such model, it does not say what it was trained on, or it cannot
            take the task's prompts; the message names it.
    """
    model = load(source, device=device) if isinstance(source, (str, Path)) else source
    try:
        return model_and_task(model, task, settings.points)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def _assess_all(
    models: Mapping[str, tuple[SequenceModel, Task]],
    settings: CompareSettings,
    n_jobs: int,
    progress: Progress,
) -> Iterator[Assessment]:
    """One assessment after the other, in the order of the models."""
    n_jobs = min(n_jobs, len(models))
    if n_jobs == 1:
        for name, (model, task) in models.items():
            yield assess(name, model, task, settings, progress)
        return
    from joblib import Parallel, delayed, parallel_config  # for the speed of start-up

    # A model keeps one core busy; more threads in each worker would only get in each other's way.
    with parallel_config("loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator")
        jobs = (delayed(assess)(name, *parts, settings) for name, parts in models.items())
        progress("comparing models", 0, len(models))
        for done, assessment in enumerate(parallel(jobs), 1):
            progress("comparing models", done, len(models))
            yield assessment
