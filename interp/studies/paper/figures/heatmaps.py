"""Fig. 3, 8 and 10: similarity of errors of every layer with every step of Newton and GD."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import zip_longest

import numpy as np
import torch
import xarray

from interp.plots.panel import Panel
from interp.plots.step_axis import StepAxis
from interp.plots.style import MUTED, Look, reference_look
from interp.report.table import Table
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity, number_claim
from interp.studies.paper.growth_claims import law_claim, law_of_layers, laws_of_layers
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.paper_setup import translated_steps
from interp.studies.paper.plots import (
    LAYER_AXIS,
    PUBLISHED,
    arranged,
    heatmap_panel,
    line,
    lowest,
    step_line,
)
from interp.studies.paper.published import NEWTON_SIMILARITY, NEWTON_STEPS, NEWTON_STEPS_A_LAYER
from interp.studies.paper.reproduction import Drawing, RowResult, without_model
from interp.studies.paper.rows import Row
from probes.matching import StepGrid
from probes.references import GD, Newton

NEWTON_GRID = StepGrid.linear(40.0, 0.25)
GD_GRID = StepGrid.log(2.0**18, 4)
LAST_GD_STEP = 1300.0
"""Of the official code's heatmap on a linear axis."""
LAST_POWERS = 12, 18
"""Powers of 2 that the axis ends at: the paper's, and the furthest it is extended to."""
N_GD_COLUMNS = 53
NEWTON_LOOK = reference_look("newton")
MATCHED_LOOK = Look("Newton, matched read-outs", "#56b4e9", "dash", "triangle-up")
GD_LOOK = replace(reference_look("gd"), label="GD")
TRANSLATED_LOOK = Look("published Newton steps as GD steps", MUTED, "dot", "diamond-open")


def newton_and_gd(row: Row, models: PaperModels) -> RowResult:
    """SimE of every layer with Newton's and GD's steps, best match marked."""
    model = models.find("transformer")
    if model is None:
        return without_model(row, models.lacks("transformer"))
    return compare_with_newton_and_gd(row, "transformer", model)


def compare_with_newton_and_gd(row: Row, role: str, model: PaperModel) -> RowResult:
    """The heatmaps, match curves and claims of Fig. 3 and 8 for the model in a role."""
    newton = model.match(Newton(), NEWTON_GRID)
    matched = model.match(Newton(), NEWTON_GRID, matched=True)
    gd = model.match(GD(model.eta), GD_GRID)
    few = torch.linspace(0, LAST_GD_STEP, N_GD_COLUMNS).round().double()
    linear_gd = model.match(GD(model.eta), StepGrid(tuple(few.tolist())))
    low = lowest(newton, linear_gd)
    name = f"{row.key}-{role}" if len(row.needs) > 1 else row.key
    heatmaps = arranged(
        heatmap_panel(newton, "newton", title="Iterative Newton", low=low, with_scale=False),
        heatmap_panel(_marked(linear_gd, gd), "gd", title="Gradient descent", low=low),
        legend_rows=0,
    )
    see = (
        "SimE of each layer with each step, as in the paper's code (iterates as they are, all "
        "points); circles mark each layer's best step, triangles one beyond the axis. "
        f"{model.about}; GD with eta = {model.eta:.3g}."
    )
    return RowResult(
        row,
        (*laws_of_layers(model, newton.step, gd.step), *_numbers(role, model, newton)),
        (
            Drawing(f"{name}-heatmaps", "Similarity of errors (SimE)", see, heatmaps),
            _curves(name, newton, matched, gd, model.about),
        ),
        (_table(newton, matched, gd),),
        xarray.merge([newton.data("newton"), matched.data("newton_matched"), gd.data("gd")]),
    )


def gd_log_axis(row: Row, models: PaperModels) -> RowResult:
    """SimE with GD on a logarithmic axis of steps, and the published match in GD's steps."""
    translated = translated_steps("gd", models.settings)
    model_free = law_claim(
        "the published Newton steps of layers 3 to 9, translated into GD steps, grow exponentially",
        translated[2:9],
        range(3, 10),
        "exponential",
        about="model-free, d = 20",
    )
    model = models.find("transformer")
    if model is None:
        return without_model(row, models.lacks("transformer"), model_free)
    gd = model.match(GD(model.eta), GD_GRID)
    powers = model.match(GD(model.eta), _powers_to(gd.step.max().item()))
    claim = "GD's matching steps are linear on a logarithmic axis"
    axis = StepAxis(True, max(gd.step.max().item(), translated.max().item()))
    depth = np.arange(1, len(translated) + 1)
    figure = arranged(
        Panel(
            "Best step against layer",
            (
                line(depth, axis.place(translated.numpy()), TRANSLATED_LOOK),
                step_line(gd, GD_LOOK, axis),
            ),
            LAYER_AXIS,
            axis.properties("best-matching step"),
        ),
        heatmap_panel(_marked(powers, gd), "gd", title="Gradient descent, log axis"),
    )
    drawing = Drawing(
        row.key,
        "Similarity of errors with GD on a logarithmic axis",
        f"SimE at powers of 2, best real step marked. {model.about}, GD with eta = "
        f"{model.eta:.3g}. Dotted: the steps of GD (d = 20, eta = 0.01) that are most like the "
        "published steps of Newton.",
        figure,
    )
    claims = (law_of_layers(model, claim, gd.step, "exponential"), model_free)
    return RowResult(row, claims, (drawing,), data=gd.data("gd"))


def _marked(shown: LayerMatches, found: LayerMatches) -> LayerMatches:
    """Similarities on one grid with the best steps from another."""
    return replace(found, grid=shown.grid, similarity=shown.similarity)


def _numbers(role: str, model: PaperModel, newton: LayerMatches) -> tuple[Claim, ...]:
    """The claims that the last layer's match, and the steps a layer, are those of the paper."""
    first, last = model.working_layers or (0, 0)
    rate = (newton.step[last] - newton.step[first]).item() / max(1, last - first)
    at_scale = model.at_scale and role == "transformer"
    claims = (
        (
            "Newton steps a layer, over the layers at work",
            Quantity.of(rate),
            NEWTON_STEPS_A_LAYER,
            0.5,
        ),
        (
            "Newton step of the last layer",
            Quantity.of(newton.step[-1], newton.step_interval[-1]),
            float(NEWTON_STEPS[-1]),
            2.0,
        ),
        (
            "SimE of the last layer with Newton",
            Quantity.of(newton.best[-1], newton.best_interval[-1]),
            NEWTON_SIMILARITY[-1],
            0.005,
        ),
    )
    return tuple(number_claim(*item, at_scale=at_scale, about=model.about) for item in claims)


def _curves(
    name: str, newton: LayerMatches, matched: LayerMatches, gd: LayerMatches, about: str
) -> Drawing:
    linear, log = StepAxis(False, 40.0), StepAxis(True, gd.step.max().item())
    depth = (np.arange(len(newton.step)) / (len(newton.step) - 1)).tolist()
    relative = np.arange(1, len(NEWTON_STEPS) + 1) / len(NEWTON_STEPS)
    figure = arranged(
        Panel(
            "Newton: best step against relative depth",
            (
                line(relative, np.array(NEWTON_STEPS), PUBLISHED),
                step_line(newton, NEWTON_LOOK, linear, x=depth),
                step_line(matched, MATCHED_LOOK, linear, x=depth),
            ),
            {"title": {"text": "layer / number of layers"}},
            linear.properties("best-matching step"),
        ),
        Panel(
            "GD: best step against layer",
            (step_line(gd, GD_LOOK, log),),
            LAYER_AXIS | {"range": [-0.5, len(gd.step) - 0.5]},
            log.properties("best-matching step"),
        ),
    )
    see = (
        "The published steps (12 layers, d = 20) beside ours, on relative depth since numbers of "
        "layers differ; 95 % bootstrap intervals over prompts. With matched read-outs every "
        f"iterate has its own affine read-out of y, as the layer has. {about}."
    )
    return Drawing(f"{name}-curves", "Best-matching steps", see, figure)


def _powers_to(largest: float) -> StepGrid:
    """0 and the powers of 2 up to the paper's last, or beyond where a match lies there."""
    last = math.ceil(math.log2(max(largest, 1)))
    last = min(max(last, LAST_POWERS[0]), LAST_POWERS[1])
    return StepGrid((0.0, *(2.0**power for power in range(last + 1))), "log")


def _table(newton: LayerMatches, matched: LayerMatches, gd: LayerMatches) -> Table:
    header = (
        "layer", "Newton step, published", "ours", "ours, matched", "SimE, published", "ours",
        "GD step, ours", "SimE",
    )  # fmt: skip
    columns = [
        ["–", *map(str, NEWTON_STEPS)],
        [f"{step:.1f}" for step in newton.step],
        [f"{step:.1f}" for step in matched.step],
        ["–", *(f"{value:.3f}" for value in NEWTON_SIMILARITY)],
        [f"{value:.3f}" for value in newton.best],
        [f"{step:,.0f}" for step in gd.step],
        [f"{value:.3f}" for value in gd.best],
    ]
    rows = zip_longest(*columns, fillvalue="–")
    title = "Best-matching step of every layer"
    lines = [(str(layer), *cells) for layer, cells in enumerate(rows)]
    return Table.of_text("best-steps", title, header, lines, "")
