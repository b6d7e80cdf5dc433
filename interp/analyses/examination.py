"""What a match looks at: a model's scores, its control's, and the verdict on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hooks.activation_files import ActivationFile, check_answers_hidden
from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from hooks.randomised_twin import randomised_twin
from hooks.sites import Site
from interp.analyses.comparisons import default_comparisons, fit_parameters, own_parameters
from interp.analyses.match_settings import (
    DEFAULT_KINDS,
    N_GROUPS,
    MatchSettings,
    affordable,
    budget_of,
)
from interp.analyses.views import shown_kinds
from interp.points import points_to_read
from interp.scoring.direct_targets import TARGETS
from interp.scoring.evaluation import evaluate
from interp.scoring.readouts import fit_readouts
from interp.scoring.scores import COMPARED, Matching, Scores
from interp.scoring.stream import Progress, SavedActivations, silent
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from probes.candidate import Candidate
from probes.similarity import Convention
from probes.uncertainty.bootstrap import bootstrap_weights
from probes.verdict import LayerScores, Verdict, best_read_target, judge

N_REPLICATES = 200
N_CONTROL_PROMPTS = 512


@dataclass(frozen=True)
class Examination:
    """Scores and verdict, before they are put into tables."""

    source: SequenceModel | SavedActivations
    task: Task
    settings: MatchSettings
    seeds: Sequence[int]
    sites: Sequence[Site]
    comparisons: tuple[Candidate, ...]
    scores: Scores
    twin_scores: Scores | None
    verdict: Verdict
    points: Sequence[int]
    """Those that were read."""
    fitted: Mapping[str, Mapping[str, float]]
    """Parameters of references that were fitted to the layers."""


def verdict_on(
    model: SequenceModel, settings: MatchSettings, without: Sequence[str] = ()
) -> Verdict:
    """The verdict of `match` on what a model was trained on, without its tables.

    Families of references in `without` are left out, as if nobody had thought of them.
    """
    return examine(
        model, None, settings, None, silent, is_verdict_only=True, without=without
    ).verdict


def examine(
    model: SequenceModel | ActivationFile,
    task: Task | None,
    settings: MatchSettings,
    parameters: Mapping[str, Mapping[str, Any]] | None,
    progress: Progress,
    *,
    is_verdict_only: bool = False,
    without: Sequence[str] = (),
) -> Examination:
    """Scores a model and its control, and judges them; see `interp.analyses.match.match`.

    With `is_verdict_only`, what the verdict does not need is left out; families of references in
    `without` are left out in any case.
    """
    seeds = [int(s) for s in np.random.SeedSequence(settings.seed).generate_state(5)]
    source: SequenceModel | SavedActivations
    if isinstance(model, ActivationFile):
        if task is not None:
            raise ValueError("task must be None for saved activations, which have their prompts")
        settings = replace(settings, n_prompts=affordable(model, settings.n_prompts))
        budget = budget_of(settings.n_prompts)
        seeds[:3] = 0, budget.n_fit, budget.n_fit + budget.n_held_out
        source = SavedActivations(model)
        task = source.task
    else:
        source, task = model_and_task(model, task, settings.points)
    points = points_to_read(settings.points, task.n_points, model.first_point)
    if isinstance(model, ActivationFile):
        check_answers_hidden(model, points)
    usual = tuple(kind for kind in DEFAULT_KINDS if kind in source.site_kinds)
    kinds = settings.site_kinds or usual or source.site_kinds[:1]
    kinds = shown_kinds(kinds, settings.show, source.site_kinds)
    settings = replace(settings, site_kinds=kinds)
    sites = [site for kind in kinds for site in source.sites(kind)]
    known = own_parameters(model) if isinstance(model, SequenceModel) else {}
    chosen, fitted = fit_parameters(source, task, known | dict(parameters or {}), seeds[0], points)
    every = default_comparisons(task, chosen)
    comparisons = tuple(item for item in every if item.family not in without)
    judged: tuple[tuple[Matching, Convention], ...] = ((settings.readout, "paper"),)
    run = _Run(
        task,
        comparisons,
        settings.final_norm,
        seeds,
        progress,
        settings.batch_size,
        points,
        compared=judged if is_verdict_only else COMPARED,
        by_point=not is_verdict_only,
    )
    scores = run.scores(source, sites, settings.n_prompts)
    judged_scores = _layer_scores(scores, sites, settings.readout)
    twin = _twin(model, seeds[4]) if isinstance(model, SequenceModel) else None
    first_kind = [site for site in sites if site.kind == sites[0].kind]
    twin_scores = None
    if twin is not None:
        n_prompts = min(settings.n_prompts, N_CONTROL_PROMPTS)
        read = best_read_target(judged_scores, comparisons)
        twin_run = replace(
            run,
            progress=silent,
            compared=() if is_verdict_only else judged,
            by_point=False,
            keeps_sample=False,
            targets=("prediction", read),
        )
        twin_scores = twin_run.scores(twin, first_kind, n_prompts)
    verdict = judge(
        judged_scores,
        comparisons,
        readout=settings.readout,
        control=None if twin_scores is None else twin_scores.direct,
        without=without,
    )
    return Examination(
        source,
        task,
        settings,
        seeds,
        sites,
        comparisons,
        scores,
        twin_scores,
        verdict,
        points,
        fitted,
    )


@dataclass(frozen=True)
class _Run:
    """Everything but the model that decides its scores."""

    task: Task
    comparisons: tuple[Candidate, ...]
    final_norm: FinalNorm
    seeds: Sequence[int]
    progress: Progress
    batch_size: int | None = None
    points: Sequence[int] | None = None
    compared: Sequence[tuple[Matching, Convention]] = COMPARED
    by_point: bool = True
    keeps_sample: bool = True
    targets: Sequence[str] = tuple(TARGETS)

    def scores(
        self, model: SequenceModel | SavedActivations, sites: Sequence[Site], n_prompts: int
    ) -> Scores:
        budget = budget_of(n_prompts)
        common: dict[str, Any] = {"final_norm": self.final_norm, "progress": self.progress}
        common |= {"batch_size": self.batch_size, "points": self.points}
        fit_seeds = (self.seeds[0], self.seeds[1])
        readouts = fit_readouts(
            model,
            self.task,
            sites,
            self.comparisons,
            budget,
            fit_seeds,
            targets=self.targets,
            **common,
        )
        return evaluate(
            model,
            self.task,
            sites,
            self.comparisons,
            readouts,
            budget,
            self.seeds[2],
            bootstrap_weights(N_GROUPS, N_REPLICATES, self.seeds[3], with_original=True),
            compared=self.compared,
            by_point=self.by_point,
            keeps_sample=self.keeps_sample,
            **common,
        )


def _twin(model: SequenceModel, seed: int) -> SequenceModel | None:
    """The random-initialised control, where the model's architecture can be built again."""
    try:
        return randomised_twin(model, seed).to(model.device)
    except ValueError:
        return None


def _layer_scores(scores: Scores, sites: Sequence[Site], readout: Matching) -> LayerScores:
    """The scores at sites of the first kind.

    Args:
        scores: The model's.
        sites: Its sites, those of the first kind first.
        readout: Whether similarities are those with matched or raw iterates.
    """
    chosen = [index for index, site in enumerate(sites) if site.kind == sites[0].kind]
    return LayerScores(
        layers=[sites[index].layer for index in chosen],
        similarity={
            name: table[:, chosen]
            for (name, treatment, convention), table in scores.similarity.items()
            if (treatment, convention) == (readout, "paper")
        },
        direct={key: table[:, chosen] for key, table in scores.direct.items()},
        error=scores.layer_error[0, chosen].mean(-1),
        change=scores.change[chosen],
        predictions=scores.sample.said[chosen],
        prefixes=scores.sample.prefixes,
    )
