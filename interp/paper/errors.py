"""Fig. 2 and 7: error against layer, beside error against steps of Newton and GD."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray
from jaxtyping import Float
from plotly.graph_objects import Scatter
from torch import Tensor

from interp.analyses.convergence import measure_order
from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Check, Drawing, Finding, Outcome, not_shipped, without_model
from interp.paper.growth import layers_at_work, order_check, order_of, order_verdict
from interp.paper.layer_predictions import LayerPredictions
from interp.paper.matches import OFFICIAL_ETA, official_eta
from interp.paper.paper_scale import paper_prefixes
from interp.paper.pictures import (
    LAYER_AXIS,
    LOG_ERROR_AXIS,
    Coordinates,
    arranged,
    line,
    log_error_axis,
)
from interp.paper.scale import describe
from interp.paper.settings import N_GROUPS, N_REPLICATES
from interp.plots.panel import Panel
from interp.plots.step_axis import StepAxis
from interp.plots.style import ordered_looks
from interp.training.baseline import baseline_predictions
from probes.controls.bootstrap import bootstrap_weights, interval
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
LINEAR_ORDER = 1.05
LATER_SHARE = 0.1
"""Of the fall of the error: what layers after the first must do to count as improving."""


def errors_by_layer(row: Row, cast: Cast) -> Finding:
    """Error against layer and against steps, for several numbers of examples."""
    checks = [*_orders_of_algorithms(cast)]
    layers = cast.layers("transformer")
    if layers is None:
        return without_model(row, cast.lacks("transformer"), *checks)
    about = describe(cast, "transformer")
    limit = baseline_predictions(layers.task, layers.prefixes.xs, layers.ys)
    claim = "the transformer's mean error falls superlinearly over the layers at work"
    mean_order = order_check(claim, layers, limit, about=about)
    checks = [mean_order, _order_of_predictions(cast, layers), *checks]
    eta = official_eta(layers.prefixes)
    newton = errors_of_steps(Newton(), layers.prefixes, NEWTON_GRID)
    gd = errors_of_steps(GD(eta), layers.prefixes, GD_GRID)
    ours = layers.errors.mean(1)
    axis = StepAxis(True, GD_GRID.steps[-1])
    points = numbers_of_examples(layers.task.n_dims, layers.task.n_points)
    figure = arranged(
        Panel("Transformer", _lines(range(len(ours)), ours, points), LAYER_AXIS, LOG_ERROR_AXIS),
        Panel(
            "Iterative Newton",
            _lines(NEWTON_GRID.steps, newton, points, with_legend=False),
            {"title": {"text": "step (iterations)"}},
            {**LOG_ERROR_AXIS, "title": None},
        ),
        Panel(
            "Gradient descent",
            _lines(axis.place(np.array(GD_GRID.steps)), gd, points, with_legend=False),
            axis.properties("step"),
            {**LOG_ERROR_AXIS, "title": None},
        ),
    )
    figure.update_yaxes(range=[-4.2, 0.6])
    drawing = Drawing(
        row.key,
        "Error against layer and against steps",
        f"Squared error / d for several numbers of examples n. {about}; GD with eta = {eta:.3g}. "
        "With n below d no method can reach 0; from n = d on Newton and GD do.",
        figure,
    )
    data = xarray.Dataset(
        {
            "layer_error": (("layer", "point"), ours.numpy()),
            "newton_error": (("newton_step", "point"), newton.numpy()),
            "gd_error": (("gd_step", "point"), gd.numpy()),
        },
        {"newton_step": list(NEWTON_GRID.steps), "gd_step": list(GD_GRID.steps)},
    )
    return Finding(row, tuple(checks), (drawing,), data=data)


def transformer_and_lstm(row: Row, cast: Cast) -> Finding:
    """Error against layer of a transformer and of an LSTM, for several numbers of examples."""
    checks, missing, data = [], [], xarray.Dataset()
    drawn: dict[str, tuple[list[Scatter], Tensor]] = {}
    claims = {
        "transformer": ("the transformer's later layers lower its error", True),
        "lstm": ("the LSTM's layers after the first do not lower its error", False),
    }
    for role, (claim, improves) in claims.items():
        layers = cast.layers(role)
        if layers is None:
            missing.append(cast.lacks(role))
            checks.append(not_shipped(claim, missing[-1]))
            continue
        about = describe(cast, role)
        checks.append(_later_layers(claim, layers, improves=improves, about=about))
        ours = layers.errors.mean(1)
        points = numbers_of_examples(layers.task.n_dims, layers.task.n_points)
        lines = _lines(range(len(ours)), ours, points, with_legend=not drawn)
        drawn[about] = lines, ours[:, points]
        layer = f"{role}_layer"
        data[f"{role}_error"] = ((layer, f"{role}_point"), ours.numpy())
    drawings: tuple[Drawing, ...] = ()
    if drawn:
        see = "Squared error / d of each layer's read-out for several numbers of examples n."
        axis = log_error_axis(*(errors for _, errors in drawn.values()))
        panels = [Panel(about, lines, LAYER_AXIS, axis) for about, (lines, _) in drawn.items()]
        figure = arranged(*panels)
        drawings = (Drawing(row.key, "Error against layer", see, figure),)
    return Finding(row, tuple(checks), drawings, data=data, missing=tuple(missing))


def numbers_of_examples(n_dims: int, n_points: int) -> list[int]:
    """Which numbers of examples a line is drawn for: half, once, one and a half and twice d."""
    wanted = {round(share * n_dims) for share in SHARES}
    return sorted(n for n in wanted if 0 < n < n_points) or [n_points - 1]


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
    x: Coordinates,
    errors: Float[Tensor, "step point"],
    points: Sequence[int],
    *,
    with_legend: bool = True,
) -> list[Scatter]:
    looks = ordered_looks([f"n = {point}" for point in points])
    return [
        line(
            list(x),
            errors[:, point].clamp(min=1e-12),
            look,
            group=look.label,
            with_legend=with_legend,
        )
        for point, look in zip(points, looks, strict=True)
    ]


def _orders_of_algorithms(cast: Cast) -> tuple[Check, Check]:
    """Newton converges superlinearly and GD linearly: at d = 20, after 40 examples."""
    prefixes = paper_prefixes(cast.settings)
    best = (OLS().predictions(prefixes)[0] - prefixes.ys).square()[:, -1]

    def order(reference: Reference, steps: range) -> tuple[float, float, float]:
        said = reference.predictions(prefixes, steps)[:, :, -1]
        excess = (said - prefixes.ys[:, -1]).square() - best
        mean = excess.mean(1)
        is_above = mean > CONVERGED * mean[0]
        n_usable = int(is_above.long().cumprod(0).sum())
        return order_of(excess[:n_usable])

    about = "model-free, d = 20, 40 examples"
    newton = order_verdict(
        "Newton's error falls superlinearly with its steps",
        *order(Newton(), NEWTON_STEPS),
        "steps to convergence",
        about=about,
    )
    value, low, high = order(GD(OFFICIAL_ETA), GD_STEPS)
    outcome: Outcome = "cannot be told"
    if high <= LINEAR_ORDER:
        outcome = "agrees"
    elif low > LINEAR_ORDER:
        outcome = "disagrees"
    gd = Check(
        "GD's error falls no faster than linearly with its steps",
        f"order {value:.3f} ({low:.3f} to {high:.3f}) over {GD_STEPS[-1]} steps",
        f"95 % interval of the order of convergence lies below {LINEAR_ORDER}; disagrees if above",
        outcome,
        about=about,
    )
    return newton, gd


def _order_of_predictions(cast: Cast, layers: LayerPredictions) -> Check:
    """The order from single predictions, which no mixture of fast and slow prompts can feign."""
    member = cast.find("transformer")
    first, last = layers_at_work(layers) or (0, 0)
    assert member is not None
    sites = [site for site in member.model.sites() if first - 1 <= site.layer <= last]
    found = measure_order(member.model, member.task, sites, seed=cast.settings.seed).found
    low, high = found.interval
    outcome: Outcome = "cannot be told"
    if low > 1:
        outcome = "agrees"
    elif high < 1:
        outcome = "disagrees"
    return Check(
        "single predictions of the transformer converge superlinearly",
        f"order {found.order:.2f} ({low:.2f} to {high:.2f})" if not found.reason else found.reason,
        "95 % interval of the order at the last layers, from three consecutive errors of each "
        "prediction, lies above 1; disagrees if below",
        outcome,
        about=describe(cast, "transformer"),
    )


def _later_layers(claim: str, layers: LayerPredictions, *, improves: bool, about: str) -> Check:
    groups = layers.errors.mean(-1).unflatten(1, (N_GROUPS, -1)).mean(-1)
    weights = bootstrap_weights(N_GROUPS, N_REPLICATES, 0, with_original=True)
    errors = weights @ groups.T / N_GROUPS  # [replicate, layer]
    share = (errors[:, 1] - errors[:, -1]) / (errors[:, 0] - errors[:, -1])
    low, high = interval(share[1:], n_groups=N_GROUPS).tolist()
    outcome: Outcome = "cannot be told"
    if low > LATER_SHARE:
        outcome = "agrees" if improves else "disagrees"
    elif high < LATER_SHARE:
        outcome = "disagrees" if improves else "agrees"
    side = ("above", "below") if improves else ("below", "above")
    found = f"layers after the first do {share[0]:.0%} ({low:.0%} to {high:.0%}) of the fall; error"
    found += " / d " + ", ".join(f"{value:.3f}" for value in errors[0])
    criterion = (
        "95 % interval of the part of the error's fall, from the embedding to the last layer, that "
        f"comes after layer 1 lies {side[0]} {LATER_SHARE:.0%}; disagrees if {side[1]}"
    )
    return Check(
        claim,
        found,
        criterion,
        outcome,
        about=about,
    )
