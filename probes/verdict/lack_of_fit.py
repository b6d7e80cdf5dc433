"""Lack of fit: how much of the layers is beyond a reference, and how much of that is not noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from probes.affine import affine_fit
from probes.uncertainty.bootstrap import bootstrap_weights
from probes.uncertainty.estimate import Estimate

N_FOLDS = 8
"""Parts of the prompts, each of which is explained by what was fitted on the others."""

SHRINKAGE = 1e-3
"""Ridge of those fits, relative to every regressor's own square."""


@dataclass(frozen=True)
class LackOfFit:
    """The part of the layers beyond a reference at the best step of each, in squares of errors."""

    reference: str
    unshared: Estimate
    """Share of the layers' squared errors that is beyond the reference, mean over layers, …"""
    systematic: Estimate
    """… and the part of it that other layers and other references explain on other prompts."""

    @property
    def systematic_share(self) -> float:
        """Of what is beyond the reference, the share that is systematic."""
        return max(0.0, self.systematic.value) / max(self.unshared.value, 1e-300)


def lack_of_fit(
    reference: str,
    predictions: Float[Tensor, "layer prompt point"],
    iterates: Float[Tensor, "layer prompt point"],
    others: Float[Tensor, "other prompt point"],
    ys: Float[Tensor, "prompt point"],
    *,
    n_replicates: int = 200,
    seed: int = 0,
) -> LackOfFit:
    """How much of the layers is beyond a reference, and how much of that is not noise.

    The deviation of a layer is what the affine map from the reference's iterate leaves of its
    predictions. On held-out prompts it is explained by the deviations of the adjacent layers and by
    other references. Noise that every layer has of its own is explained by neither; a deterministic
    computation that differs from the reference passes its deviation on. So does noise that later
    layers compute with: it counts as systematic.

    Args:
        reference: Its name.
        predictions: Of the layers' read-outs.
        iterates: Of the reference after the best step of each layer.
        others: Predictions of other references, or of the same after other steps.
        ys: What was to be predicted.
        n_replicates: Bootstrap replicates over prompts.
        seed: Of the replicates.

    Raises:
        ValueError: Fewer prompts than folds, or a value that is not finite.
    """
    n_prompts = len(ys)
    if n_prompts < N_FOLDS:
        raise ValueError(f"lack of fit needs at least {N_FOLDS} prompts, got {n_prompts}")
    for name, values in (("predictions", predictions), ("iterates", iterates), ("others", others)):
        if not bool(values.isfinite().all()):
            raise ValueError(f"{name} hold NaN or infinity")
    deviations = predictions - affine_fit(iterates, predictions)
    squares, left = [], []
    for layer, deviation in enumerate(deviations):
        beside = [deviations[i] for i in (layer - 1, layer + 1) if 0 <= i < len(deviations)]
        explained = _held_out(deviation, torch.stack([*beside, *others]))
        squares.append(deviation.square().sum(-1))
        left.append((deviation - explained).square().sum(-1))
    errors = (predictions - ys).square().sum(-1)  # [layer, prompt]
    weights = bootstrap_weights(n_prompts, n_replicates, seed, with_original=True)
    beyond, unexplained, whole = (
        weights @ part.T for part in (torch.stack(squares), torch.stack(left), errors)
    )  # [replicate, layer]
    whole = whole.clamp(min=1e-300)
    return LackOfFit(
        reference,
        unshared=Estimate.of((beyond / whole).mean(1)),
        systematic=Estimate.of(((beyond - unexplained) / whole).mean(1)),
    )


def _held_out(
    target: Float[Tensor, "prompt point"], regressors: Float[Tensor, "regressor prompt point"]
) -> Float[Tensor, "prompt point"]:
    """Predictions of the target by regressions fitted on other prompts."""
    gram = torch.einsum("apt,bpt->pab", regressors, regressors)
    moment = torch.einsum("apt,pt->pa", regressors, target)
    fold = torch.arange(len(target)) % N_FOLDS
    explained = torch.empty_like(target)
    for held_out in range(N_FOLDS):
        fitted = fold != held_out
        normal = gram[fitted].sum(0)
        ridge = SHRINKAGE * normal.diagonal().clamp(min=1e-300)
        weight = torch.linalg.solve(normal + ridge.diag(), moment[fitted].sum(0))
        explained[~fitted] = torch.einsum("a,apt->pt", weight, regressors[:, ~fitted])
    return explained
