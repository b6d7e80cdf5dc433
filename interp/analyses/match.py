"""Which algorithm do a model's layers run?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hooks.activation_files import ActivationFile
from hooks.foreign import own_model
from hooks.model import SequenceModel
from interp.analyses.convergence import N_LAYERS, layer_order
from interp.analyses.examination import examine
from interp.analyses.match_settings import MatchSettings, budget_of
from interp.analyses.uniqueness import Rivals, disagreement_variables, unique_variables
from interp.analyses.views import ViewRequest, choose_views, compute_views
from interp.progress import Progress, shows_progress, silent
from interp.results.result import MatchResult, make_result
from interp.scoring.stream import SavedActivations
from interp.scoring.tables import Arrangement, control_tables, layer_table, reference_table
from interp.tasks import Task
from interp.versions import checkpoint_of, command_line, library_versions
from interp.zoo.loading import moved


@shows_progress
def match(
    model: SequenceModel | ActivationFile,
    task: Task | None = None,
    settings: MatchSettings | None = None,
    *,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    device: str | None = None,
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
        device: Where the model runs, such as "cuda" or "auto" (CUDA where there is one); it is
            moved there. By default where it is.
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
    model = model if isinstance(model, ActivationFile) else moved(own_model(model), device)
    views = choose_views(settings.show, model, has_points=settings.points is not None)
    seen = examine(model, task, settings, parameters, progress)
    source, task, settings, seeds = seen.source, seen.task, seen.settings, seen.seeds
    sites, comparisons = seen.sites, seen.comparisons
    scores, twin_scores = seen.scores, seen.twin_scores
    verdict, place = seen.verdict, Arrangement(sites, seen.points)
    layers = layer_table(scores, place, task.n_dims)
    tables = {
        item.name: reference_table(scores, twin_scores, item, place, settings.readout, task.n_dims)
        for item in comparisons
    }
    rivals = Rivals.of(scores.sample, comparisons, tables, settings.readout, verdict.retained)
    for name, variables in unique_variables(rivals, place).items():
        tables[name] = tables[name].assign(variables)
    few = scores.sample.activations
    assert few is not None
    live = (scores.change[: len(few)] > verdict.criteria.dead).nonzero()[-N_LAYERS:, 0].tolist()
    n = min(few.shape[1], settings.n_prompts)
    prefixes = scores.sample.prefixes.part(0, n)
    order = layer_order(task, [sites[i] for i in live], prefixes, few[live, :n], seeds[2])
    layers = layers.assign(
        order.variables(settings.site_kinds or ()) | disagreement_variables(rivals, layers)
    )
    result = make_result(
        layers,
        tables,
        control_tables(scores, twin_scores, comparisons, place),
        verdict,
        _provenance(source, task, settings, seen.points)
        | ({"fitted": seen.fitted} if seen.fitted else {}),
    )
    if not isinstance(model, SequenceModel):
        return result
    asked = ViewRequest(model, task, comparisons, settings.n_prompts, settings.seed, progress)
    return result.with_views(compute_views(views, asked))


def _provenance(
    model: SequenceModel | SavedActivations,
    task: Task,
    settings: MatchSettings,
    points: Sequence[int],
) -> dict[str, Any]:
    return {
        "checkpoint": checkpoint_of(model.provenance),
        "architecture": type(model).__name__,
        "config": model.describe(),
        "task": task.describe(),
        "recipe": model.provenance.get("recipe"),
        "trained": {key: model.provenance.get(key) for key in ("step", "metrics", "versions")},
        "seed": settings.seed,
        "points": list(points),
        "prompts": budget_of(settings.n_prompts).n_evaluate,
        "readout": settings.readout,
        "final_norm": settings.final_norm,
        "sites": list(settings.site_kinds or ()),
        "versions": library_versions(),
        "command": command_line(),
    }
