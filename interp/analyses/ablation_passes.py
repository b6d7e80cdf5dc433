"""Running a model under one change after another, on the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.capture import capture
from hooks.finite import NonFiniteError, check_finite
from hooks.inference import predict
from hooks.interventions import Intervention, intervene
from hooks.model import SequenceModel
from interp.scoring.layer_matches import CurveReader
from interp.tasks import Prompts
from probes.references import Prefixes


@dataclass(frozen=True)
class Measured:
    """What a model makes of every change."""

    error: Float[Tensor, "change prompt"]
    """Squared error / n_dims, averaged over points; infinite where a prediction is not finite."""
    similarity: dict[str, Float[Tensor, "change layer _step"]]
    """SimE by reference; NaN where an activation is not finite."""
    final: dict[str, Float[Tensor, "change replicate _step"]]
    """Of the last layer, over resampled prompts."""


def measure(
    model: SequenceModel,
    prompts: Iterable[Prompts],
    changes: Sequence[tuple[Intervention, ...]],
    reader: CurveReader,
    resampled: Float[Tensor, "replicate prompt"],
    progress: Callable[[int], None],
) -> Measured:
    """Runs every batch of prompts under every change.

    Args:
        model: Any hooked model.
        prompts: Batches.
        changes: What is in force together; none of it first.
        reader: What layers are compared by.
        resampled: How often each of all prompts is drawn, by replicate.
        progress: Told how many passes are done.

    Raises:
        NonFiniteError: A prediction or activation of the model left alone is NaN or infinite.
    """
    n_prompts = resampled.shape[1]
    errors = torch.zeros(len(changes), n_prompts, dtype=torch.float64)
    similarity: dict[str, Tensor] = {}
    final: dict[str, Tensor] = {}
    start, done = 0, 0
    for xs, ys, _ in prompts:
        rows = slice(start, start + len(xs))
        iterates = reader.iterates(Prefixes(xs, ys))
        for index, interventions in enumerate(changes):
            predictions, activations = _run(model, xs, ys, interventions, start)
            error = (predictions - ys).square().mean(-1) / xs.shape[2]
            errors[index, rows] = torch.where(error.isnan(), torch.inf, error)
            for name, cosines in _cosines(reader, activations, ys, iterates).items():
                table = cosines.sum(0) / n_prompts
                last = resampled[:, rows] @ cosines[:, -1] / n_prompts
                for sums, part in ((similarity, table), (final, last)):
                    if name not in sums:
                        sums[name] = torch.zeros(len(changes), *part.shape, dtype=part.dtype)
                    sums[name][index] += part
            done += 1
            progress(done)
        start += len(xs)
    return Measured(errors, similarity, final)


def _run(
    model: SequenceModel,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    interventions: tuple[Intervention, ...],
    n_before: int,
) -> tuple[Float[Tensor, "prompt point"], Float[Tensor, "layer prompt point d_model"] | None]:
    """Predictions, and activations where all of both are finite."""
    with intervene(model, *interventions):
        try:
            [captured] = capture(model, (xs, ys), model.sites())
        except NonFiniteError:
            predictions = predict(model, xs, ys)
            if not interventions:
                check_finite(predictions, "predictions of the whole model", n_before)
                raise
            return predictions, None
    return captured.predictions.cpu().double(), captured.activations.cpu()


def _cosines(
    reader: CurveReader,
    activations: Float[Tensor, "layer prompt point d_model"] | None,
    ys: Float[Tensor, "prompt point"],
    iterates: Mapping[str, Float[Tensor, "_step prompt scored_point"]],
) -> dict[str, Float[Tensor, "prompt layer _step"]]:
    if activations is not None:
        return reader.cosines(activations, ys, iterates)
    n_layers = reader.readout.weight.shape[0]
    return {
        name: torch.full((len(ys), n_layers, len(theirs)), torch.nan, dtype=torch.float64)
        for name, theirs in iterates.items()
    }
