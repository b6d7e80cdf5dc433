"""What every layer of a model predicts.

Two functions, the second on prompts that the first has not seen:

- `fit_layer_readouts(model, task, n_prompts=…, seed=…)` returns a `Readout` of y at every layer;
- `predict_by_layer(model, task, readout, n_prompts=…, seed=…)` applies it to other prompts and
  returns `LayerPredictions`: prefixes, layers [layer, prompt, point], the model's own output.

`interp.scoring.layer_matches` compares such predictions with the steps of a reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from interp.scoring.stream import BATCH_SIZE, Progress, SavedActivations, batches, joined, silent
from interp.tasks import Task
from probes.readout import Readout
from probes.readout_fitter import ReadoutFitter
from probes.references import Prefixes

FIT_TO_HELD_OUT = 4
"""Prompts to fit on for each one to choose ridge strengths on."""

Scaling = Literal["none", "rms"]
"""Units in which a ridge weighs features: the stream's own, or each feature's root mean square."""


@dataclass(frozen=True)
class LayerPredictions:
    """Predictions of all layers of one model on the same prompts."""

    prefixes: Prefixes
    """The prompts, decomposed on first use."""
    layers: Float[Tensor, "layer prompt point"]
    """Of read-outs of the residual stream, the embedding first."""
    model: Float[Tensor, "prompt point"]
    """The model's own output, in float64."""
    readout: Readout
    """The layers' read-outs."""

    @property
    def ys(self) -> Float[Tensor, "prompt point"]:
        return self.prefixes.ys

    @property
    def n_layers(self) -> int:
        """Without the embedding."""
        return len(self.layers) - 1

    @property
    def errors(self) -> Float[Tensor, "layer prompt point"]:
        """Squared errors / d."""
        return (self.layers - self.ys).square() / self.prefixes.n_dims


def fit_layer_readouts(
    model: SequenceModel | SavedActivations,
    task: Task,
    *,
    n_prompts: int,
    seed: int,
    held_out_seed: int | None = None,
    scaling: Scaling = "none",
    final_norm: FinalNorm = "official",
    batch_size: int | None = None,
    progress: Progress = silent,
) -> Readout:
    """An affine map to y from the residual stream of every layer, as `interp.match` fits it.

    Args:
        model: Any hooked model, or saved activations; its last layer is read after the final
            LayerNorm.
        task: Where the prompts come from.
        n_prompts: To fit on; a quarter as many others choose the ridge strengths.
        seed: Of these prompts; of saved activations the index of the first.
        held_out_seed: Of the others; by default the next seed. With `scaling="rms"` they come from
            the same stream.
        scaling: With "rms" the ridge weighs each feature in units of its root mean square. A
            stream may hold M_k x beside a prediction, a million times as large at a large
            condition number; a ridge in the stream's own units would suppress the prediction. All
            activations are then held at once.
        final_norm: See `hooks.capture`.
        batch_size: Prompts of a forward pass; by default 512, or all with `scaling="rms"`.
        progress: Called after every batch.

    Raises:
        NonFiniteError: An activation is NaN or infinite.
    """
    sites = model.sites()
    fitter, held_out = (ReadoutFitter(len(sites), model.config.d_model, 1) for _ in range(2))
    n_held_out = max(1, n_prompts // FIT_TO_HELD_OUT)
    total, done = n_prompts + n_held_out, 0
    if scaling == "rms":
        parts = batches(model, task, sites, total, seed, final_norm, batch_size or total)
        prefixes, activations, _ = joined(parts)
        scale = activations[:, :n_prompts].double().square().mean((1, 2)).sqrt()
        scale = torch.where(scale > 0, scale, 1.0)
        features = activations.double() / scale[:, None, None]
        for part, chosen in ((fitter, slice(n_prompts)), (held_out, slice(n_prompts, total))):
            part.update(features[:, chosen].flatten(1, 2), prefixes.ys[chosen].reshape(-1, 1))
        found = fitter.select(held_out.statistics)
        return Readout(found.weight / scale[..., None], found.bias, found.ridge)
    start = model.first_point if isinstance(model, SequenceModel) else 0
    others = seed + 1 if held_out_seed is None else held_out_seed
    for part, n, part_seed in ((fitter, n_prompts, seed), (held_out, n_held_out, others)):
        for prefixes, activations, _ in batches(
            model, task, sites, n, part_seed, final_norm, batch_size or BATCH_SIZE
        ):
            part.update(
                rearrange(
                    activations[:, :, start:], "site prompt point d -> site (prompt point) d"
                ),
                rearrange(prefixes.ys[:, start:], "prompt point -> (prompt point) 1"),
            )
            done += prefixes.n_prompts
            progress("fitting read-outs", done, total)
    return fitter.select(held_out.statistics)


def predict_by_layer(
    model: SequenceModel,
    task: Task,
    readout: Readout,
    *,
    n_prompts: int,
    seed: int,
    final_norm: FinalNorm = "official",
    batch_size: int = BATCH_SIZE,
) -> LayerPredictions:
    """What every layer's read-out and the model itself predict on fresh prompts.

    Args:
        model: The model.
        task: Where the prompts come from.
        readout: What `fit_layer_readouts` returned.
        n_prompts: How many to predict on.
        seed: Of the prompts; not one that the read-outs were fitted with.
        final_norm: As for the fit.
        batch_size: Prompts a batch.

    Raises:
        NonFiniteError: An activation or prediction is NaN or infinite.
    """
    sites = model.sites()
    parts = [
        (prefixes, readout(activations)[..., 0], output.double())
        for prefixes, activations, output in batches(
            model, task, sites, n_prompts, seed, final_norm, batch_size
        )
    ]
    prefixes, layers, output = zip(*parts, strict=True)
    return LayerPredictions(
        Prefixes(torch.cat([part.xs for part in prefixes]), torch.cat([p.ys for p in prefixes])),
        torch.cat(layers, dim=1),
        torch.cat(output),
        readout,
    )
