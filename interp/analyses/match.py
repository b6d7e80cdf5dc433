"""Which algorithm do a model's layers run?"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.activation_files import ActivationFile
from hooks.foreign import own_model
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.comparisons import Comparison
from interp.analyses.convergence import layer_order
from interp.analyses.examination import examine
from interp.analyses.match_settings import MatchSettings, budget_of
from interp.analyses.selectivity import error_selectivity, reference_selectivity
from interp.analyses.uniqueness import Rivals, disagreement_variables, unique_variables
from interp.analyses.views import choose_views, compute_views
from interp.progress import Progress, shows_progress, silent
from interp.results.result import MatchResult, make_result
from interp.scoring.saved_activations import SavedActivations
from interp.scoring.scores import Scores
from interp.scoring.tables import control_table, layer_table, reference_table
from interp.tasks import Task
from interp.versions import library_versions


@shows_progress
def match(
    model: SequenceModel | ActivationFile,
    task: Task | None = None,
    settings: MatchSettings | None = None,
    *,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress = silent,
    **options: Any,
) -> MatchResult:
    """Compares every layer of a model with reference algorithms and says which one it runs.

    Args:
        model: Any hooked model: from `interp.load`, trained here, or attached, compiled or not; or
            activations that somebody saved, from `hooks.open_activations`.
        task: Where prompts come from; by default what the model was trained on. Saved activations
            come with their prompts.
        settings: Options; further keyword arguments replace single ones of them.
        parameters: Parameters of references, see `interp.analyses.comparisons`; those that a model
            was built with are known. "fit" in place of a number has it fitted to the layers, as in
            `{"gd": {"eta": "fit"}}`.
        progress: Called with a stage, the prompts done and those in all. Without it a bar shows
            in terminals and notebooks; `interp.silent` shows nothing.
        **options: Fields of `MatchSettings`.

    Returns:
        Every score with its interval, controls, the verdict and the provenance.

    Raises:
        ValueError: The task does not fit the model, an option is out of range, or a file holds too
            few prompts.
    """
    settings = replace(settings or MatchSettings(), **options)
    model = model if isinstance(model, ActivationFile) else own_model(model)
    views = choose_views(settings.show, model)
    seen = examine(model, task, settings, parameters, progress)
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
    rivals = Rivals.of(scores.sample, comparisons, tables, settings.readout, verdict.retained)
    for name, variables in unique_variables(rivals, sites).items():
        tables[name] = tables[name].assign(variables)
    live = [
        site
        for site, change in zip(first_kind, scores.change[: len(first_kind)], strict=True)
        if change > verdict.criteria.dead
    ]
    few = scores.sample.activations
    assert few is not None
    chosen = [first_kind.index(site) for site in live]
    n = min(few.shape[1], settings.n_prompts)
    order = layer_order(task, live, scores.sample.prefixes.part(0, n), few[chosen, :n], seeds[2])
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
        _provenance(source, task, settings) | ({"fitted": seen.fitted} if seen.fitted else {}),
    )
    if not isinstance(model, SequenceModel):
        return result
    return result.with_views(
        compute_views(views, model, task, comparisons, settings.seed, progress)
    )


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
        "prompts": budget_of(settings.n_prompts).n_evaluate,
        "readout": settings.readout,
        "final_norm": settings.final_norm,
        "sites": list(settings.site_kinds or ()),
        "versions": library_versions(),
        "command": shlex.join(["interp", *sys.argv[1:]]) if is_command else None,
    }
