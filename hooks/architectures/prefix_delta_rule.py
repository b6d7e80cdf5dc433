"""The delta rule within each prefix: every token corrects what those before it have written."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.architectures.prefix_attention import PrefixAttention
from hooks.architectures.prefix_segments import PrefixSegments


class PrefixDeltaRule(PrefixAttention):
    """Weights of a delta-rule layer, S_t = S_{t-1} + (v_t - S_{t-1} k_t) k_t^T / |k_t|^2, S_0 = 0.

    The output of a token is S_t q_t; one whose key is 0 writes nothing (Schlag et al. 2021, with a
    learning rate of 1 on keys of length 1). As attention it has a pattern: with the corrections
    u_t = (v_t - sum_{s<t} (k_s·k_t) u_s) / |k_t|^2, which are linear in v, the output is
    sum_{s<=t} (q_t·k_s) u_s.
    """

    def __init__(
        self, d_model: int, *, n_heads: int, d_head: int, d_value: int, n_points: int
    ) -> None:
        sizes = {"n_heads": n_heads, "d_head": d_head, "d_value": d_value, "n_points": n_points}
        super().__init__(d_model, **sizes, rectified=False)

    def _pattern(
        self,
        q: Float[Tensor, "head d_head query prompt"],
        k: Float[Tensor, "head d_head key prompt"],
    ) -> Float[Tensor, "head query key prompt"]:
        queries, keys = _by_prompt(q, k)
        pattern = (queries @ keys.mT).tril() @ _corrections(queries, keys)
        return rearrange(pattern, "prompt head query key -> head query key prompt")

    def _visible(self, same_prefix: Float[Tensor, "query key"]) -> Float[Tensor, "query key"]:
        return same_prefix.tril()

    def _pattern_of(
        self,
        scores: Float[Tensor, "prompt head query key"],
        q: Float[Tensor, "head d_head token prompt"],
        k: Float[Tensor, "head d_head token prompt"],
        segments: PrefixSegments,
    ) -> Float[Tensor, "prompt head query key"]:
        corrections = torch.zeros_like(scores)
        queries, keys = _by_prompt(q, k)
        for part in segments.slices:
            corrections[..., part, part] = _corrections(queries[:, :, part], keys[:, :, part])
        return scores @ corrections


def _by_prompt(
    *parts: Float[Tensor, "head d token prompt"],
) -> tuple[Float[Tensor, "prompt head token d"], ...]:
    return tuple(rearrange(part, "head d token prompt -> prompt head token d") for part in parts)


def _corrections(
    queries: Float[Tensor, "prompt head token d"], keys: Float[Tensor, "prompt head token d"]
) -> Float[Tensor, "prompt head token value"]:
    """The matrix that makes corrections u of values v.

    A key that is but rounding beside its token's query, as a key of 0 is in a stream that was
    turned, is taken for 0.
    """
    square, whole = (part.square().sum(-1, keepdim=True) for part in (keys, queries))
    is_key = square > torch.finfo(keys.dtype).eps * whole
    # The inner choice keeps 1 / 0 out of the backward pass, where 0 times its slope is NaN.
    rate = torch.where(is_key, 1 / torch.where(is_key, square, 1.0), 0.0)
    interference = (rate * (keys @ keys.mT)).tril(-1)
    # The diagonal is taken for ones, so this solves (1 + interference) u = rate v.
    return torch.linalg.solve_triangular(
        interference, torch.diag_embed(rate[..., 0]), upper=False, unitriangular=True
    )
