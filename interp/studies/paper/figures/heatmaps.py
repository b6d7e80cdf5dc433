"""Fig. 3, 8 and 10: similarity of errors of every layer with every step of Newton and GD."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import zip_longest

import numpy as np
import torch
import xarray

from interp.plots.panel import Panel, StepAxis
from interp.plots.style import MUTED, Look, reference_look
from interp.report.table import Table
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity, number_claim
from interp.studies.paper.growth_claims import law_claim, law_of_layers
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.paper_setup import (
    NEWTON_SIMILARITY,
    NEWTON_STEPS,
    NEWTON_STEPS_A_LAYER,
    translated_steps,
)
from interp.studies.paper.plots import (
    LAYER_AXIS,
    PUBLISHED,
    arranged,
    heatmap_panel,
    lowest,
    plain_line,
    step_line,
)
from interp.studies.paper.reproduction import Drawing, Part
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
TABLE_HEADER = (
    "layer", "Newton step, published", "ours", "ours, matched", "SimE, published", "ours",
    "GD step, ours", "SimE",
)  # fmt: skip


def newton_and_gd(model: PaperModel) -> Part:
    """SimE of every layer with Newton's and GD's steps, best match marked."""
    return compare_with_newton_and_gd(model, at_scale=model.at_scale)


def compare_with_newton_and_gd(model: PaperModel, *, at_scale: bool = False) -> Part:
    """The heatmaps, match curves and claims of Fig. 3 and 8 for a model.

    Args:
        model: The model.
        at_scale: Whether it is the paper's, whose numbers its own are to be.
    """
    newton = model.match(Newton(), NEWTON_GRID)
    matched = model.match(Newton(), NEWTON_GRID, matched=True)
    gd = model.match(GD(model.eta), GD_GRID)
    few = torch.linspace(0, LAST_GD_STEP, N_GD_COLUMNS).round().double()
    linear_gd = model.match(GD(model.eta), StepGrid(tuple(few.tolist())))
    low = lowest(newton, linear_gd)
    heatmaps = arranged(
        heatmap_panel(newton, "newton", title="Iterative Newton", low=low, with_scale=False),
        heatmap_panel(_marked(linear_gd, gd), "gd", title="Gradient descent", low=low),
        legend_rows=0,
    )
    laws = (
        law_of_layers("newton-law", model, newton.step),
        law_of_layers("gd-law", model, gd.step),
    )
    return Part(
        (*laws, *_numbers(model, newton, at_scale)),
        (
            Drawing.of("heatmaps", heatmaps, model=model),
            _curves(model, newton, matched, gd),
        ),
        (_table(newton, matched, gd),),
        xarray.merge([newton.data("newton"), matched.data("newton_matched"), gd.data("gd")]),
    )


def translated_gd_law(models: PaperModels) -> Part:
    """The claim that the published steps of Newton, as steps of GD, grow exponentially."""
    steps = translated_steps("gd", models.settings)[2:9]
    return Part((law_claim("translated-gd-law", steps, range(3, 10)),))


def gd_log_axis(model: PaperModel) -> Part:
    """SimE with GD on a logarithmic axis of steps, and the published match in GD's steps."""
    translated = translated_steps("gd", model.settings)
    gd = model.match(GD(model.eta), GD_GRID)
    powers = model.match(GD(model.eta), _powers_to(gd.step.max().item()))
    axis = StepAxis(True, max(gd.step.max().item(), translated.max().item()))
    depth = range(1, len(translated) + 1)
    figure = arranged(
        Panel(
            "Best step against layer",
            (
                plain_line(depth, axis.place(translated.numpy()), TRANSLATED_LOOK),
                step_line(gd, GD_LOOK, axis),
            ),
            LAYER_AXIS,
            axis.properties("best-matching step"),
        ),
        heatmap_panel(_marked(powers, gd), "gd", title="Gradient descent, log axis"),
    )
    drawing = Drawing.of("gd-log-axis", figure, model=model)
    return Part((law_of_layers("gd-log-axis", model, gd.step),), (drawing,), data=gd.data("gd"))


def _marked(shown: LayerMatches, found: LayerMatches) -> LayerMatches:
    """Similarities on one grid with the best steps from another."""
    return replace(found, grid=shown.grid, similarity=shown.similarity)


def _numbers(model: PaperModel, newton: LayerMatches, at_scale: bool) -> list[Claim]:
    """The claims that the last layer's match, and the steps a layer, are those of the paper."""
    first, last = model.working_layers or (0, 0)
    rate = (newton.step[last] - newton.step[first]).item() / max(1, last - first)
    step = Quantity.of(newton.step[-1], newton.step_interval[-1])
    best = Quantity.of(newton.best[-1], newton.best_interval[-1])
    numbers = (
        ("rate", Quantity.of(rate), NEWTON_STEPS_A_LAYER),
        ("last-newton-step", step, float(NEWTON_STEPS[-1])),
        ("last-similarity", best, NEWTON_SIMILARITY[-1]),
    )
    return [number_claim(*item, at_scale=at_scale, about=model.about) for item in numbers]


def _curves(
    model: PaperModel, newton: LayerMatches, matched: LayerMatches, gd: LayerMatches
) -> Drawing:
    linear, log = StepAxis(False, 40.0), StepAxis(True, gd.step.max().item())
    depth = (np.arange(len(newton.step)) / (len(newton.step) - 1)).tolist()
    relative = np.arange(1, len(NEWTON_STEPS) + 1) / len(NEWTON_STEPS)
    figure = arranged(
        Panel(
            "Newton: best step against relative depth",
            (
                plain_line(relative, NEWTON_STEPS, PUBLISHED),
                step_line(newton, NEWTON_LOOK, linear, x=depth),
                step_line(matched, MATCHED_LOOK, linear, x=depth),
            ),
            {"title": "layer / number of layers"},
            linear.properties("best-matching step"),
        ),
        Panel(
            "GD: best step against layer",
            (step_line(gd, GD_LOOK, log),),
            LAYER_AXIS | {"range": [-0.5, len(gd.step) - 0.5]},
            log.properties("best-matching step"),
        ),
    )
    return Drawing.of("curves", figure, model=model)


def _powers_to(largest: float) -> StepGrid:
    """0 and the powers of 2 up to the paper's last, or beyond where a match lies there."""
    last = math.ceil(math.log2(max(largest, 1)))
    last = min(max(last, LAST_POWERS[0]), LAST_POWERS[1])
    return StepGrid((0.0, *(2.0**power for power in range(last + 1))), "log")


def _table(newton: LayerMatches, matched: LayerMatches, gd: LayerMatches) -> Table:
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
    return Table.of_text("best-steps", title, TABLE_HEADER, lines, "")
