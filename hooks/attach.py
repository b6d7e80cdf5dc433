"""Reading any `torch.nn.Module` as if it were one of our models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hooks.attached_model import AttachedModel, Layout, Points, Predict
from hooks.inference import inference
from hooks.model import ModelConfig
from hooks.module_names import longest_module_list, match_modules
from hooks.sites import Site

N_TRIAL_PROMPTS = 3
Pattern = str | Sequence[str]


def attach(
    module: nn.Module,
    predict: Predict,
    *,
    n_dims: int,
    n_points: int,
    layers: Pattern | None = None,
    attn_out: Pattern | None = None,
    mlp_out: Pattern | None = None,
    points: Points = slice(0, None, 2),
    batch_first: bool = True,
    causal: bool = True,
    final_norm: str | None = None,
) -> AttachedModel:
    """Gives a trained module the interface of our own models, and leaves it as it is.

    The module is run once on three made-up prompts, in evaluation and inference mode, to see
    that all fits together; its modes, hooks and random numbers are afterwards as before.

    Args:
        module: Any model, on any device, in any dtype.
        predict: Runs it: given the module, xs [prompt, point, dim] and ys [prompt, point] in its
            dtype and on its device, returns the predictions [prompt, point].
        n_dims: Dimension of each x.
        n_points: Longest prompt it takes, in (x, y) pairs.
        layers: Names of the layers, whose output is `resid_post`: a pattern such as
            "backbone.h.*", where `*` is any one part of a name, or a list. None takes the longest
            `ModuleList` and warns of what it took.
        attn_out: The same for modules whose output is `attn_out`, one a layer; None for no such
            sites.
        mlp_out: The same for `mlp_out`.
        points: Positions of the predictions on the layers' sequence axis: a slice, indices, or a
            function from the number of points to either. The default is for x and y tokens in
            turn.
        batch_first: Whether layers hold [prompt, token, …]; otherwise [token, prompt, …].
        causal: Whether a prediction depends on nothing after its point's x. If not, the model is
            run once for every prefix, with the y of the prefix's last point set to 0.
        final_norm: Name of the normalisation between the last layer and the read-out, if any.

    Returns:
        A model for `capture`, for matching and for interventions. Layer 0 is what enters the
        first layer.

    Raises:
        PatternError: A pattern matches nothing, or not one module a layer; the message shows the
            module tree and what did match.
        ValueError: predict returns something else than predictions, layers differ in width, or
            `points` or `batch_first` do not fit what the layers return.
    """
    if layers is None:
        names = longest_module_list(module)
        warnings.warn(
            f"layers is not given; took {names[0]} … {names[-1]} ({len(names)} layers)",
            stacklevel=2,
        )
    else:
        names = match_modules(module, layers, "layers")
    modules = {"resid_post": tuple(names)}
    for kind, pattern in (("attn_out", attn_out), ("mlp_out", mlp_out)):
        if pattern is not None:
            modules[kind] = tuple(match_modules(module, pattern, kind, count=len(names)))
    if final_norm is not None:
        match_modules(module, final_norm, "final_norm", count=1)
    layout = Layout(points, batch_first, causal)
    config = ModelConfig(n_dims=n_dims, n_points=n_points, n_layers=len(names), d_model=1)
    trial = AttachedModel(module, predict, config, modules, layout, final_norm)
    widths = _try(trial)
    for kind, of_layers in widths.items():
        if len(set(of_layers)) > 1:
            listed = ", ".join(
                f"{name} {width}" for name, width in zip(modules[kind], of_layers, strict=True)
            )
            raise ValueError(f"the modules of {kind} differ in width: {listed}")
    config = replace(config, d_model=widths["resid_post"][0])
    return AttachedModel(module, predict, config, modules, layout, final_norm)


def _try(model: AttachedModel) -> dict[str, list[int]]:
    """Runs a model on made-up prompts; gives the width of every layer for every kind of site."""
    n_points = model.config.n_points
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(N_TRIAL_PROMPTS, n_points, model.config.n_dims, generator=generator)
    ys = torch.randn(N_TRIAL_PROMPTS, n_points, generator=generator)
    sites = [site for kind in model.site_kinds for site in model.sites(kind)]
    seen: dict[Site, list[tuple[int, ...]]] = {site: [] for site in sites}

    def record(activation: Tensor, *, hook: Any, site: Site) -> None:  # noqa: ARG001
        seen[site].append(_points_shape(model, site, activation))

    cuda = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(cuda), inference(model):
        model.run_with_hooks(
            xs.to(model.device),
            ys.to(model.device),
            fwd_hooks=[(model.hook_name(site), partial(record, site=site)) for site in sites],
        )
    for site, shapes in seen.items():
        found = sum(shape[1] for shape in shapes)
        if found != n_points:
            raise ValueError(
                f"{_place(model, site)} was seen at {found} points of prompts with {n_points}; "
                "do `layers` name modules that run once, and `points` one position a point?"
            )
    return {
        kind: [seen[Site(layer, kind)][0][2] for layer in range(1, model.n_layers + 1)]
        for kind in model.site_kinds
    }


def _points_shape(model: AttachedModel, site: Site, activation: Tensor) -> tuple[int, ...]:
    if activation.shape[0] != N_TRIAL_PROMPTS:
        raise ValueError(
            f"{_place(model, site)} is {tuple(activation.shape)} on {N_TRIAL_PROMPTS} prompts, "
            f"expected prompts on its first axis; is batch_first={model.layout.is_batch_first} "
            "right?"
        )
    try:
        return model.read_site(activation, N_TRIAL_PROMPTS, model.config.n_points).flatten(2).shape
    except IndexError:
        raise ValueError(
            f"points={model.layout.points} does not fit the {activation.shape[1]} positions of "
            f"{_place(model, site)}"
        ) from None


def _place(model: AttachedModel, site: Site) -> str:
    names = model.modules_of_kind[site.kind]
    if site.layer == 0:
        return f"what {names[0]} is given"
    return f"the output of {names[site.layer - 1]}"
