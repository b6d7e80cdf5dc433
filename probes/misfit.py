"""Lack of fit: is what layers say beyond a reference noise, or another algorithm?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from probes.affine import affine_fit
from probes.controls.bootstrap import bootstrap_weights
from probes.estimate import Estimate

LARGEST_MISFIT = 0.03
"""Systematic share of the layers' errors, chance aside, up to which a reference describes them.

Without any noise, a reference at that share is at a similarity of errors of .985."""

N_FOLDS = 8
"""Parts of the prompts, each of which is explained by what was fitted on the others."""

SHRINKAGE = 1e-3
"""Ridge of those fits, relative to every regressor's own square."""


@dataclass(frozen=True)
class Misfit:
    """What layers say beyond a reference at the best step of each, in squares of their errors."""

    reference: str
    unshared: Estimate
    """Share of the layers' squared errors that is beyond the reference, mean over layers, …"""
    systematic: Estimate
    """… and the part of it that other layers and other references explain on other prompts."""

    @property
    def is_large(self) -> bool:
        """Whether the reference is the nearest at most: the layers run something else besides."""
        return self.systematic.low > LARGEST_MISFIT

    @property
    def systematic_share(self) -> float:
        """Of what is beyond the reference, the share that is systematic."""
        return max(0.0, self.systematic.value) / max(self.unshared.value, 1e-300)


def misfit(
    reference: str,
    said: Float[Tensor, "layer prompt point"],
    iterates: Float[Tensor, "layer prompt point"],
    others: Float[Tensor, "other prompt point"],
    ys: Float[Tensor, "prompt point"],
    *,
    n_replicates: int = 200,
    seed: int = 0,
) -> Misfit:
    """Measures how much of what layers say is not a reference's, and how much of that is no noise.

    The deviation of a layer is what the affine map from the reference's iterate leaves of what the
    layer says. It is explained, on held-out prompts, by the deviations of the layers beside it and
    by other references. Noise that every layer has of its own is explained by neither; a
    deterministic computation that differs from the reference hands its deviation on. So does noise
    that later layers compute with: it counts as systematic.

    Args:
        reference: Its name.
        said: What the layers say.
        iterates: What the reference says after the best step of each layer.
        others: What other references say, or the same after other steps.
        ys: What was to be predicted.
        n_replicates: Bootstrap replicates over prompts.
        seed: Of the replicates.

    Raises:
        ValueError: Fewer prompts than folds, or a value that is not finite.
    """
    n_prompts = len(ys)
    if n_prompts < N_FOLDS:
        raise ValueError(f"a misfit needs at least {N_FOLDS} prompts, got {n_prompts}")
    for name, values in (("said", said), ("iterates", iterates), ("others", others)):
        if not bool(values.isfinite().all()):
            raise ValueError(f"{name} hold NaN or infinity")
    deviations = said - affine_fit(iterates, said)
    squares, left = [], []
    for layer, deviation in enumerate(deviations):
        beside = [deviations[i] for i in (layer - 1, layer + 1) if 0 <= i < len(deviations)]
        explained = _held_out(deviation, torch.stack([*beside, *others]))
        squares.append(deviation.square().sum(-1))
        left.append((deviation - explained).square().sum(-1))
    errors = (said - ys).square().sum(-1)  # [layer, prompt]
    weights = bootstrap_weights(n_prompts, n_replicates, seed, with_original=True)
    beyond, unexplained, whole = (
        weights @ part.T for part in (torch.stack(squares), torch.stack(left), errors)
    )  # [replicate, layer]
    whole = whole.clamp(min=1e-300)
    return Misfit(
        reference,
        unshared=Estimate.of((beyond / whole).mean(1)),
        systematic=Estimate.of(((beyond - unexplained) / whole).mean(1)),
    )


def _held_out(
    target: Float[Tensor, "prompt point"], regressors: Float[Tensor, "regressor prompt point"]
) -> Float[Tensor, "prompt point"]:
    """The target as regressions fitted on other prompts have it."""
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
