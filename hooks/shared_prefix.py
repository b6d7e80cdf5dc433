"""Many queries after one prefix, which is run once for all of them.

In a causal transformer the last token of a prompt changes nothing before it. The keys and values
of the tokens before it are therefore computed once, and every query attends to them and to
itself, but not to other queries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from hooks.architectures.gpt2 import GPT2, Attention
from hooks.architectures.looped import LoopedTransformer
from hooks.finite import check_finite
from hooks.inference import inference
from hooks.model import SequenceModel
from hooks.sites import Site
from hooks.tokens import make_tokens

PrefixSharing = GPT2 | LoopedTransformer
"""Causal softmax transformers of ours."""


def shares_prefixes(model: SequenceModel) -> TypeGuard[PrefixSharing]:
    """Whether `run_queries` can run a model; others run every query by itself.

    A model with hooks on it cannot: they may change activations, and queries do not pass them.
    """
    is_known = isinstance(model, LoopedTransformer) or (
        type(model) is GPT2 and model.config.attention == "softmax"
    )
    return is_known and not any(
        part._forward_hooks or part._forward_pre_hooks for part in model.modules()
    )


def run_queries(
    model: PrefixSharing,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    queries: Float[Tensor, "query dim"] | Float[Tensor, "prompt query dim"],
    points: slice = slice(None),
) -> Iterator[tuple[Site, Float[Tensor, "prompt point query d_model"]]]:
    """Puts queries in place of x at points, one at a time, and yields what sites hold.

    Sites come in the order in which the forward pass reaches them, so that only one need be kept.
    To be run in inference mode.

    Args:
        model: One that `shares_prefixes`.
        xs: Examples.
        ys: Their targets.
        queries: The same for all prompts, or each prompt's own.
        points: Where queries are put.
    """
    xs, ys, queries = (part.to(model.device, model.dtype) for part in (xs, ys, queries))
    if queries.ndim == 2:
        queries = queries.expand(len(xs), -1, -1)
    prefix = _keys_and_values(model, xs, ys)
    tokens = make_tokens(model.config.tokens, xs, ys)
    every = torch.arange(tokens.shape[1], device=tokens.device)
    at = every[model.prediction_tokens(xs.shape[1])][points]
    is_visible = every < at[:, None]  # [point, token]
    asked = tokens[:, at, None].repeat(1, 1, queries.shape[1], 1)
    asked[..., -queries.shape[2] :] = queries[:, None]  # x is the last part of every token
    embedding = model.read_in(asked) + model.W_pos(at)[:, None]
    shape = embedding.shape[1:3]
    resid = embedding = embedding.flatten(1, 2)  # [prompt, (point query), d_model]
    yield Site(0), resid.unflatten(1, shape)
    for layer, (block, (keys, values)) in enumerate(zip(_blocks(model), prefix, strict=True), 1):
        if layer > 1 and isinstance(model, LoopedTransformer):
            resid = model.between_loops(resid, embedding)
        seen = {"resid_pre": resid}
        z = _attend(block.attn, block.ln1(resid), keys, values, is_visible)
        if "z" in model.site_kinds:
            seen["z"] = z
        seen["attn_out"] = block.attn.W_O(z)
        resid = resid + seen["attn_out"]
        if "mlp_out" in model.site_kinds:
            seen["resid_mid"] = resid
            seen["mlp_out"] = block.mlp(block.ln2(resid))
            resid = resid + seen["mlp_out"]
        seen["resid_post"] = resid
        for kind, activation in seen.items():
            yield Site(layer, kind), activation.unflatten(1, shape)


def last_activations(
    model: PrefixSharing,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    queries: Float[Tensor, "prompt query dim"],
) -> Float[Tensor, "layer prompt query d_model"]:
    """The residual stream of every layer at each of the queries, put in place of the last x.

    The last layer is read after the final norm, as by `hooks.capture`.

    Raises:
        NonFiniteError: A query, prompt or activation is NaN or infinite.
    """
    for values, name in ((xs, "xs"), (ys, "ys"), (queries, "queries")):
        check_finite(values, name)
    sites = model.sites()
    seen: list[Tensor] = []
    with inference(model):
        for site, activations in run_queries(model, xs, ys, queries, slice(-1, None)):
            if site in sites:
                seen.append(activations[:, 0])
        seen[-1] = model.final_norm(seen[-1])
    for site, activations in zip(sites, seen, strict=True):
        check_finite(activations, f"site {site}")
    return torch.stack(seen).clone()


def _blocks(model: PrefixSharing) -> list[Any]:
    if isinstance(model, LoopedTransformer):
        return [model.shared_block] * model.n_layers
    return list(model.blocks)


def _keys_and_values(model: PrefixSharing, xs: Tensor, ys: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Keys and values [prompt, head, token, d] of every layer."""
    keys: list[Tensor] = []
    values: list[Tensor] = []

    def record(into: list[Tensor]) -> Callable[..., None]:
        def hook(activation: Tensor, *, hook: Any) -> None:  # noqa: ARG001
            into.append(rearrange(activation, "prompt token head d -> prompt head token d"))

        return hook

    attention = dict.fromkeys(block.attn for block in _blocks(model))
    model.run_with_hooks(
        xs,
        ys,
        fwd_hooks=[
            (getattr(attn, f"hook_{part}").name, record(into))
            for attn in attention
            for part, into in (("k", keys), ("v", values))
        ],
    )
    return list(zip(keys, values, strict=True))


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
