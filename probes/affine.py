"""The affine map from one prediction to another, and how much it explains."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def affine_fit(
    predictions: Float[Tensor, "row prompt point"], targets: Float[Tensor, "row prompt point"]
) -> Float[Tensor, "row prompt point"]:
    """Every prediction under the affine map that brings it nearest to its target.

    Nearest by least squares over prompts and points; a prediction that never varies becomes the
    target's mean.
    """
    rows = []
    for prediction, target in zip(predictions, targets, strict=True):
        middle = target.mean()
        x = prediction - prediction.mean()
        scale = x.square().sum()
        slope = (x * (target - middle)).sum() / torch.where(scale > 0, scale, 1.0)
        rows.append(middle + slope * x)
    return torch.stack(rows)


def affine_r2(
    predictions: Float[Tensor, "step prompt point"], targets: Float[Tensor, "layer prompt point"]
) -> Float[Tensor, "layer step"]:
    """Share of each target's variance that the affine map from each prediction explains.

    The square of their correlation over prompts and points; 0 where either never varies.
    """
    steps, layers = (part.flatten(1) for part in (predictions, targets))
    steps, layers = (part - part.mean(1, keepdim=True) for part in (steps, layers))
    products = (layers @ steps.T).square()
    squares = layers.square().sum(1)[:, None] * steps.square().sum(1)
    return torch.where(squares > 0, products / squares.clamp(min=1e-300), 0.0).clamp(max=1)
