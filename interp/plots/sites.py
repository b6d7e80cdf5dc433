"""Kinds of site beside each other, and what attention and MLP of each layer add."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray
from plotly.graph_objects import Bar, Figure, Scatter

from interp.plots.marks import hatching, placed_line
from interp.plots.panel import Panel, StepAxis, draw, layer_axis
from interp.plots.style import reference_look, site_look
from interp.results.result import MatchResult
from interp.results.selection import choose_reference

STREAMS = ("resid_post", "resid_mid")
HALVES = (("attention", "attn_out", ""), ("MLP", "mlp_out", "/"))
"""A half's name, the kind of site whose colour it has, and its hatching."""


def sites(
    result: MatchResult,
    value: Literal["step", "similarity", "error"] = "step",
    reference: str | None = None,
) -> Figure:
    """A score against layer, one line with intervals for each kind of site that was read.

    Args:
        result: What `match` found.
        value: The best-matching "step", the "similarity" at it, or the mean "error".
        reference: Whose step or similarity; by default the one that the verdict quotes.

    Raises:
        ValueError: A reference that was not compared or has no steps, or an unknown value.
    """
    if value == "error":
        y: dict[str, Any] = {
            "title": {"text": "squared error / d, mean over points"},
            "rangemode": "tozero",
        }
        return draw(
            Panel("Error of read-outs", _lines(result.layers, "mean_error"), layer_axis(result), y)
        )
    if value not in ("step", "similarity"):
        raise ValueError(f"value must be 'step', 'similarity' or 'error', got {value!r}")
    name = choose_reference(result, reference)
    scores, label = result.reference(name), reference_look(name).label
    if value == "similarity":
        y = {"title": {"text": "SimE at the best-matching step"}}
        traces = _lines(scores, "best_similarity")
        return draw(Panel(f"{label}: highest similarity", traces, layer_axis(result), y))
    axis = StepAxis.of(result, name)
    y = axis.properties("best-matching step")
    traces = _lines(scores, "best_step", axis)
    return draw(Panel(f"{label}: best-matching step", traces, layer_axis(result), y))


def has_halves(result: MatchResult) -> bool:
    """Whether the residual stream was read between attention and MLP as well."""
    return all(kind in result.layers.site.values for kind in STREAMS)


def halves(
    result: MatchResult, value: Literal["step", "error"] = "step", reference: str | None = None
) -> Figure:
    """What attention and MLP of each layer add: steps of a reference, or a fall of the error.

    The residual stream is read before the layer, between its halves and behind it, each time by a
    read-out of its own; a half's part is the difference of the two readings around it.

    Args:
        result: What `match` found on `resid_post` and `resid_mid`, such as with `show="sites"`.
        value: "step" of the best match, or mean "error" of the read-outs.
        reference: Whose steps; by default the one that the verdict quotes.

    Raises:
        ValueError: The stream was not read between the halves, an unknown value, or a reference
            that was not compared or has no steps.
    """
    if not has_halves(result):
        raise ValueError("halves need the sites resid_post and resid_mid; show='sites' reads them")
    if value == "error":
        table = result.layers.mean_error
        title, unit, sign = "Fall of the error by half of a layer", "fall of squared error / d", -1
        places = {kind: table.sel(site=kind).values for kind in STREAMS}
    elif value == "step":
        name = choose_reference(result, reference)
        axis = StepAxis.of(result, name)
        table = result.reference(name).best_step
        title = f"{reference_look(name).label}: steps done by each half of a layer"
        unit, sign = ("doublings of the step" if axis.is_log else "steps (iterations)"), 1
        places = {kind: axis.place(table.sel(site=kind).values) for kind in STREAMS}
    else:
        raise ValueError(f"value must be 'step' or 'error', got {value!r}")
    before, between, behind = (
        places["resid_post"][:-1], places["resid_mid"][1:], places["resid_post"][1:],
    )  # fmt: skip
    gains = (sign * (between - before), sign * (behind - between))
    traces = [
        Bar(
            x=result.layers.layer.values[1:],
            y=gain,
            name=half,
            marker={
                "color": site_look(kind).colour,
                "pattern": hatching(shape, 0.3),
            },
            hovertemplate=f"{half} of layer %{{x}}: %{{y:+.3~g}}<extra></extra>",
        )
        for (half, kind, shape), gain in zip(HALVES, gains, strict=True)
        if np.isfinite(gain).any()
    ]
    panel = Panel(
        title=title,
        traces=traces,
        x={"title": {"text": "layer"}, "dtick": 1 + len(before) // 14, "showgrid": False},
        y={"title": {"text": unit}, "zeroline": True},
        layout={"barmode": "group", "bargap": 0.25},
    )
    return draw(panel)


def _lines(scores: xarray.Dataset, variable: str, axis: StepAxis | None = None) -> list[Scatter]:
    traces = []
    for kind in map(str, scores.site.values):
        look = site_look(kind)
        values = scores[variable].sel(site=kind).values
        bounds = scores[f"{variable}_interval"].sel(site=kind).values
        layers, place = scores.layer.values, axis.place if axis else np.asarray
        traces.append(placed_line(layers, values, bounds, look, place=place, digits=",.4~r"))
    return traces
