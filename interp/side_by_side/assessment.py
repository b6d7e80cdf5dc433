"""Everything that is measured about one model by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from hooks.model import SequenceModel
from interp.analyses.match import match
from interp.results.result import MatchResult
from interp.scoring.stream import Progress
from interp.side_by_side.conditioning import ill_conditioned
from interp.side_by_side.cost import count_parameters, milliseconds_per_prompt
from interp.side_by_side.forgetting import recall
from interp.side_by_side.settings import CompareSettings
from interp.side_by_side.yardstick import OutputScores, yardstick
from interp.tasks import Task
from interp.tasks.compatibility import check_fit, task_of
from interp.zoo.loading import load

Source = SequenceModel | str | Path
"""A model, or what `interp.load` takes."""


@dataclass(frozen=True)
class Assessment:
    """One model's part of a comparison."""

    name: str
    task: Task
    match: MatchResult
    outputs: OutputScores
    gaps: Int[Tensor, " gap"]
    n_examples: int
    """Before an example is asked again."""
    forgetting: Float[Tensor, "group gap"]
    reference_forgetting: Mapping[str, Float[Tensor, "group gap"]]
    kappas: tuple[float, ...]
    """Condition numbers of further prompts, none where the task has no such thing."""
    kappa_error: Float[Tensor, "group kappa"]
    """Squared error / n_dims on them."""
    kappa_baseline_error: Float[Tensor, "group kappa"]
    n_parameters: int
    milliseconds_per_prompt: float


def open_model(name: str, source: Source, task: Task | None) -> tuple[SequenceModel, Task]:
    """The model and the task that it is measured on.

    Raises:
        ValueError: There is no such model, it does not say what it was trained on, or it cannot
            take the task's prompts; the message names it.
    """
    model = source if isinstance(source, SequenceModel) else load(source)
    try:
        chosen = task or task_of(model)
        check_fit(model, chosen)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return model, chosen


def assess(
    name: str,
    source: Source,
    task: Task | None,
    settings: CompareSettings,
    progress: Progress = lambda stage, done, total: None,
) -> Assessment:
    """Measures one model; models of the same task see the same prompts.

    Raises:
        ValueError: The model cannot be measured, or gives NaN or infinity; the message names it.
    """
    model, task = open_model(name, source, task)
    kinds = tuple(kind for kind in ("resid_post",) if kind in model.site_kinds)
    seeds = [int(s) for s in np.random.SeedSequence(settings.seed).generate_state(8)[5:]]
    try:
        found = match(
            model,
            task,
            settings.for_match(kinds),
            progress=lambda stage, done, total: progress(f"{name}: {stage}", done, total),
        )
        progress(f"{name}: predictions", 0, 1)
        prompts = yardstick(task, settings.n_whole_groups, seeds[0])
        asked_again = recall(task, seeds[1])
        harder = ill_conditioned(task, seeds[2])
        return Assessment(
            name=name,
            task=task,
            match=found,
            outputs=prompts.measure(model),
            gaps=asked_again.gaps,
            n_examples=asked_again.n_examples,
            forgetting=asked_again.of_model(model),
            reference_forgetting=asked_again.of_references(),
            kappas=harder.kappas,
            kappa_error=harder.of_model(model),
            kappa_baseline_error=harder.baseline_error,
            n_parameters=count_parameters(model),
            milliseconds_per_prompt=milliseconds_per_prompt(model, prompts.xs, prompts.ys),
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
