"""What every layer of a model predicts, by read-outs fitted on other prompts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.capture import capture
from hooks.model import SequenceModel
from interp.paper.settings import Settings
from interp.tasks import Task
from probes.readout import Readout
from probes.readout_fitting import ReadoutFitter
from probes.references import Prefixes

BATCH_SIZE = 512
N_ITERATE_PROMPTS = 512
"""To fit the iterates' own read-outs on, which have two parameters."""


@dataclass(frozen=True)
class LayerPredictions:
    """Predictions of all layers of one model on the same prompts."""

    task: Task
    prefixes: Prefixes
    """The prompts, decomposed on first use."""
    layers: Float[Tensor, "layer prompt point"]
    """Of read-outs of the residual stream, the embedding first."""
    model: Float[Tensor, "prompt point"]
    """The model's own."""
    fitted: Prefixes
    """Some of the prompts that the read-outs were fitted on."""
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
        return (self.layers - self.ys).square() / self.task.n_dims


def predict_by_layer(model: SequenceModel, task: Task, settings: Settings) -> LayerPredictions:
    """Fits a read-out of y at every layer on one stream of prompts and applies it to another.

    Layer L is read after the final LayerNorm, as in the paper's code. Ridge strengths are chosen
    on a third stream, a quarter as long as the first.

    Args:
        model: The model.
        task: Where prompts come from.
        settings: How many, and their seed.

    Raises:
        NonFiniteError: An activation or prediction is NaN or infinite.
    """
    sites = model.sites()
    n_fit = 2 * settings.n_scored

    def fit(n_prompts: int, seed: int) -> ReadoutFitter:
        fitter = ReadoutFitter(len(sites), model.config.d_model, 1)
        prompts = task.stream(n_prompts, seed=seed, batch_size=BATCH_SIZE)
        for batch in capture(model, prompts, sites):
            fitter.update(
                rearrange(batch.activations.cpu(), "site prompt point d -> site (prompt point) d"),
                rearrange(batch.ys, "prompt point -> (prompt point) 1"),
            )
        return fitter

    seeds = [3 * settings.seed + part for part in range(3)]
    held_out = fit(max(1, n_fit // 4), seeds[1]).statistics
    readout = fit(n_fit, seeds[0]).select(held_out)
    xs, ys, layers, said = [], [], [], []
    scored = task.stream(settings.n_scored, seed=seeds[2], batch_size=BATCH_SIZE)
    for batch in capture(model, scored, sites):
        xs.append(batch.xs)
        ys.append(batch.ys)
        layers.append(readout(batch.activations.cpu())[..., 0])
        said.append(batch.predictions.cpu().double())
    [few] = task.stream(N_ITERATE_PROMPTS, seed=seeds[0], batch_size=N_ITERATE_PROMPTS)
    return LayerPredictions(
        task=task,
        prefixes=Prefixes(torch.cat(xs), torch.cat(ys)),
        layers=torch.cat(layers, dim=1),
        model=torch.cat(said),
        fitted=Prefixes(few.xs, few.ys),
        readout=readout,
    )
