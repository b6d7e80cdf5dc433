"""Reading any `torch.nn.Module` as if it were one of our models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from hooks.attached_model import AttachedModel, Layout, Points, Predict
from hooks.finite import check_finite
from hooks.foreign import unwrapped
from hooks.inference import inference
from hooks.model import ModelConfig
from hooks.module_names import PatternError, longest_module_list, match_modules
from hooks.read_positions import check_read_positions
from hooks.sites import Site
from hooks.wiring import check_wiring

N_TRIAL_PROMPTS = 3
Pattern = str | Sequence[str]
Calls = Literal["once", "each"]


def attach(
    module: nn.Module,
    predict: Predict,
    *,
    n_dims: int,
    n_points: int,
    layers: Pattern | None = None,
    attn_out: Pattern | None = None,
    mlp_out: Pattern | None = None,
    calls: Calls = "once",
    points: Points | None = None,
    points_from: int = 0,
    batch_first: bool = True,
    causal: bool = True,
    final_norm: str | None = None,
    name: str | None = None,
    check: bool = True,
) -> AttachedModel:
    """Gives a trained module the interface of our own models, and leaves it as it is.

    The module is run on a few made-up prompts, in evaluation and inference mode, to see that all
    fits together and that it does not see its own answers; its modes, hooks and random numbers
    are afterwards as before.

    Args:
        module: Any model, on any device, in any dtype. Compiled ones (`torch.compile`) run
            uncompiled wherever they are read, since compiled code does not call hooks, and one in
            DataParallel or the like on its first device.
        predict: Runs it: given the module, xs [prompt, point, dim] and ys [prompt, point] in its
            dtype and on its device, returns the predictions [prompt, point]; with `causal=False`
            the last point's alone, [prompt], will do. A distribution is reduced here, say to its
            mean.
        n_dims: Dimension of each x.
        n_points: Longest prompt it takes, in (x, y) pairs.
        layers: Names of the layers, whose output is `resid_post`: a pattern such as
            "backbone.h.*", where `*` is any one part of a name, or a list. None takes the longest
            `ModuleList` and warns of what it took.
        attn_out: The same for modules whose output is `attn_out`, one a layer; None for no such
            sites.
        mlp_out: The same for `mlp_out`.
        calls: "once", or "each" for modules that run several times in a pass (looped, tied
            weights): every call is a layer, in the order of the calls.
        points: Positions of the predictions on the layers' sequence axis: a slice, indices, or a
            function from the number of points to either. By default those of the x in x and y
            tokens in turn; with `causal=False` the last token of every prefix.
        points_from: First point that the module can be read at; before it predictions and
            activations are NaN, and one that is not causal is not run on shorter prefixes.
        batch_first: Whether layers hold [prompt, token, …]; otherwise [token, prompt, …].
        causal: Whether a prediction depends on nothing after its point's x. If not, the model is
            run once for every prefix, with the y of the prefix's last point set to 0.
        final_norm: Name of the normalisation between the last layer and the read-out, if any.
        name: What to call it in tables and messages; by default its class.
        check: Whether to refuse a module that sees its own answers.

    Returns:
        A model for `capture`, for matching and for interventions. Layer 0 is what enters the
        first layer.

    Raises:
        PatternError: A pattern matches nothing, or not one module a layer; the message shows the
            module tree and what did match.
        ValueError: predict returns something else than predictions, layers differ in width, or
            `points` or `batch_first` do not fit what the layers return.
        WiringError: Predictions or activations see the answer of their own point, or later pairs.
        NonFiniteError: The module gives NaN or infinite values; the message says at which points.
    """
    if calls not in get_args(Calls):
        raise ValueError(f"calls must be 'once' or 'each', got {calls!r}")
    if not 0 <= points_from < max(n_points, 1):
        raise ValueError(f"points_from must be in 0..{n_points - 1}, got {points_from}")
    module = unwrapped(module)
    if layers is None:
        names = longest_module_list(module)
        warnings.warn(
            f"layers is not given; took {names[0]} … {names[-1]} ({len(names)} layers)",
            stacklevel=2,
        )
    else:
        names = match_modules(module, layers, "layers")
    modules = {"resid_post": tuple(names)}
    count = None if calls == "each" else len(names)
    for kind, pattern in (("attn_out", attn_out), ("mlp_out", mlp_out)):
        if pattern is not None:
            modules[kind] = tuple(match_modules(module, pattern, kind, count=count))
    if final_norm is not None:
        [final_norm] = match_modules(module, final_norm, "final_norm", count=1)
    if points is None:
        points = slice(0, None, 2) if causal else slice(-1, None)
    layout = Layout(points, batch_first, causal, points_from)
    config = ModelConfig(n_dims=n_dims, n_points=n_points, n_layers=len(names), d_model=1)
    if calls == "each":
        modules = _in_order_of_calls(AttachedModel(module, predict, config, modules, layout))
        config = replace(config, n_layers=len(modules["resid_post"]))
    trial = AttachedModel(module, predict, config, modules, layout, final_norm)
    widths = _try(trial)
    for kind, of_layers in widths.items():
        if len(set(of_layers)) > 1:
            listed = ", ".join(
                f"{name} {width}" for name, width in zip(modules[kind], of_layers, strict=True)
            )
            raise ValueError(f"the modules of {kind} differ in width: {listed}")
    config = replace(config, d_model=widths["resid_post"][0])
    model = AttachedModel(module, predict, config, modules, layout, final_norm)
    if name is not None:
        model.name = name
    check_read_positions(model)
    if check:
        check_wiring(model)
    model.is_wiring_checked = True
    return model


def _trial_prompts(model: AttachedModel) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (N_TRIAL_PROMPTS, model.config.n_points, model.config.n_dims)
    xs, ys = torch.randn(shape, generator=generator), torch.randn(shape[:2], generator=generator)
    return xs.to(model.device), ys.to(model.device)


def _in_order_of_calls(model: AttachedModel) -> dict[str, tuple[str, ...]]:
    """Names of the modules of every kind, each as often as it runs, in the order of the calls."""
    called: dict[str, list[str]] = {kind: [] for kind in model.modules_of_kind}
    xs, ys = _trial_prompts(model)
    with ExitStack() as stack:
        for kind, names in model.modules_of_kind.items():
            for name in names:
                handle = model.module.get_submodule(name).register_forward_hook(
                    lambda *_, kind=kind, name=name: called[kind].append(name)
                )
                stack.callback(handle.remove)
        stack.enter_context(_kept_random_numbers(model))
        stack.enter_context(inference(model))
        model.run_module(xs.to(model.dtype), ys.to(model.dtype))
    n_calls = {kind: len(names) for kind, names in called.items()}
    if len(set(n_calls.values())) > 1 or not n_calls["resid_post"]:
        raise PatternError(
            "calls='each' needs as many calls of every kind of site and at least one; the modules "
            f"ran {', '.join(f'{n} times ({kind})' for kind, n in n_calls.items())}"
        )
    return {kind: tuple(names) for kind, names in called.items()}


def _try(model: AttachedModel) -> dict[str, list[int]]:
    """Runs a model on made-up prompts; gives the width of every layer for every kind of site."""
    n_points = model.config.n_points
    xs, ys = _trial_prompts(model)
    sites = [site for kind in model.site_kinds for site in model.sites(kind)]
    seen: dict[Site, list[tuple[int, ...]]] = {site: [] for site in sites}

    def record(activation: Tensor, *, hook: Any, site: Site) -> None:  # noqa: ARG001
        seen[site].append(_points_shape(model, site, activation))

    with _kept_random_numbers(model), inference(model):
        predictions = model.run_with_hooks(
            xs,
            ys,
            fwd_hooks=[(model.hook_name(site), partial(record, site=site)) for site in sites],
        )
    check_finite(
        predictions,
        "predictions",
        points=model.readable_points(n_points),
        opener="attach",
        in_match=False,
    )
    for site, shapes in seen.items():
        found = sum(shape[1] for shape in shapes)
        if found != n_points:
            raise ValueError(
                f"{_place(model, site)} was seen at {found} points of prompts with {n_points}; "
                "do `layers` name modules that run (once, or with calls='each'), and `points` one "
                "position a point?"
            )
    return {
        kind: [seen[Site(layer, kind)][0][2] for layer in range(1, model.n_layers + 1)]
        for kind in model.site_kinds
    }


def _kept_random_numbers(model: AttachedModel) -> AbstractContextManager[Any]:
    return torch.random.fork_rng([model.device] if model.device.type == "cuda" else [])


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
