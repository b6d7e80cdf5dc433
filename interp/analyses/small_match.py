"""A match that is small enough to be made again and again beside a training."""

from __future__ import annotations

from hooks.model import SequenceModel
from interp.analyses.comparisons import default_comparisons, own_parameters
from interp.scoring.layer_matches import match_steps
from interp.scoring.layer_predictions import fit_layer_readouts, predict_by_layer
from interp.tasks import Task
from probes.candidate import select

N_FIT, N_PROMPTS, N_GROUPS = 256, 128, 16
REFERENCES = ("newton", "gd")
SEED = 2**31 + 1
"""Prompts of neither the training nor the validation."""


def small_match(model: SequenceModel, task: Task) -> dict[str, float]:
    """Best-matching steps of Newton and GD and their SimE, layer by layer, without a verdict.

    Returns:
        `error/layer_<l>`, the error / n_dims of each layer's read-out, and `<reference>/step/…` and
        `<reference>/similarity/…` of it.

    Raises:
        NonFiniteError: An activation is NaN or infinite.
    """
    readout = fit_layer_readouts(model, task, n_prompts=N_FIT, seed=SEED)
    seen = predict_by_layer(model, task, readout, n_prompts=N_PROMPTS, seed=SEED + 2)
    layers = [f"layer_{site.layer}" for site in model.sites()]
    found = {
        f"error/{layer}": error.mean().item()
        for layer, error in zip(layers, seen.errors, strict=True)
    }
    comparisons = default_comparisons(task, own_parameters(model))
    for name in REFERENCES:
        item = select(comparisons, name)
        matches = match_steps(
            seen.layers,
            seen.prefixes,
            item.reference,
            item.grid,
            n_groups=N_GROUPS,
            matched_on=seen.prefixes,
        )
        for layer, step, best in zip(layers, matches.step, matches.best, strict=True):
            found |= {
                f"{name}/step/{layer}": step.item(),
                f"{name}/similarity/{layer}": best.item(),
            }
    return found
