"""Which algorithm do a model's layers run?"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.activation_files import ActivationFile
from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from hooks.randomised_twin import randomised_twin
from hooks.sites import Site
from interp.analyses.comparisons import Comparison, default_comparisons, own_parameters
from interp.analyses.convergence import N_PROMPTS as N_ORDER_PROMPTS
from interp.analyses.convergence import measure_order
from interp.analyses.evaluation import evaluate
from interp.analyses.fitting import Progress, PromptBudget, fit_readouts
from interp.analyses.judging import DEAD, judge
from interp.analyses.saved_activations import SavedActivations
from interp.analyses.scores import Scores
from interp.analyses.selectivity import error_selectivity, reference_selectivity
from interp.analyses.tables import control_table, layer_table, reference_table
from interp.analyses.task_fit import check_fit, task_of
from interp.analyses.uniqueness import Rivals, disagreement_variables, unique_variables
from interp.analyses.views import choose_views, compute_views, parse_show, shown_kinds
from interp.calibration.rates import quoted_error_rate
from interp.result import MatchResult, make_result
from interp.tasks import Task
from interp.versions import library_versions
from probes.controls.bootstrap import bootstrap_weights
from probes.verdict import Verdict

DEFAULT_KINDS = ("resid_post", "attn_out")
N_REPLICATES = 200
N_GROUPS = 128
N_CONTROL_PROMPTS = 512
MAX_PREDICTION_PROMPTS = 2048
MAX_VECTOR_PROMPTS = 512


@dataclass(frozen=True)
class MatchSettings:
    """Options of `match`, with the defaults of the command line."""

    site_kinds: tuple[str, ...] | None = None
    """Kinds of site to read, the verdict being about the first; by default those of
    `DEFAULT_KINDS` that the model has."""
    readout: Literal["matched", "raw"] = "matched"
    """Whether references get a read-out of their own (see `interp.analyses.evaluation`)."""
    n_prompts: int = 4096
    """Prompts to evaluate on; as many more are used to fit read-outs."""
    seed: int = 0
    final_norm: FinalNorm = "official"
    """See `hooks.capture`."""
    show: str | tuple[str, ...] = ()
    """Costlier views to add, names of `interp.analyses.views.VIEWS`, "sites" or "all"."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "show", parse_show(self.show))
        if self.n_prompts < 128:
            raise ValueError(f"n_prompts must be at least 128, got {self.n_prompts}")
        if self.readout not in ("matched", "raw"):
            raise ValueError(f"readout must be 'matched' or 'raw', got {self.readout!r}")
        if self.site_kinds is not None and not self.site_kinds:
            raise ValueError("site_kinds must name at least one kind, for example resid_post")


def match(
    model: SequenceModel | ActivationFile,
    task: Task | None = None,
    settings: MatchSettings | None = None,
    *,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress = lambda stage, done, total: None,
    **options: Any,
) -> MatchResult:
    """Compares every layer of a model with reference algorithms and says which one it runs.

    Args:
        model: Any hooked model: from `interp.load`, trained here, or attached; or activations that
            somebody saved, from `hooks.open_activations`.
        task: Where prompts come from; by default what the model was trained on. Saved activations
            come with their prompts.
        settings: Options; further keyword arguments replace single ones of them.
        parameters: Parameters of references, see `interp.analyses.comparisons`; those that a model
            was built with are known.
        progress: Told of every batch of prompts.
        **options: Fields of `MatchSettings`.

    Returns:
        Every score with its interval, controls, the verdict and the provenance.

    Raises:
        ValueError: The task does not fit the model, an option is out of range, or a file holds too
            few prompts.
    """
    settings = replace(settings or MatchSettings(), **options)
    views = choose_views(settings.show, model)
    seen = _examine(model, task, settings, parameters, progress)
    source, task, settings, seeds = seen.source, seen.task, seen.settings, seen.seeds
    sites, comparisons = seen.sites, seen.comparisons
    scores, twin_scores = seen.scores, seen.twin_scores
    first_kind = [site for site in sites if site.kind == sites[0].kind]
    verdict = seen.verdict
    treatment = f"{settings.readout}/paper"
    controls = {"shuffled targets": _control(scores.shuffled_error, None, scores, sites)}
    if twin_scores is not None:
        best = _best_prediction_r2(twin_scores, comparisons)
        controls["random weights"] = _control(
            twin_scores.layer_error, best, twin_scores, first_kind
        )
    layers = layer_table(scores, sites, task.n_dims)
    controls = {
        name: table.reindex(site=layers.site, layer=layers.layer)
        for name, table in controls.items()
    }
    tables = {
        item.name: reference_table(scores, item, sites, treatment, task.n_dims).assign(
            reference_selectivity(scores, twin_scores, item, sites, (settings.readout, "paper"))
        )
        for item in comparisons
    }
    rivals = Rivals.of(scores.sample, comparisons, tables, settings.readout, verdict.standing)
    for name, variables in unique_variables(rivals, sites).items():
        tables[name] = tables[name].assign(variables)
    live = [
        site
        for site, change in zip(first_kind, scores.change[: len(first_kind)], strict=True)
        if change > DEAD
    ]
    order = measure_order(
        source,
        task,
        live,
        n_prompts=min(2 * N_ORDER_PROMPTS, settings.n_prompts),
        seed=seeds[2],
        final_norm=settings.final_norm,
    )
    layers = layers.assign(
        order.variables(settings.site_kinds or ())
        | error_selectivity(scores, sites)
        | disagreement_variables(rivals, layers)
    )
    result = make_result(
        layers,
        tables,
        controls,
        verdict,
        _provenance(source, task, settings),
    )
    if not isinstance(model, SequenceModel):
        return result
    return result.with_views(
        compute_views(views, model, task, comparisons, settings.seed, progress)
    )


@dataclass(frozen=True)
class _Examination:
    """Scores and verdict, before they are put into tables."""

    source: SequenceModel | SavedActivations
    task: Task
    settings: MatchSettings
    seeds: Sequence[int]
    sites: Sequence[Site]
    comparisons: tuple[Comparison, ...]
    scores: Scores
    twin_scores: Scores | None
    verdict: Verdict


def verdict_on(model: SequenceModel, settings: MatchSettings) -> Verdict:
    """The verdict of `match` on what a model was trained on, without its tables."""
    return _examine(model, None, settings, None, _silent, is_verdict_only=True).verdict


def _examine(
    model: SequenceModel | ActivationFile,
    task: Task | None,
    settings: MatchSettings,
    parameters: Mapping[str, Mapping[str, Any]] | None,
    progress: Progress,
    *,
    is_verdict_only: bool = False,
) -> _Examination:
    seeds = [int(s) for s in np.random.SeedSequence(settings.seed).generate_state(5)]
    source: SequenceModel | SavedActivations
    if isinstance(model, ActivationFile):
        if task is not None:
            raise ValueError("task must be None for saved activations, which have their prompts")
        settings = replace(settings, n_prompts=_affordable(model, settings.n_prompts))
        budget = _budget(settings.n_prompts)
        seeds[:3] = 0, budget.n_fit, budget.n_fit + budget.n_held_out
        source = SavedActivations(model)
        task = source.task
    else:
        source = model
        task = task or task_of(model)
        check_fit(model, task)
    usual = tuple(kind for kind in DEFAULT_KINDS if kind in source.site_kinds)
    kinds = settings.site_kinds or usual or source.site_kinds[:1]
    kinds = shown_kinds(kinds, settings.show, source.site_kinds)
    settings = replace(settings, site_kinds=kinds)
    sites = [site for kind in kinds for site in source.sites(kind)]
    known = own_parameters(model) if isinstance(model, SequenceModel) else {}
    comparisons = default_comparisons(task, known | dict(parameters or {}))
    run = _Run(task, comparisons, settings.final_norm, seeds, progress)
    scores = run.scores(source, sites, settings.n_prompts)
    twin = _twin(model, seeds[4]) if isinstance(model, SequenceModel) else None
    first_kind = [site for site in sites if site.kind == sites[0].kind]
    twin_scores = None
    if twin is not None:
        n_prompts = min(settings.n_prompts, N_CONTROL_PROMPTS)
        twin_run = replace(run, progress=_silent, is_direct_only=is_verdict_only)
        twin_scores = twin_run.scores(twin, first_kind, n_prompts)
    verdict = judge(scores, sites, comparisons, settings.readout, twin_scores)
    return _Examination(
        source,
        task,
        settings,
        seeds,
        sites,
        comparisons,
        scores,
        twin_scores,
        verdict.quoting(_error_rate(settings)),
    )


def _error_rate(settings: MatchSettings) -> str:
    if settings.readout != "matched":
        return "How often verdicts from raw read-outs are right is not known."
    return quoted_error_rate(settings.n_prompts)


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class _Run:
    """Everything but the model that decides its scores."""

    task: Task
    comparisons: tuple[Comparison, ...]
    final_norm: FinalNorm
    seeds: Sequence[int]
    progress: Progress
    is_direct_only: bool = False
    """Whether similarities of errors are left out, which a control is not judged by."""

    def scores(
        self, model: SequenceModel | SavedActivations, sites: Sequence[Site], n_prompts: int
    ) -> Scores:
        budget = _budget(n_prompts)
        common: dict[str, Any] = {"final_norm": self.final_norm, "progress": self.progress}
        fit_seeds = (self.seeds[0], self.seeds[1])
        readouts = fit_readouts(
            model, self.task, sites, self.comparisons, budget, fit_seeds, **common
        )
        compared = () if self.is_direct_only else self.comparisons
        evaluation = evaluate(
            model,
            self.task,
            sites,
            compared,
            readouts,
            budget,
            self.seeds[2],
            N_GROUPS,
            **common,
        )
        weights = bootstrap_weights(N_GROUPS, N_REPLICATES, self.seeds[3], with_original=True)
        return Scores.of(evaluation, compared, weights)


def _twin(model: SequenceModel, seed: int) -> SequenceModel | None:
    """The random-initialised control, where the model's architecture can be built again."""
    try:
        return randomised_twin(model, seed)
    except ValueError:
        return None


def _best_prediction_r2(
    scores: Scores, comparisons: Sequence[Comparison]
) -> Float[Tensor, " site"]:
    """The highest R^2 that any reference's prediction at any step reaches at each site."""
    tables = [scores.direct[item.name, "prediction"][0] for item in comparisons if item.has_steps]
    return torch.stack([table.amax(-1) for table in tables]).amax(0)


def _control(
    error: Float[Tensor, "replicate site point"],
    r2: Float[Tensor, " site"] | None,
    scores: Scores,
    sites: Sequence[Site],
) -> xarray.Dataset:
    mean = error[0].mean(-1)
    missing = torch.full_like(mean, torch.nan)
    zero = scores.target_square[0].mean().item()
    return control_table(missing if r2 is None else r2, mean, zero, sites)


def _provenance(
    model: SequenceModel | SavedActivations, task: Task, settings: MatchSettings
) -> dict[str, Any]:
    is_command = Path(sys.argv[0]).name == "interp"
    return {
        "checkpoint": next(
            (
                str(model.provenance[key])
                for key in ("name", "built_in", "path")
                if model.provenance.get(key)
            ),
            "a model in memory",
        ),
        "architecture": type(model).__name__,
        "config": model.describe(),
        "task": task.describe(),
        "recipe": model.provenance.get("recipe"),
        "trained": {key: model.provenance.get(key) for key in ("step", "metrics", "versions")},
        "seed": settings.seed,
        "prompts": _budget(settings.n_prompts).n_evaluate,
        "readout": settings.readout,
        "final_norm": settings.final_norm,
        "sites": list(settings.site_kinds or ()),
        "versions": library_versions(),
        "command": shlex.join(["interp", *sys.argv[1:]]) if is_command else None,
    }


def _budget(n_prompts: int) -> PromptBudget:
    group_size = -(-n_prompts // N_GROUPS)
    n_evaluate = group_size * N_GROUPS

    def whole_groups(n: int) -> int:
        return min(n_evaluate, max(1, n // group_size) * group_size)

    return PromptBudget(
        n_fit=n_evaluate,
        n_held_out=max(256, n_evaluate // 4),
        n_evaluate=n_evaluate,
        n_predictions=whole_groups(MAX_PREDICTION_PROMPTS),
        n_vectors=whole_groups(MAX_VECTOR_PROMPTS),
    )


def _affordable(file: ActivationFile, n_prompts: int) -> int:
    """The most prompts to evaluate on, up to `n_prompts`, that a file has enough prompts for."""
    for n_groups in range(-(-n_prompts // N_GROUPS), 0, -1):
        budget = _budget(n_groups * N_GROUPS)
        if budget.n_fit + budget.n_held_out + budget.n_evaluate <= file.n_prompts:
            return budget.n_evaluate
    raise ValueError(
        f"{file.path}: has {file.n_prompts} prompts; at least 512 are needed, to fit read-outs, to "
        "choose their strength and to evaluate them"
    )
