"""Whether saved activations were read where the answers are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.activation_files.activation_file import ActivationFile
from hooks.wiring_error import WiringError

N_PROMPTS = 2048
_KNOWN = 0.95
"""Share of y's variance that an embedding of other tokens cannot hold, unless x gives it away."""


def check_answers_hidden(file: ActivationFile, points: Sequence[int] | None = None) -> None:
    """Warns where the embedding, or predictions made before any example, contain y.

    Without the model this is as far as data tell. Nothing is said where y is a linear function of
    x that all prompts share, or where prompts are too few for the width. Only `points` are looked
    at, by default all that can be read.

    Raises:
        WiringError: The y of a point can be read from layer 0 at that point.

    Warns:
        UserWarning: Predictions at point 0 explain most of y, although no example precedes them.
    """
    if "resid_post" not in {site.kind for site in file.sites}:
        return
    first = min(site for site in file.sites if site.kind == "resid_post")
    stop = min(N_PROMPTS, file.n_prompts)
    points = points or range(file.first_point, file.n_points)
    [batch] = file.stream([first], batch_size=stop, stop=stop, points=points)
    ys = batch.ys.double()
    for point in sorted({points[0], points[-1]}):
        is_given = _explained(batch.xs[:, point], ys[:, point]) > _KNOWN
        if first.layer or is_given:
            continue
        if _explained(batch.activations[0, :, point], ys[:, point]) > _KNOWN:
            raise WiringError(
                f"{file.path}: y of point {point} can be read from {first} at that point, so the "
                "activations are those of tokens that hold the answer; save those of the x tokens, "
                "where y is predicted"
            )
    if file.has_predictions and points[0] == 0:
        said = batch.predictions[:, :1]
        explained = _explained(said, ys[:, 0])
        if explained > 0.5 and _explained(batch.xs[:, 0], ys[:, 0]) < 0.5:
            warnings.warn(
                f"{file.path}: predictions at point 0 explain {explained:.0%} of y before any "
                "example; the model saw its answers, or y is one function of x in all prompts",
                stacklevel=2,
            )


def _explained(features: Float[Tensor, "prompt width"], targets: Float[Tensor, " prompt"]) -> float:
    """R² of an affine fit on one half of the prompts, on the other; 0 if they are too few."""
    half = len(targets) // 2
    features = torch.cat((features.double(), torch.ones_like(targets)[:, None]), 1)
    if half < 2 * features.shape[1]:
        return 0.0
    weights = torch.linalg.lstsq(features[:half], targets[:half, None], driver="gelsd").solution
    left = (targets[half:] - (features[half:] @ weights)[:, 0]).square().sum()
    return float(
        1 - left / (targets[half:] - targets[:half].mean()).square().sum().clamp_min(1e-300)
    )
