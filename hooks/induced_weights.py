"""Weights that a model's predictions, and its layers, imply for the next x.

For a fixed prefix the prediction is a function of the next x. Regressed on T >> d fresh queries
it gives the induced weights (Fu et al. 2024, Section 4.2): w = Q^+ f(Q).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from hooks.capture import capture
from hooks.finite import check_finite
from hooks.foreign import own_model
from hooks.inference import inference
from hooks.model import SequenceModel
from hooks.shared_prefix import run_queries, shares_prefixes
from hooks.sites import Site

MAX_NUMBERS = 2**22
"""Size of the largest array, about; prompts are taken in groups, which keeps them in the cache."""


class Induced(NamedTuple):
    """Induced weights after every prefix of one batch of prompts, in the model's dtype."""

    weights: Float[Tensor, "prompt point dim"]
    """Of the model's own predictions."""
    maps: Float[Tensor, "site prompt point dim d_model"]
    """Of activations: a site's read-out r, with bias b, induces maps @ r + b * constant."""
    constant: Float[Tensor, " dim"]
    """Of a prediction that is 1 whatever the query; near 0 where queries are many and centred."""
    sites: tuple[Site, ...]


def induce_weights(
    model: SequenceModel,
    prompts: Iterable[Any],
    queries: Float[Tensor, "query dim"],
    sites: Sequence[Site] = (),
) -> Iterator[Induced]:
    """Streams the weights induced after every prefix of every prompt.

    On our softmax transformers the queries share the prefix's keys and values. All other models
    run every query by itself, which takes as many forward passes as there are queries and points;
    a warning says so.

    Args:
        model: One of our models or an attached one.
        prompts: Batches that start with xs [prompt, point, dim] and ys [prompt, point], or one.
            After point t's prefix of t pairs the queries take the place of its x.
        queries: Fresh inputs, the same for all prefixes; many more than dims.
        sites: Where to read maps as well. The last layer's `resid_post` is read after the final
            LayerNorm, as by `capture`.

    Returns:
        An iterator of one `Induced` a batch.

    Raises:
        ValueError: Too few queries, queries that do not span all dims or fit the model, or a site
            that the model does not have.
        NonFiniteError: A query, prompt or activation is NaN or infinite.
    """
    model = own_model(model)
    n_queries, n_dims = queries.shape
    if n_dims != model.config.n_dims:
        raise ValueError(f"queries has {n_dims} dims, the model takes {model.config.n_dims}")
    check_finite(queries, "queries")
    if n_queries <= n_dims or torch.linalg.matrix_rank(queries.double()) < n_dims:
        raise ValueError(
            f"queries holds {n_queries} inputs, not enough to span {n_dims} dims; take T >> d"
        )
    sites = tuple(sites)
    for site in sites:
        model.hook_name(site)
    if isinstance(prompts, tuple) and isinstance(prompts[0], Tensor):
        prompts = [prompts]
    if not shares_prefixes(model):
        warnings.warn(
            f"{type(model).__name__} runs every query by itself: {n_queries} forward passes "
            "a point and prompt",
            stacklevel=2,
        )
    return _stream(model, prompts, queries, sites)


def _stream(
    model: SequenceModel, prompts: Iterable[Any], queries: Tensor, sites: tuple[Site, ...]
) -> Iterator[Induced]:
    inverse = torch.linalg.pinv(queries.double()).to(model.device, model.dtype)  # [dim, query]
    shared = shares_prefixes(model)
    run = _shared if shared else _one_by_one
    n_seen = 0
    for batch in prompts:
        xs, ys = batch[0], batch[1]
        model.check_prompts(xs, ys)
        check_finite(xs, "xs", n_seen)
        check_finite(ys, "ys", n_seen)
        size = max(1, MAX_NUMBERS // (len(queries) * _numbers_a_query(model, xs.shape[1], shared)))
        groups = [
            run(model, xs_part, ys_part, queries, sites, inverse)
            for xs_part, ys_part in zip(xs.split(size), ys.split(size), strict=True)
        ]
        weights = torch.cat([weights for weights, _ in groups])
        maps = torch.cat([maps for _, maps in groups], dim=1)
        for site, values in zip(sites, maps, strict=True):
            check_finite(values, f"site {site}", n_seen)
        check_finite(weights, "predictions", n_seen)
        yield Induced(weights, maps, inverse.sum(1), sites)
        n_seen += len(xs)


def _numbers_a_query(model: SequenceModel, n_points: int, shared: bool) -> int:
    """About how many numbers the largest array has for one query of one prompt."""
    if shared:
        n_heads = getattr(model.config, "n_heads", 1)
        return n_points * max(4 * model.config.d_model, n_heads * 2 * n_points)
    return 2 * n_points * max(4 * model.config.d_model, 2 * n_points)


def _shared(
    model: Any, xs: Tensor, ys: Tensor, queries: Tensor, sites: tuple[Site, ...], inverse: Tensor
) -> tuple[Tensor, Tensor]:
    last = Site(model.n_layers)
    maps = inverse.new_empty(len(sites), *ys.shape, len(inverse), model.config.d_model)
    weights = inverse.new_empty(*ys.shape, len(inverse))
    with inference(model):
        for site, activations in run_queries(model, xs, ys, queries):
            if site == last:
                activations = model.final_norm(activations)
                weights.copy_(_regress(inverse, model.read_out(activations))[..., 0])
            if site in sites:
                maps[sites.index(site)] = _regress(inverse, activations)
    return weights, maps


def _one_by_one(
    model: SequenceModel,
    xs: Tensor,
    ys: Tensor,
    queries: Tensor,
    sites: tuple[Site, ...],
    inverse: Tensor,
) -> tuple[Tensor, Tensor]:
    read = sites or model.sites()[-1:]
    weights, maps = [], []
    for point in range(ys.shape[1]):
        asked_xs = xs[:, None, : point + 1].repeat(1, len(queries), 1, 1)
        asked_xs[:, :, point] = queries.to(xs)
        asked_ys = ys[:, None, : point + 1].repeat(1, len(queries), 1)
        asked_ys[:, :, point] = 0
        prompts = (asked_xs.flatten(0, 1), asked_ys.flatten(0, 1))  # [prompt query, point, …]
        [captured] = capture(model, prompts, read)
        predictions = captured.predictions[:, -1].unflatten(0, (len(xs), len(queries)))
        activations = captured.activations[:, :, -1].unflatten(1, (len(xs), len(queries)))
        weights.append(_regress(inverse, predictions[..., None])[..., 0])
        maps.append(_regress(inverse, activations[: len(sites)]))
    return torch.stack(weights, dim=1), torch.stack(maps, dim=2)


def _regress(
    inverse: Float[Tensor, "dim query"], values: Float[Tensor, "*batch query d_model"]
) -> Float[Tensor, "*batch dim d_model"]:
    return einsum(inverse, values, "dim query, ... query d_model -> ... dim d_model")
