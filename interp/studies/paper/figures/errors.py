"""Fig. 2 and 7: error against layer, beside error against steps of Newton and GD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Float
from plotly.graph_objects import Scatter
from torch import Tensor

from interp.analyses.convergence import measure_order
from interp.plots.panel import Panel, StepAxis
from interp.plots.style import ordered_looks
from interp.studies.paper.claims import Claim, Quantity, bootstrap_means
from interp.studies.paper.growth_claims import order_claim, order_of
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.paper_setup import N_GROUPS, OFFICIAL_ETA, Settings, paper_prefixes
from interp.studies.paper.plots import (
    LAYER_AXIS,
    LOG_ERROR_AXIS,
    Values,
    arranged,
    log_error_axis,
    plain_line,
)
from interp.studies.paper.reproduction import Drawing, Part
from probes.matching import StepGrid
from probes.references import GD, OLS, Newton, Prefixes, Reference

SHARES = (0.5, 1.0, 1.5, 2.0)
"""Numbers of examples that a line is drawn for, in multiples of d."""
NEWTON_GRID = StepGrid.linear(24.0, 1.0)
GD_GRID = StepGrid.log(2.0**14, 2)
NEWTON_STEPS = range(21)
GD_STEPS = range(0, 401, 20)
CONVERGED = 1e-20
"""Share of the first step's excess below which rounding decides."""


def orders_of_algorithms(models: PaperModels) -> Part:
    """Orders of convergence of Newton and of GD at d = 20."""
    newton = _order_of_steps(Newton(), NEWTON_STEPS, models.settings)
    gd = _order_of_steps(GD(OFFICIAL_ETA), GD_STEPS, models.settings)
    to_convergence = f"order {newton.text('.2f')} over steps to convergence"
    return Part(
        (
            Claim.of("newton-order", to_convergence, newton),
            Claim.of("gd-order", f"order {gd.text()} over {GD_STEPS[-1]} steps", gd),
        )
    )


def errors_by_layer(model: PaperModel) -> Part:
    """Error against layer and against steps, for several numbers of examples."""
    ours = model.layers.errors.mean(1)
    newton = errors_of_steps(Newton(), model.layers.prefixes, NEWTON_GRID)
    gd = errors_of_steps(GD(model.eta), model.layers.prefixes, GD_GRID)
    axis = StepAxis(True, GD_GRID.steps[-1])
    points = numbers_of_examples(model)
    untitled = {**LOG_ERROR_AXIS, "title": None}
    figure = arranged(
        Panel("Transformer", _lines(range(len(ours)), ours, points), LAYER_AXIS, LOG_ERROR_AXIS),
        Panel(
            "Iterative Newton",
            _lines(NEWTON_GRID.steps, newton, points, showlegend=False),
            {"title": "step (iterations)"},
            untitled,
        ),
        Panel(
            "Gradient descent",
            _lines(axis.place(np.array(GD_GRID.steps)), gd, points, showlegend=False),
            axis.properties("step"),
            untitled,
        ),
    )
    figure.update_yaxes(range=[-4.2, 0.6])
    data = xarray.Dataset(
        {
            "layer_error": (("layer", "point"), ours.numpy()),
            "newton_error": (("newton_step", "point"), newton.numpy()),
            "gd_error": (("gd_step", "point"), gd.numpy()),
        },
        {"newton_step": list(NEWTON_GRID.steps), "gd_step": list(GD_GRID.steps)},
    )
    claims = (order_claim(model), _order_of_predictions(model))
    return Part(claims, (Drawing.of("errors", figure, model=model),), data=data)


def transformer_and_lstm(models: PaperModels) -> Part:
    """Error against layer of a transformer and of an LSTM, for several numbers of examples."""
    found = models.given
    if not found:
        return Part()
    errors = {role: model.layers.errors.mean(1) for role, model in found.items()}
    points = {role: numbers_of_examples(model) for role, model in found.items()}
    axis = log_error_axis(*(errors[role][:, points[role]] for role in found))
    panels: list[Panel] = []
    for role, model in found.items():
        layers = range(len(errors[role]))
        lines = _lines(layers, errors[role], points[role], showlegend=not panels)
        panels.append(Panel(model.about, lines, LAYER_AXIS, axis))
    return Part(
        tuple(_later_layers(f"{role}-layers", model) for role, model in found.items()),
        (Drawing.of("layer-errors", arranged(*panels)),),
        data=xarray.Dataset(
            {
                f"{role}_error": ((f"{role}_layer", f"{role}_point"), values.numpy())
                for role, values in errors.items()
            }
        ),
    )


def numbers_of_examples(model: PaperModel) -> list[int]:
    """Which numbers of examples a line is drawn for: half, once, one and a half and twice d."""
    wanted = {round(share * model.task.n_dims) for share in SHARES}
    return sorted(n for n in wanted if 0 < n < model.task.n_points) or [model.task.n_points - 1]


def errors_of_steps(
    reference: Reference, prefixes: Prefixes, grid: StepGrid
) -> Float[Tensor, "step point"]:
    """Mean squared error / d of every step at every point."""
    errors = [
        (predictions - prefixes.ys).square().mean(0) / prefixes.n_dims
        for _, predictions in reference.stream_predictions(prefixes, grid.steps)
    ]
    return torch.stack(errors)


def _lines(
    x: Values, errors: Float[Tensor, "step point"], points: Sequence[int], **more: Any
) -> list[Scatter]:
    looks = ordered_looks([f"n = {point}" for point in points])
    return [
        plain_line(x, errors[:, point].clamp(min=1e-12), look, legendgroup=look.label, **more)
        for point, look in zip(points, looks, strict=True)
    ]


def _order_of_steps(reference: Reference, steps: range, settings: Settings) -> Quantity:
    """Order of convergence of an algorithm at d = 20 after 40 examples."""
    prefixes = paper_prefixes(settings)
    best = (OLS().predictions(prefixes)[0] - prefixes.ys).square()[:, -1]
    predictions = reference.predictions(prefixes, steps)[:, :, -1]
    excess = (predictions - prefixes.ys[:, -1]).square() - best
    mean = excess.mean(1)
    n_usable = int((mean > CONVERGED * mean[0]).long().cumprod(0).sum())
    return order_of(excess[:n_usable])


def _order_of_predictions(model: PaperModel) -> Claim:
    """The order from single predictions, which no mixture of fast and slow prompts can feign."""
    first, last = model.working_layers or (0, 0)
    sites = [site for site in model.model.sites() if first - 1 <= site.layer <= last]
    found = measure_order(model.model, model.task, sites, seed=model.settings.seed).found
    order = Quantity(found.order, *found.interval)
    text = found.reason or f"order {order.text('.2f')}"
    return Claim.of("single-order", text, order, about=model.about)


def _later_layers(key: str, model: PaperModel) -> Claim:
    groups = model.layers.errors.mean(-1).unflatten(1, (N_GROUPS, -1)).mean(-1)
    errors = bootstrap_means(groups.T)  # [replicate, layer]
    share = Quantity.of_replicates((errors[:, 1] - errors[:, -1]) / (errors[:, 0] - errors[:, -1]))
    found = f"layers after the first do {share.text('.0%')} of the fall; error / d "
    found += ", ".join(f"{value:.3f}" for value in errors[0])
    return Claim.of(key, found, share, about=model.about)
