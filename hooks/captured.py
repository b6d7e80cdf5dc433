"""One batch of activations and predictions, from a model or from a file."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from hooks.sites import Site


class Captured(NamedTuple):
    """A model's predictions and activations on one batch of prompts."""

    xs: Float[Tensor, "prompt point dim"]
    """As given."""
    ys: Float[Tensor, "prompt point"]
    """As given."""
    predictions: Float[Tensor, "prompt point"]
    """In the model's dtype and on its device, as the activations are."""
    activations: Float[Tensor, "site prompt position d_model"]
    """In the order of `sites`; positions are points, or tokens if those were requested."""
    sites: tuple[Site, ...]
