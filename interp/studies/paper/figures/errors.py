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
from interp.plots.panel import Panel
from interp.plots.step_axis import StepAxis
from interp.plots.style import ordered_looks
from interp.studies.paper.claims import Claim, Quantity, Rule, bootstrap_means, not_shipped
from interp.studies.paper.growth_claims import ORDER_RULE, order_claim, order_of
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.paper_setup import N_GROUPS, OFFICIAL_ETA, Settings, paper_prefixes
from interp.studies.paper.plots import (
    LAYER_AXIS,
    LOG_ERROR_AXIS,
    Coordinates,
    arranged,
    line,
    log_error_axis,
)
from interp.studies.paper.reproduction import Drawing, RowResult, without_model
from interp.studies.paper.rows import Row
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
ALGORITHMS = "model-free, d = 20, 40 examples"


def errors_by_layer(row: Row, models: PaperModels) -> RowResult:
    """Error against layer and against steps, for several numbers of examples."""
    newton_order = _order_of_steps(Newton(), NEWTON_STEPS, models.settings)
    gd_order = _order_of_steps(GD(OFFICIAL_ETA), GD_STEPS, models.settings)
    model_free = (
        Claim(
            "Newton's error falls superlinearly with its steps",
            f"order {newton_order.text('.2f')} over steps to convergence",
            ORDER_RULE,
            newton_order,
            about=ALGORITHMS,
        ),
        Claim(
            "GD's error falls no faster than linearly with its steps",
            f"order {gd_order.text()} over {GD_STEPS[-1]} steps",
            Rule(
                "95 % interval of the order of convergence lies below "
                f"{LINEAR_ORDER}; disagrees if above",
                below=LINEAR_ORDER,
            ),
            gd_order,
            about=ALGORITHMS,
        ),
    )
    model = models.find("transformer")
    if model is None:
        return without_model(row, models.lacks("transformer"), *model_free)
    claim = "the transformer's mean error falls superlinearly over the layers at work"
    ours = model.layers.errors.mean(1)
    newton = errors_of_steps(Newton(), model.layers.prefixes, NEWTON_GRID)
    gd = errors_of_steps(GD(model.eta), model.layers.prefixes, GD_GRID)
    axis = StepAxis(True, GD_GRID.steps[-1])
    points = numbers_of_examples(model.task.n_dims, model.task.n_points)
    untitled = {**LOG_ERROR_AXIS, "title": None}
    figure = arranged(
        Panel("Transformer", _lines(range(len(ours)), ours, points), LAYER_AXIS, LOG_ERROR_AXIS),
        Panel(
            "Iterative Newton",
            _lines(NEWTON_GRID.steps, newton, points, with_legend=False),
            {"title": {"text": "step (iterations)"}},
            untitled,
        ),
        Panel(
            "Gradient descent",
            _lines(axis.place(np.array(GD_GRID.steps)), gd, points, with_legend=False),
            axis.properties("step"),
            untitled,
        ),
    )
    figure.update_yaxes(range=[-4.2, 0.6])
    see = (
        f"Squared error / d for several numbers of examples n. {model.about}; GD with eta = "
        f"{model.eta:.3g}. With n below d no method can reach 0; from n = d on Newton and GD do."
    )
    drawing = Drawing(row.key, "Error against layer and against steps", see, figure)
    data = xarray.Dataset(
        {
            "layer_error": (("layer", "point"), ours.numpy()),
            "newton_error": (("newton_step", "point"), newton.numpy()),
            "gd_error": (("gd_step", "point"), gd.numpy()),
        },
        {"newton_step": list(NEWTON_GRID.steps), "gd_step": list(GD_GRID.steps)},
    )
    claims = (order_claim(claim, model), _order_of_predictions(model), *model_free)
    return RowResult(row, claims, (drawing,), data=data)


def transformer_and_lstm(row: Row, models: PaperModels) -> RowResult:
    """Error against layer of a transformer and of an LSTM, for several numbers of examples."""
    found, missing = models.among(("transformer", "lstm"))
    wordings = {
        "transformer": ("the transformer's later layers lower its error", True),
        "lstm": ("the LSTM's layers after the first do not lower its error", False),
    }
    claims: list[Claim] = []
    panels: list[Panel] = []
    data = xarray.Dataset()
    errors = {role: model.layers.errors.mean(1) for role, model in found.items()}
    drawn = [errors[role][:, _drawn_points(model)] for role, model in found.items()]
    axis = log_error_axis(*drawn) if drawn else {}
    for role, (claim, improves) in wordings.items():
        if role in missing:
            claims.append(not_shipped(claim, missing[role]))
            continue
        model = found[role]
        claims.append(_later_layers(claim, model, improves=improves))
        ours = errors[role]
        lines = _lines(range(len(ours)), ours, _drawn_points(model), with_legend=not panels)
        panels.append(Panel(model.about, lines, LAYER_AXIS, axis))
        data[f"{role}_error"] = ((f"{role}_layer", f"{role}_point"), ours.numpy())
    drawings: tuple[Drawing, ...] = ()
    if panels:
        see = "Squared error / d of each layer's read-out for several numbers of examples n."
        drawings = (Drawing(row.key, "Error against layer", see, arranged(*panels)),)
    return RowResult(row, tuple(claims), drawings, data=data, missing=tuple(missing.values()))


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


def _drawn_points(model: PaperModel) -> list[int]:
    return numbers_of_examples(model.task.n_dims, model.task.n_points)


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
    return Claim(
        "single predictions of the transformer converge superlinearly",
        found.reason or f"order {order.text('.2f')}",
        Rule(
            "95 % interval of the order at the last layers, from three consecutive errors of each "
            "prediction, lies above 1; disagrees if below",
            above=1.0,
        ),
        order,
        about=model.about,
    )


def _later_layers(claim: str, model: PaperModel, *, improves: bool) -> Claim:
    groups = model.layers.errors.mean(-1).unflatten(1, (N_GROUPS, -1)).mean(-1)
    errors = bootstrap_means(groups.T)  # [replicate, layer]
    share = Quantity.of_replicates((errors[:, 1] - errors[:, -1]) / (errors[:, 0] - errors[:, -1]))
    found = f"layers after the first do {share.text('.0%')} of the fall; error / d "
    found += ", ".join(f"{value:.3f}" for value in errors[0])
    side = ("above", "below") if improves else ("below", "above")
    criterion = (
        "95 % interval of the part of the error's fall, from the embedding to the last layer, that "
        f"comes after layer 1 lies {side[0]} {LATER_SHARE:.0%}; disagrees if {side[1]}"
    )
    rule = Rule.side(criterion, LATER_SHARE, above=improves)
    return Claim(claim, found, rule, share, about=model.about)
