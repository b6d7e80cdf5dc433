"""Running a model under one change after another, on the same prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
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
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

N_REPLICATES = 400


@dataclass(frozen=True, eq=False)
class Change:
    """A changed model, and where the layers of the whole model are read in it."""

    model: SequenceModel
    interventions: tuple[Intervention, ...] = ()
    places: Sequence[int] | None = None
    """The layer of the changed model that each layer of the whole one is read at; by default its
    own."""
    followed: Sequence[int] = (-2,)
    """Rows of `Measured.similarity` that `Measured.followed` has; by default the last layer's."""


@dataclass(frozen=True)
class Measured:
    """What models make of every change."""

    error: Float[Tensor, "change prompt"]
    """Squared error / n_dims, averaged over points; infinite where a prediction is not finite."""
    similarity: dict[str, Float[Tensor, "change row _step"]]
    """SimE by reference, of every layer and, last, the prediction; NaN where one is not finite."""
    followed: dict[str, Float[Tensor, "change followed replicate _step"]]
    """Of some of these rows, over resampled prompts."""


Observe = Callable[[int, slice, Prefixes, Float[Tensor, "row prompt point"]], None]
"""Told what the layers and the prediction say after a change, and of which prompts."""


def measure(
    changes: Sequence[Change],
    prompts: Iterable[Prompts],
    reader: CurveReader,
    resampled: Float[Tensor, "replicate prompt"],
    progress: Callable[[int], None],
    observe: Observe = lambda index, rows, prefixes, said: None,
) -> Measured:
    """Runs every batch of prompts under every change.

    Args:
        changes: The whole model first.
        prompts: Batches.
        reader: What layers are compared by.
        resampled: How often each of all prompts is drawn, by replicate.
        progress: Told how many passes are done.
        observe: Told of every pass whose activations are finite.

    Raises:
        NonFiniteError: A prediction or activation of the whole model is NaN or infinite.
    """
    n_prompts = resampled.shape[1]
    errors = torch.zeros(len(changes), n_prompts, dtype=torch.float64)
    similarity: dict[str, Tensor] = {}
    followed: dict[str, Tensor] = {}
    start, done = 0, 0
    for xs, ys, _ in prompts:
        rows = slice(start, start + len(xs))
        prefixes = Prefixes(xs, ys)
        iterates = reader.iterates(prefixes)
        for index, change in enumerate(changes):
            predictions, activations = _run(change, xs, ys, start if index == 0 else None)
            error = (predictions - ys).square().mean(-1) / xs.shape[2]
            errors[index, rows] = torch.where(error.isnan(), torch.inf, error)
            said = None
            if activations is not None:
                layers = activations if change.places is None else activations[list(change.places)]
                said = torch.cat([reader.readout(layers)[..., 0], predictions[None]])
                observe(index, rows, prefixes, said)
            for name, cosines in _cosines(reader, said, ys, iterates).items():
                table = cosines.sum(0) / n_prompts
                few = cosines[:, list(change.followed)]
                again = torch.einsum("rp,pfs->frs", resampled[:, rows], few) / n_prompts
                for sums, part in ((similarity, table), (followed, again)):
                    if name not in sums:
                        sums[name] = torch.zeros(len(changes), *part.shape, dtype=part.dtype)
                    sums[name][index] += part
            done += 1
            progress(done)
        start += len(xs)
    return Measured(errors, similarity, followed)


def error_columns(
    measured: Measured, seed: int, level: float
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Error and effect: axes after the change, and values with the change first."""
    effects = measured.error - measured.error[:1]
    return {
        "error": ((), measured.error.mean(1).numpy()),
        "effect": ((), effects.mean(1).numpy()),
        "effect_interval": (("bound",), mean_interval(effects, seed, level)),
    }


def mean_interval(
    values: Float[Tensor, "row prompt"], seed: int, level: float
) -> Float[np.ndarray, "row bound"]:
    """Intervals of means over prompts; infinite where a value is."""
    n_prompts = values.shape[1]
    weights = bootstrap_weights(n_prompts, N_REPLICATES, seed) / n_prompts
    is_infinite = values.isinf().any(1)
    finite = torch.where(is_infinite[:, None], 0.0, values)
    bound = bootstrap_interval(weights @ finite.T, level, n_groups=n_prompts).T
    return torch.where(is_infinite[:, None], torch.inf, bound).numpy()


def shift_interval(
    step: Float[Tensor, "change replicate"], n_prompts: int, level: float
) -> Float[np.ndarray, "change bound"]:
    """Intervals of how far steps lie from those of the first change; NaN where one is."""
    moved = torch.nan_to_num(step - step[:1])
    bound = bootstrap_interval(moved.T, level, n_groups=n_prompts).T
    return torch.where(step.isnan().any(1, keepdim=True), torch.nan, bound).numpy()


def _run(
    change: Change,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    n_before: int | None,
) -> tuple[Float[Tensor, "prompt point"], Float[Tensor, "layer prompt point d_model"] | None]:
    """Predictions, and activations where all of both are finite, as they must be of a whole model.

    Only that one is given how many prompts came before.
    """
    model = change.model
    with intervene(model, *change.interventions):
        try:
            [captured] = capture(model, (xs, ys), model.sites())
        except NonFiniteError:
            predictions = predict(model, xs, ys)
            if n_before is not None:
                check_finite(predictions, "predictions of the whole model", n_before)
                raise
            return predictions, None
    return captured.predictions.cpu().double(), captured.activations.cpu()


def _cosines(
    reader: CurveReader,
    said: Float[Tensor, "row prompt point"] | None,
    ys: Float[Tensor, "prompt point"],
    iterates: Mapping[str, Float[Tensor, "_step prompt scored_point"]],
) -> dict[str, Float[Tensor, "prompt row _step"]]:
    if said is not None:
        return reader.cosines(said, ys, iterates)
    n_rows = reader.readout.weight.shape[0] + 1
    return {
        name: torch.full((len(ys), n_rows, len(theirs)), torch.nan, dtype=torch.float64)
        for name, theirs in iterates.items()
    }
