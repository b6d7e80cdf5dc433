"""Which algorithm does each of several models run, how fast, and which does it better?"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hooks.model import SequenceModel
from interp.scoring.stream import Progress
from interp.side_by_side.assessment import Assessment, Source, assess, open_model
from interp.side_by_side.result import ModelComparison
from interp.side_by_side.settings import CompareSettings
from interp.side_by_side.summary import make_comparison
from interp.tasks import Task
from interp.versions import library_versions


def compare(
    models: Mapping[str, Source] | Sequence[str | Path],
    task: Task | None = None,
    settings: CompareSettings | None = None,
    *,
    n_jobs: int = 1,
    progress: Progress = lambda stage, done, total: None,
    **options: Any,
) -> ModelComparison:
    """Puts models beside each other: verdicts, errors, similarities, forgetting and cost.

    Models of one task see the same prompts, and differences between them are taken prompt by
    prompt, with the same bootstrap draws.

    Args:
        models: What to call each model, and the model: one in memory (attached ones too), a name
            that `interp zoo` lists, or a path. A plain sequence of names and paths will do.
        task: Where the prompts for all of them come from; by default, for each, the task it was
            trained on.
        settings: Options; further keyword arguments replace single ones of them.
        n_jobs: Processes at a time. With more than one, models in memory are sent to the others.
        progress: Told what is done.
        **options: Fields of `CompareSettings`.

    Returns:
        Every number with its interval, each model's whole match, tables and pictures.

    Raises:
        ValueError: No models, a name twice, a model that cannot be opened or does not fit the
            task, or an option out of range.
    """
    settings = replace(settings or CompareSettings(), **options)
    sources = _named(models)
    if n_jobs < 1:
        raise ValueError(f"n_jobs must be at least 1, got {n_jobs}")
    for done, (name, source) in enumerate(sources.items()):
        progress("opening models", done, len(sources))
        open_model(name, source, task)
    assessments = list(_assess_all(sources, task, settings, n_jobs, progress))
    is_command = Path(sys.argv[0]).name == "interp"
    return make_comparison(
        assessments,
        {
            "seed": settings.seed,
            "prompts": settings.n_whole_groups,
            "readout": settings.readout,
            "versions": library_versions(),
            "command": shlex.join(["interp", *sys.argv[1:]]) if is_command else None,
        },
    )


def _named(models: Mapping[str, Source] | Sequence[str | Path]) -> dict[str, Source]:
    if isinstance(models, (str, Path, SequenceModel)):
        raise ValueError("models must be several, or one in a list: compare(['gpt2-d5'])")
    if not models:
        raise ValueError("models is empty; `interp zoo` lists what can be compared")
    if isinstance(models, Mapping):
        return dict(models)
    names = [str(model) for model in models]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"models names {', '.join(repeated)} more than once")
    return dict(zip(names, models, strict=True))


def _assess_all(
    sources: Mapping[str, Source],
    task: Task | None,
    settings: CompareSettings,
    n_jobs: int,
    progress: Progress,
) -> Iterator[Assessment]:
    """One assessment after the other, in the order of the models."""
    n_jobs = min(n_jobs, len(sources))
    if n_jobs == 1:
        for name, source in sources.items():
            yield assess(name, source, task, settings, progress)
        return
    from joblib import Parallel, delayed, parallel_config

    # A model keeps one core busy; more threads in each worker would only get in each other's way.
    with parallel_config("loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator")
        jobs = (delayed(assess)(name, source, task, settings) for name, source in sources.items())
        progress("comparing models", 0, len(sources))
        for done, assessment in enumerate(parallel(jobs), 1):
            progress("comparing models", done, len(sources))
            yield assessment
