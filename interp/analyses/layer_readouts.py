"""Read-outs of y from every layer, without the rest of a match."""

from __future__ import annotations

from einops import rearrange

from hooks.model import SequenceModel
from interp.analyses.fitting import Progress, batches
from interp.tasks import Task
from probes.readout import Readout
from probes.readout_fitting import ReadoutFitter

FIT_TO_HELD_OUT = 4
"""Prompts to fit on for each one to choose ridge strengths on."""


def fit_layer_readouts(
    model: SequenceModel,
    task: Task,
    *,
    n_prompts: int,
    seed: int,
    progress: Progress = lambda stage, done, total: None,
) -> Readout:
    """Fits an affine map to y from the residual stream of every layer, as `interp.match` does.

    Args:
        model: The model, whose last layer is read after the final LayerNorm.
        task: Where the prompts come from.
        n_prompts: To fit on.
        seed: Of these prompts; the next one is that of the prompts to choose ridge strengths on.
        progress: Told of every batch.

    Raises:
        NonFiniteError: An activation is NaN or infinite.
    """
    sites = model.sites()
    fitter, held_out = (ReadoutFitter(len(sites), model.config.d_model, 1) for _ in range(2))
    n_held_out = max(1, n_prompts // FIT_TO_HELD_OUT)
    done = 0
    for part, n, offset in ((fitter, n_prompts, 0), (held_out, n_held_out, 1)):
        for prefixes, activations, _ in batches(model, task, sites, n, seed + offset, "official"):
            part.update(
                rearrange(activations, "site prompt point d -> site (prompt point) d"),
                rearrange(prefixes.ys, "prompt point -> (prompt point) 1"),
            )
            done += prefixes.n_prompts
            progress("fitting read-outs", done, n_prompts + n_held_out)
    return fitter.select(held_out.statistics)
