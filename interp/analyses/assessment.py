"""Everything that is measured about one model of a comparison."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.inference import inference, on_device_of, predict
from hooks.model import SequenceModel
from interp.analyses.benchmark_prompts import (
    N_GROUPS,
    REMEMBERING,
    ill_conditioned,
    recall,
    task_prompts,
)
from interp.analyses.match import match
from interp.analyses.match_settings import MatchSettings
from interp.points import points_to_read
from interp.results.result import MatchResult
from interp.scoring.stream import Progress
from interp.tasks import Task

N_TIMED_PROMPTS = 64
N_PASSES = 9
SECONDS = 0.5
"""No further pass is timed once this much time has been spent."""


@dataclass(frozen=True)
class CompareSettings:
    """Options of `compare`, with the defaults of the command line."""

    n_prompts: int = 1024
    """Prompts to evaluate every model on, a quarter of what `match` takes for one; as many more
    are used to fit read-outs. Rounded up to a multiple of `N_GROUPS`."""
    seed: int = 0
    """Of all prompts, which models of one task share."""
    readout: Literal["matched", "raw"] = "matched"
    """See `interp.analyses.match_settings.MatchSettings`."""
    batch_size: int | None = None
    """The same."""
    points: Sequence[int] | str | None = None
    """The same; errors and similarities of predictions are of these points too. By default all that
    every one of the models can be read at."""

    def __post_init__(self) -> None:
        self.for_match(())

    def for_match(self, site_kinds: tuple[str, ...]) -> MatchSettings:
        """The same options for `match`.

        Raises:
            ValueError: One of them is out of range.
        """
        return MatchSettings(
            site_kinds=site_kinds or None,
            readout=self.readout,
            n_prompts=self.n_prompts,
            seed=self.seed,
            batch_size=self.batch_size,
            points=self.points,
        )

    @property
    def n_whole_groups(self) -> int:
        """`n_prompts` rounded up to a multiple of `N_GROUPS`."""
        return -(-self.n_prompts // N_GROUPS) * N_GROUPS


@dataclass(frozen=True)
class Assessment:
    """One model's part of a comparison."""

    name: str
    task: Task
    match: MatchResult
    scores: xarray.Dataset
    """Of its own predictions, by `group` of prompts: `error`, `baseline_error` (by `point`),
    `similarity_<reference>` (by `step_<reference>`, whose attribute says how steps are spaced),
    `forgetting` (by `gap_index`), `kappa_error` and `kappa_baseline_error` (by `kappa_index`); and
    `zero_error`, of predicting 0, `gap`, `n_examples`, `reference_forgetting`, `kappa`,
    `n_parameters`, `milliseconds_per_prompt`. Errors are squared / n_dims."""


def assess(
    name: str,
    model: SequenceModel,
    task: Task,
    settings: CompareSettings,
    progress: Progress = lambda stage, done, total: None,
) -> Assessment:
    """Everything that is measured about one model; models of the same task see the same prompts.

    Raises:
        ValueError: The model cannot be measured, or gives NaN or infinity; the message names it.
    """
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
        return Assessment(name, task, found, _scores(model, task, settings, seeds))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _scores(
    model: SequenceModel, task: Task, settings: CompareSettings, seeds: Sequence[int]
) -> xarray.Dataset:
    """What `Assessment.scores` holds."""
    points = tuple(points_to_read(settings.points, task.n_points, model.first_point))
    prompts = task_prompts(task, settings.n_whole_groups, seeds[0], points)
    repeated, harder = recall(task, seeds[1]), ill_conditioned(task, seeds[2], points)
    predictions = predict(model, prompts.xs, prompts.ys)
    remembered = repeated.of_references()
    similarity = {
        f"similarity_{name}": (("group", f"step_{name}"), table.numpy())
        for name, table in prompts.similarity(predictions).items()
    }
    grids = {
        f"step_{name}": (f"step_{name}", list(item.grid.steps), {"spacing": item.grid.spacing})
        for name, item in prompts.candidates.items()
    }
    return xarray.Dataset(
        {
            "error": (("group", "point"), prompts.error(predictions).numpy()),
            "baseline_error": (("group", "point"), prompts.baseline_error.numpy()),
            "zero_error": prompts.error(torch.zeros_like(prompts.ys)).mean().item(),
            **similarity,
            "gap": ("gap_index", repeated.gaps.double().numpy()),
            "n_examples": repeated.n_examples,
            "forgetting": (("group", "gap_index"), repeated.of_model(model).numpy()),
            "reference_forgetting": (
                ("remembering", "gap_index"),
                np.stack([remembered[key].mean(0).numpy() for key in REMEMBERING]),
            ),
            "kappa": ("kappa_index", np.array(harder.kappas, dtype=float)),
            "kappa_error": (("group", "kappa_index"), harder.of_model(model).numpy()),
            "kappa_baseline_error": (("group", "kappa_index"), harder.baseline_error.numpy()),
            "n_parameters": count_parameters(model),
            "milliseconds_per_prompt": milliseconds_per_prompt(model, prompts.xs, prompts.ys),
        },
        {"remembering": list(REMEMBERING), "point": list(points), **grids},
    )


def count_parameters(model: SequenceModel) -> int:
    """Numbers that training can set; weights that layers share count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def milliseconds_per_prompt(
    model: SequenceModel,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
) -> float:
    """Median time of forward passes over the first `N_TIMED_PROMPTS` prompts, per prompt.

    It is the wall time of this machine, as busy as it happens to be: good for an order of
    magnitude. The first pass is not counted.
    """
    xs, ys = (on_device_of(model, part[:N_TIMED_PROMPTS]) for part in (xs, ys))
    seconds: list[float] = []
    with inference(model):
        model(xs, ys)
        while len(seconds) < N_PASSES and sum(seconds) < SECONDS:
            start = time.perf_counter()
            model(xs, ys).sum().item()  # waits for an accelerator
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds) / len(xs)
