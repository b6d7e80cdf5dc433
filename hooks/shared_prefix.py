"""Many queries after one prefix, which is run once for all of them.

In a causal transformer the last token of a prompt changes nothing before it. The keys and values
of the tokens before it are therefore computed once, and every query attends to them and to
itself, but not to other queries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from hooks.architectures.gpt2 import GPT2, Attention
from hooks.model import SequenceModel
from hooks.sites import Site
from hooks.tokens import make_tokens


def shares_prefixes(model: SequenceModel) -> bool:
    """Whether `run_queries` can run a model; others run every query by itself."""
    return type(model) is GPT2 and model.config.attention == "softmax"


def run_queries(
    model: GPT2,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    queries: Float[Tensor, "query dim"],
) -> Iterator[tuple[Site, Float[Tensor, "prompt point query d_model"]]]:
    """Puts every query in place of x at every point, one at a time, and yields what sites hold.

    Sites come in the order in which the forward pass reaches them, so that only one need be kept.
    To be run in inference mode.
    """
    xs, ys, queries = (part.to(model.device, model.dtype) for part in (xs, ys, queries))
    prefix = _keys_and_values(model, xs, ys)
    tokens = make_tokens(model.config.tokens, xs, ys)
    at = torch.arange(tokens.shape[1], device=tokens.device)[model.prediction_tokens(xs.shape[1])]
    is_visible = torch.arange(tokens.shape[1], device=tokens.device) < at[:, None]  # [point, token]
    asked = tokens[:, at, None].repeat(1, 1, len(queries), 1)
    asked[..., -queries.shape[1] :] = queries  # x is the last part of its token in every layout
    resid = model.read_in(asked) + model.W_pos(at)[:, None]
    shape = resid.shape[1:3]
    resid = resid.flatten(1, 2)  # [prompt, (point query), d_model]
    yield Site(0), resid.unflatten(1, shape)
    blocks: list[Any] = list(model.blocks)
    for layer, (block, (keys, values)) in enumerate(zip(blocks, prefix, strict=True), start=1):
        seen = {"resid_pre": resid}
        seen["z"] = _attend(block.attn, block.ln1(resid), keys, values, is_visible)
        seen["attn_out"] = block.attn.W_O(seen["z"])
        resid = resid + seen["attn_out"]
        if not block.attn_only:
            seen["resid_mid"] = resid
            seen["mlp_out"] = block.mlp(block.ln2(resid))
            resid = resid + seen["mlp_out"]
        seen["resid_post"] = resid
        for kind, activation in seen.items():
            yield Site(layer, kind), activation.unflatten(1, shape)


def _keys_and_values(model: GPT2, xs: Tensor, ys: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Keys and values [prompt, head, token, d] of every layer."""
    seen: dict[str, Tensor] = {}

    def record(activation: Tensor, *, hook: Any) -> None:
        seen[hook.name] = rearrange(activation, "prompt token head d -> prompt head token d")

    names = [f"blocks.{layer}.attn.hook_{part}" for layer in range(model.n_layers) for part in "kv"]
    model.run_with_hooks(xs, ys, fwd_hooks=[(name, record) for name in names])
    return [(seen[key], seen[value]) for key, value in zip(names[::2], names[1::2], strict=True)]


def _attend(
    attn: Attention,
    x: Float[Tensor, "prompt asked d_model"],
    keys: Float[Tensor, "prompt head token d"],
    values: Float[Tensor, "prompt head token d"],
    is_visible: Bool[Tensor, "point token"],
) -> Float[Tensor, "prompt asked d_model"]:
    """Attention of queries, all those of a point after those of the one before."""
    q, k, v = (
        rearrange(part, "prompt asked (head d) -> prompt head asked d", head=attn.n_heads)
        for part in attn.W_QKV(x).chunk(3, -1)
    )
    q = q / math.sqrt(q.shape[-1])
    hidden = ~is_visible.repeat_interleave(x.shape[1] // len(is_visible), dim=0)  # [asked, token]
    # One column more than tokens: the query itself. Zeros hold its place in keys and values.
    keys, values, hidden = (
        F.pad(keys, (0, 0, 0, 1)),
        F.pad(values, (0, 0, 0, 1)),
        F.pad(hidden, (0, 1)),
    )
    scores = (q @ keys.mT).masked_fill_(hidden, -torch.inf)
    scores[..., -1] = (q * k).sum(-1)
    pattern = scores.softmax(-1)
    z = pattern @ values + pattern[..., -1:] * v
    return rearrange(z, "prompt head asked d -> prompt asked (head d)")
