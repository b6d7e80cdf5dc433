"""The affine map from one prediction to another, and how much it explains."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

ROUNDING = 1e-24
"""Of a row's squares, the share that subtracting the mean of a constant can leave."""


def affine_fit(
    predictions: Float[Tensor, "row prompt point"], targets: Float[Tensor, "row prompt point"]
) -> Float[Tensor, "row prompt point"]:
    """Every prediction under the affine map that brings it nearest to its target.

    Nearest by least squares over prompts and points; a prediction that never varies becomes the
    target's mean.
    """
    x, y = _centred(predictions), _centred(targets)
    scale = x.square().sum(1)
    slope = (x * y).sum(1) / torch.where(scale > 0, scale, 1.0)
    fitted = targets.flatten(1).mean(1, keepdim=True) + slope[:, None] * x
    return fitted.reshape(targets.shape)


def affine_r2(
    predictions: Float[Tensor, "step prompt point"], targets: Float[Tensor, "layer prompt point"]
) -> Float[Tensor, "layer step"]:
    """Share of each target's variance that the affine map from each prediction explains.

    The square of their correlation over prompts and points; 0 where either never varies, NaN where
    either is not finite.
    """
    steps, layers = _centred(predictions), _centred(targets)
    products = (layers @ steps.T).square()
    squares = layers.square().sum(1)[:, None] * steps.square().sum(1)
    return torch.where(squares == 0, 0.0, products / squares.clamp(min=1e-300)).clamp(max=1)


def _centred(values: Float[Tensor, "row prompt point"]) -> Float[Tensor, "row sample"]:
    """The values less their mean; the rounding left of a row that never varies becomes 0."""
    flat = values.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    is_constant = centred.square().sum(1) <= ROUNDING * flat.square().sum(1)
    return torch.where(is_constant[:, None], 0.0, centred)
