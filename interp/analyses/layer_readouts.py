"""Read-outs of y from every layer and from every iterate, without the rest of a match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.model import SequenceModel
from interp.analyses.comparisons import Comparison
from interp.analyses.fitting import Progress, batches
from interp.tasks import Task
from probes.readout import Readout, ReadoutFitter

HELD_OUT_SHARE = 4
"""One prompt to choose ridge strengths on for so many to fit on."""


@dataclass(frozen=True)
class LayerReadouts:
    """Affine maps to y, fitted on the same prompts."""

    layers: Readout
    """From the residual stream of every layer, 0 to n_layers."""
    references: dict[str, Readout]
    """From each iterate's own prediction: a comparison's steps take the place of sites."""


def fit_layer_readouts(
    model: SequenceModel,
    task: Task,
    comparisons: Sequence[Comparison] = (),
    *,
    n_prompts: int,
    seed: int,
    progress: Progress = lambda stage, done, total: None,
) -> LayerReadouts:
    """Fits read-outs of y as `interp.match` does.

    Args:
        model: The model, whose last layer is read after the final LayerNorm.
        task: Where the prompts come from.
        comparisons: Iterates to fit read-outs for as well.
        n_prompts: To fit on.
        seed: Of the prompts.
        progress: Told of every batch.

    Raises:
        NonFiniteError: An activation is NaN or infinite.
    """
    sites = model.sites()
    d_model = model.config.d_model
    fitter, held_out = (ReadoutFitter(len(sites), d_model, 1) for _ in range(2))
    iterates = {item.name: ReadoutFitter(len(item.grid.steps), 1, 1) for item in comparisons}
    total = n_prompts + max(1, n_prompts // HELD_OUT_SHARE)
    done = 0
    for part, n, offset in ((fitter, n_prompts, 0), (held_out, total - n_prompts, 1)):
        for prefixes, activations, _ in batches(model, task, sites, n, seed + offset, "official"):
            ys = rearrange(prefixes.ys, "prompt point -> (prompt point) 1")
            part.update(_samples(activations), ys)
            if part is fitter:
                for item in comparisons:
                    predictions = item.reference.predictions(prefixes, item.grid.steps)
                    iterates[item.name].update(_samples(predictions[..., None]), ys)
            done += prefixes.n_prompts
            progress("fitting read-outs", done, total)
    return LayerReadouts(
        fitter.select(held_out.statistics),
        {name: each.solve([0.0])[0] for name, each in iterates.items()},
    )


def _samples(
    values: Float[Tensor, "site prompt point d"],
) -> Float[Tensor, "site sample d"]:
    return rearrange(values, "site prompt point d -> site (prompt point) d")
