"""Fig. 20 and 21: two-layer networks as the function class."""

from __future__ import annotations

import torch

from interp.plots.panel import Panel
from interp.plots.style import INK, MUTED, Look
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity
from interp.studies.paper.figures.heatmaps import GD_GRID
from interp.studies.paper.growth_claims import order_claim
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.network_gd import network_gd
from interp.studies.paper.paper_setup import N_GROUPS
from interp.studies.paper.plots import (
    LAYER_AXIS,
    arranged,
    heatmap_panel,
    log_error_axis,
    plain_line,
)
from interp.studies.paper.reproduction import Drawing, Part
from interp.tasks import TwoLayerNetwork
from probes.matching import StepGrid
from probes.references import GD, Prefixes
from probes.similarity import error_directions, group_similarity

NETWORK_GRID = StepGrid((0.0, *(2.0**k for k in range(11))), "log")
MOST_PROMPTS = 64


def networks(models: PaperModels) -> Part:
    """Convergence on networks, and similarity with GD on the same network."""
    found = dict(models.given)
    linear = found.pop("transformer", None)
    if not found:
        return Part()
    (model,) = found.values()
    gd = match_network_gd(model)
    claims = [order_claim(model)]
    if linear is not None:
        claims.append(_less_like_gd(gd, model, linear.match(GD(linear.eta), GD_GRID)))
    errors = model.layers.errors.mean((1, 2))
    best = (model.best_predictions - model.layers.ys).square().mean().item() / model.task.n_dims
    limit = Look("best predictor linear in y", MUTED, "dash", "circle")
    figure = arranged(
        Panel(
            "Error against layer",
            [
                plain_line(range(len(errors)), errors, Look("transformer", INK, "solid", "circle")),
                plain_line([0, len(errors) - 1], [best, best], limit, mode="lines"),
            ],
            LAYER_AXIS,
            log_error_axis(errors, torch.tensor([best])),
        ),
        heatmap_panel(gd, "gd", title="GD on the same network"),
    )
    drawing = Drawing.of("networks", figure, model=model)
    return Part(tuple(claims), (drawing,), data=gd.data("network_gd"))


def match_network_gd(model: PaperModel) -> LayerMatches:
    """SimE of every layer with GD on the same network, on the first prompts."""
    assert isinstance(model.task, TwoLayerNetwork)
    settings, layers = model.settings, model.layers
    n_prompts = settings.few(MOST_PROMPTS)
    ys = layers.ys[:n_prompts]
    few = Prefixes(layers.prefixes.xs[:n_prompts], ys)
    directions = error_directions(layers.layers[:, :n_prompts], ys, "official")
    steps = [int(step) for step in NETWORK_GRID.steps]
    groups = [
        group_similarity(directions, error_directions(predictions[None], ys, "official"), N_GROUPS)
        for _, predictions in network_gd(model.task, few, steps, settings.seed)
    ]
    return LayerMatches.of(torch.cat(groups, dim=-1), NETWORK_GRID, interpolate=False)


def _less_like_gd(gd: LayerMatches, model: PaperModel, plain: LayerMatches) -> Claim:
    here, there = (Quantity.of(found.best[-1], found.best_interval[-1]) for found in (gd, plain))
    text = f"SimE {here.text()} at step {gd.step[-1]:.0f}, linear {there.text()}"
    return Claim.of("less-like-gd", text, there - here, about=model.about)
