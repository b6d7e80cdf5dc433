"""Fig. 3, 8 and 10: similarity of errors of every layer with every step of Newton and GD."""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray

from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Check, Drawing, Finding, without_model
from interp.paper.growth import law_check, layers_at_work
from interp.paper.layer_predictions import LayerPredictions
from interp.paper.matches import Matches, match_layers, official_eta
from interp.paper.paper_scale import published_steps_of
from interp.paper.pictures import (
    LAYER_AXIS,
    PUBLISHED,
    arranged,
    heatmap_panel,
    line,
    lowest,
    step_line,
)
from interp.paper.published import NEWTON_SIMILARITY, NEWTON_STEPS, NEWTON_STEPS_A_LAYER
from interp.paper.roles import PAPER_DIMS
from interp.paper.scale import describe, number_check
from interp.plots.panel import Panel
from interp.plots.step_axis import StepAxis
from interp.plots.style import MUTED, Look, reference_look
from interp.report.text_table import TextTable
from probes.matching import StepGrid
from probes.references import GD, Newton

NEWTON_GRID = StepGrid.linear(40.0, 0.25)
GD_GRID = StepGrid.log(2.0**18, 4)
LAST_GD_STEP = 1300.0
"""Of the official code's heatmap on a linear axis."""
LAST_POWERS = 12, 18
"""Powers of 2 that the axis ends at: the paper's, and the furthest it is extended to."""
N_GD_COLUMNS = 53
TRANSLATED = Look("published Newton steps as GD steps", MUTED, "dot", "diamond-open")


def newton_and_gd(row: Row, cast: Cast) -> Finding:
    """SimE of every layer with Newton's and GD's steps, best match marked."""
    layers = cast.layers("transformer")
    if layers is None:
        return without_model(row, cast.lacks("transformer"))
    return compare_with_newton_and_gd(row, cast, "transformer", layers)


def compare_with_newton_and_gd(
    row: Row, cast: Cast, role: str, layers: LayerPredictions
) -> Finding:
    """The heatmaps, match curves and claims of Fig. 3 and 8 for the model in a role."""
    about = describe(cast, role)
    eta = official_eta(layers.prefixes)
    newton = match_layers(layers, Newton(), NEWTON_GRID)
    matched = match_layers(layers, Newton(), NEWTON_GRID, matched=True)
    gd = match_layers(layers, GD(eta), GD_GRID)
    few = torch.linspace(0, LAST_GD_STEP, N_GD_COLUMNS).round().double()
    linear_gd = match_layers(layers, GD(eta), StepGrid(tuple(few.tolist())))
    shown = Matches(
        linear_gd.grid, linear_gd.similarity, gd.step, gd.step_interval, gd.best, gd.best_interval
    )
    low = lowest(newton, linear_gd)
    name = f"{row.key}-{role}" if len(row.needs) > 1 else row.key
    drawings = (
        Drawing(
            f"{name}-heatmaps",
            "Similarity of errors (SimE)",
            "SimE of each layer with each step, as in the paper's code (iterates as they are, all "
            "points); circles mark each layer's best step, triangles one beyond the axis. "
            f"{about}; GD with eta = {eta:.3g}.",
            arranged(
                heatmap_panel(
                    newton, "newton", title="Iterative Newton", low=low, with_scale=False
                ),
                heatmap_panel(shown, "gd", title="Gradient descent", low=low),
                legend_rows=0,
            ),
        ),
        _curves(name, newton, matched, gd, about),
    )
    return Finding(
        row,
        _claims(cast, role, layers, newton, gd, about),
        drawings,
        (_table(newton, matched, gd),),
        xarray.merge([newton.data("newton"), matched.data("newton_matched"), gd.data("gd")]),
    )


def gd_log_axis(row: Row, cast: Cast) -> Finding:
    """SimE with GD on a logarithmic axis of steps, and the published match told in GD's steps."""
    translated = published_steps_of("gd", cast.settings)
    checks = [
        law_check(
            "the published Newton steps of layers 3 to 9, told in GD steps, grow exponentially",
            translated[2:9],
            range(3, 10),
            "exponential",
            about="model-free, d = 20",
        )
    ]
    layers = cast.layers("transformer")
    if layers is None:
        return without_model(row, cast.lacks("transformer"), *checks)
    about = describe(cast, "transformer")
    eta = official_eta(layers.prefixes)
    gd = match_layers(layers, GD(eta), GD_GRID)
    powers = match_layers(layers, GD(eta), _powers_to(gd.step.max().item()))
    marked = Matches(
        powers.grid, powers.similarity, gd.step, gd.step_interval, gd.best, gd.best_interval
    )
    first, last = layers_at_work(layers) or (0, 0)
    checks.insert(
        0,
        law_check(
            "GD's matching steps are linear on a logarithmic axis",
            gd.step[first : last + 1],
            range(first, last + 1),
            "exponential",
            about=f"{about}, layers {first} to {last}",
        ),
    )
    axis = StepAxis(True, max(gd.step.max().item(), translated.max().item()))
    figure = arranged(
        Panel(
            "Best step against layer",
            (
                line(np.arange(1, len(translated) + 1), axis.place(translated.numpy()), TRANSLATED),
                step_line(gd, Look("GD", *_parts("gd")), axis),
            ),
            LAYER_AXIS,
            axis.properties("best-matching step"),
        ),
        heatmap_panel(marked, "gd", title="Gradient descent, log axis"),
    )
    drawing = Drawing(
        row.key,
        "Similarity of errors with GD on a logarithmic axis",
        f"SimE at powers of 2, best real step marked. {about}, GD with eta = {eta:.3g}. Dotted: "
        "the steps of GD (d = 20, eta = 0.01) that are most like the published steps of Newton.",
        figure,
    )
    return Finding(row, tuple(checks), (drawing,), data=gd.data("gd"))


def law_claims(
    layers: LayerPredictions, newton: Matches, gd: Matches, about: str
) -> tuple[Check, ...]:
    """Linear growth of Newton's matching steps, exponential growth of GD's."""
    first, last = layers_at_work(layers) or (0, 0)
    depth = range(first, last + 1)
    where = f"{about}, layers {first} to {last}"
    return (
        law_check(
            "Newton's matching steps grow linearly",
            newton.step[first : last + 1],
            depth,
            "linear",
            about=where,
        ),
        law_check(
            "GD's matching steps grow exponentially",
            gd.step[first : last + 1],
            depth,
            "exponential",
            about=where,
        ),
    )


def _claims(
    cast: Cast, role: str, layers: LayerPredictions, newton: Matches, gd: Matches, about: str
) -> tuple[Check, ...]:
    linear, exponential = law_claims(layers, newton, gd, about)
    first, last = layers_at_work(layers) or (0, 0)
    rate = (newton.step[last] - newton.step[first]).item() / max(1, last - first)
    at_scale = cast.n_dims == PAPER_DIMS and role == "transformer"
    return (
        linear,
        exponential,
        number_check(
            "Newton steps a layer, over the layers at work",
            rate,
            NEWTON_STEPS_A_LAYER,
            0.5,
            at_scale=at_scale,
            about=about,
        ),
        number_check(
            "Newton step of the last layer",
            newton.step[-1].item(),
            float(NEWTON_STEPS[-1]),
            2.0,
            at_scale=at_scale,
            about=about,
            interval=newton.step_interval[-1],
        ),
        number_check(
            "SimE of the last layer with Newton",
            newton.best[-1].item(),
            NEWTON_SIMILARITY[-1],
            0.005,
            at_scale=at_scale,
            about=about,
            interval=newton.best_interval[-1],
        ),
    )


def _curves(name: str, newton: Matches, matched: Matches, gd: Matches, about: str) -> Drawing:
    linear, log = StepAxis(False, 40.0), StepAxis(True, gd.step.max().item())
    depth = np.arange(len(newton.step)) / (len(newton.step) - 1)
    own = Look("Newton", *_parts("newton"))
    relative = np.arange(1, len(NEWTON_STEPS) + 1) / len(NEWTON_STEPS)
    printed = line(relative, np.array(NEWTON_STEPS), PUBLISHED)
    figure = arranged(
        Panel(
            "Newton: best step against relative depth",
            (
                printed,
                step_line(newton, own, linear, x=depth.tolist()),
                step_line(
                    matched,
                    Look("Newton, matched read-outs", "#56b4e9", "dash", "triangle-up"),
                    linear,
                    x=depth.tolist(),
                ),
            ),
            {"title": {"text": "layer / number of layers"}},
            linear.properties("best-matching step"),
        ),
        Panel(
            "GD: best step against layer",
            (step_line(gd, Look("GD", *_parts("gd")), log),),
            LAYER_AXIS | {"range": [-0.5, len(gd.step) - 0.5]},
            log.properties("best-matching step"),
        ),
    )
    return Drawing(
        f"{name}-curves",
        "Best-matching steps",
        "The published steps (12 layers, d = 20) beside ours, on relative depth since numbers of "
        "layers differ; 95 % bootstrap intervals over prompts. With matched read-outs every "
        f"iterate has its own affine read-out of y, as the layer has. {about}.",
        figure,
    )


def _powers_to(largest: float) -> StepGrid:
    """0 and the powers of 2 up to the paper's last, or beyond where a match lies there."""
    last = math.ceil(math.log2(max(largest, 1)))
    last = min(max(last, LAST_POWERS[0]), LAST_POWERS[1])
    return StepGrid((0.0, *(2.0**power for power in range(last + 1))), "log")


def _parts(name: str) -> tuple[str, str, str]:
    look = reference_look(name)
    return look.colour, look.dash, look.symbol


def _table(newton: Matches, matched: Matches, gd: Matches) -> TextTable:
    n_layers = len(newton.step)
    rows = []
    for layer in range(max(n_layers, len(NEWTON_STEPS) + 1)):
        printed = 1 <= layer <= len(NEWTON_STEPS)
        is_ours = layer < n_layers
        rows.append(
            (
                str(layer),
                str(NEWTON_STEPS[layer - 1]) if printed else "–",
                f"{newton.step[layer]:.1f}" if is_ours else "–",
                f"{matched.step[layer]:.1f}" if is_ours else "–",
                f"{NEWTON_SIMILARITY[layer - 1]:.3f}" if printed else "–",
                f"{newton.best[layer]:.3f}" if is_ours else "–",
                f"{gd.step[layer]:,.0f}" if is_ours else "–",
                f"{gd.best[layer]:.3f}" if is_ours else "–",
            )
        )
    header = (
        "layer", "Newton step, published", "ours", "ours, matched", "SimE, published", "ours",
        "GD step, ours", "SimE",
    )  # fmt: skip
    return TextTable("Best-matching step of every layer", header, tuple(rows))
