"""How the pairs of a prompt become the tokens of a sequence."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

TokenLayout = Literal["interleaved", "joined"]
"""Interleaved: x_1, y_1, x_2, y_2, …; joined: one token (x_{t-1}, y_{t-1}, x_t) a point."""


def check_token_layout(layout: str) -> None:
    """Raises a `ValueError` if a configuration names no such layout."""
    if layout not in get_args(TokenLayout):
        known = " or ".join(repr(name) for name in get_args(TokenLayout))
        raise ValueError(f"tokens must be {known}, got {layout!r}")


def token_width(layout: TokenLayout, n_dims: int) -> int:
    """Numbers in one token of prompts in `n_dims` dimensions."""
    return n_dims if layout == "interleaved" else 2 * n_dims + 1


def tokens_per_point(layout: TokenLayout) -> int:
    """How many tokens a pair takes; the prediction is made at the first of them."""
    return 2 if layout == "interleaved" else 1


def make_tokens(
    layout: TokenLayout, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "prompt token width"]:
    """Lays prompts out as tokens; no token of a point up to its prediction holds that point's y.

    Interleaved, a y token is the scalar zero-padded to n_dims (Garg et al. 2022, Section 3).
    Joined, the first token's previous pair is zero.
    """
    if layout == "interleaved":
        y_tokens = F.pad(ys[..., None], (0, xs.shape[2] - 1))
        return rearrange([xs, y_tokens], "two prompt point dim -> prompt (point two) dim")
    pairs = torch.cat((xs, ys[..., None]), dim=2)[:, :-1]
    return torch.cat((F.pad(pairs, (0, 0, 1, 0)), xs), dim=2)
