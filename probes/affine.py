"""The affine map from one prediction to another."""

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
