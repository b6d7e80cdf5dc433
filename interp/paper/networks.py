"""Fig. 20 and 21: two-layer networks as the function class."""

from __future__ import annotations

import torch

from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Check, Drawing, Finding, Outcome, not_shipped
from interp.paper.growth import order_check
from interp.paper.heatmaps import GD_GRID
from interp.paper.layer_predictions import LayerPredictions
from interp.paper.matches import Matches, match_layers, official_eta
from interp.paper.network_gd import network_gd
from interp.paper.pictures import (
    LAYER_AXIS,
    arranged,
    heatmap_panel,
    level,
    line,
    log_error_axis,
)
from interp.paper.scale import describe
from interp.paper.settings import N_GROUPS
from interp.plots.panel import Panel
from interp.plots.style import INK, Look
from interp.tasks import TwoLayerNetwork
from interp.training.baseline import baseline_predictions
from probes.matching import StepGrid
from probes.references import GD, Prefixes
from probes.similarity import error_directions, group_similarity

NETWORK_GRID = StepGrid((0.0, *(2.0**k for k in range(11))), "log")
MOST_PROMPTS = 64


def relu_networks(row: Row, cast: Cast) -> Finding:
    """Convergence on ReLU networks, and similarity with GD on the same network."""
    return _networks(row, cast)


def tanh_networks(row: Row, cast: Cast) -> Finding:
    """Convergence on Tanh networks, and similarity with GD on the same network."""
    return _networks(row, cast)


def _networks(row: Row, cast: Cast) -> Finding:
    role = row.needs[0]
    layers = cast.layers(role)
    missing = tuple(cast.lacks(needed) for needed in row.needs if cast.find(needed) is None)
    if layers is None:
        return Finding(row, (not_shipped(row.says, missing[0]),), missing=missing)
    assert isinstance(layers.task, TwoLayerNetwork)
    about = describe(cast, role)
    limit = baseline_predictions(layers.task, layers.prefixes.xs, layers.ys)
    claim = "the error falls superlinearly over the layers at work"
    gd = match_network_gd(layers, cast.settings.few(MOST_PROMPTS), cast.settings.seed)
    checks = (
        order_check(claim, layers, limit, about=about),
        _less_like_gd(gd, cast, about),
    )
    errors = layers.errors.mean((1, 2))
    best = (limit - layers.ys).square().mean().item() / layers.task.n_dims
    figure = arranged(
        Panel(
            "Error against layer",
            [
                line(list(range(len(errors))), errors, Look("transformer", INK, "solid", "circle")),
                level(best, "best predictor linear in y", (0.0, float(len(errors) - 1))),
            ],
            LAYER_AXIS,
            log_error_axis(errors, torch.tensor([best])),
        ),
        heatmap_panel(gd, "gd", title="GD on the same network"),
    )
    drawing = Drawing(
        row.key,
        "Convergence, and similarity with GD on the same network",
        f"{about}. Left squared error / d of each layer's read-out; right SimE with GD on a "
        "network of the same kind, trained on each prefix, at powers of 2.",
        figure,
    )
    return Finding(row, checks, (drawing,), data=gd.data("network_gd"), missing=missing)


def match_network_gd(layers: LayerPredictions, n_prompts: int, seed: int) -> Matches:
    """SimE of every layer with GD on the same network, on the first prompts."""
    assert isinstance(layers.task, TwoLayerNetwork)
    ys = layers.ys[:n_prompts]
    few = Prefixes(layers.prefixes.xs[:n_prompts], ys)
    directions = error_directions(layers.layers[:, :n_prompts], ys, "official")
    steps = [int(step) for step in NETWORK_GRID.steps]
    groups = [
        group_similarity(directions, error_directions(said[None], ys, "official"), N_GROUPS)
        for _, said in network_gd(layers.task, few, steps, seed)
    ]
    return Matches.of(torch.cat(groups, dim=-1), NETWORK_GRID, whole=True, seed=0)


def _less_like_gd(gd: Matches, cast: Cast, about: str) -> Check:
    claim = "the last layer is less like GD than on linear tasks"
    criterion = "95 % intervals of the two do not overlap; disagrees if they lie the other way"
    linear = cast.layers("transformer")
    if linear is None:
        return not_shipped(claim, cast.lacks("transformer"))
    plain = match_layers(linear, GD(official_eta(linear.prefixes)), GD_GRID)
    here, there = gd.best_interval[-1].tolist(), plain.best_interval[-1].tolist()
    outcome: Outcome = "cannot be told"
    if here[1] < there[0]:
        outcome = "agrees"
    elif here[0] > there[1]:
        outcome = "disagrees"
    found = (
        f"SimE {gd.best[-1]:.3f} ({here[0]:.3f} to {here[1]:.3f}) at step {gd.step[-1]:.0f}, "
        f"linear {plain.best[-1]:.3f} ({there[0]:.3f} to {there[1]:.3f})"
    )
    return Check(claim, found, criterion, outcome, about=about)
