"""Turning the residual stream of a constructed model, without changing what it computes."""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from hooks.architectures.constructed import ConstructedModel
from hooks.architectures.prefix_attention import PrefixAttention
from hooks.architectures.rectified_mlp import RectifiedMLP


def random_rotation(d_model: int, seed: int) -> Float[Tensor, "d_model d_model"]:
    """A uniformly distributed orthogonal matrix, in float64."""
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(d_model, d_model, dtype=torch.float64, generator=generator)
    q, r = torch.linalg.qr(gaussian)
    return q * r.diagonal().sign()


@torch.no_grad()
def rotate_stream(model: ConstructedModel, rotation: Float[Tensor, "d_model d_model"]) -> None:
    """Turns every weight that reads or writes the stream, in place, so that the stream is turned.

    Args:
        model: Its predictions stay the same, up to rounding.
        rotation: Orthogonal; the stream s becomes s @ rotation.
    """
    written = "... d_model, d_model turned -> ... turned"
    read = "... d_model d, d_model turned -> ... turned d"
    rotation = rotation.to(model.device, model.dtype)
    writes = [model.W_read_in]
    reads = []
    for module in model.modules():
        if isinstance(module, PrefixAttention):
            writes.append(module.W_O)
            reads += [module.W_Q, module.W_K, module.W_V]
        elif isinstance(module, RectifiedMLP):
            writes.append(module.W_out)
            reads.append(module.W_in)
    for weight in writes:
        weight.copy_(einsum(weight, rotation, written))
    for weight in reads:
        weight.copy_(einsum(weight, rotation, read))
    model.W_read_out.copy_(model.W_read_out @ rotation)
