"""Pictures of a calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Box, Figure, Heatmap, Scatter

from interp.plots.marks import error_bars, line
from interp.plots.panel import Panel, draw
from interp.plots.style import INK, MUTED, Look, ordered_looks
from interp.studies.calibration.counts import confusion, grade_of, grades_by, with_share

PROTOCOL_LOOKS = (
    Look("raw", "#d55e00", "dot", "x"),
    Look("matched", "#0072b2", "dash", "circle-open"),
    Look("direct", "#007a5a", "solid", "square"),
)
GRADE_COLOURS = {"right": "#0072b2", "undecided": MUTED, "wrong": "#d55e00"}
LEAST_SHADE = -0.15
"""The share that would be white: that of a single answer is seen."""


def plot_protocols(protocols: pd.DataFrame) -> Figure:
    """Steps of planted models, layer by layer, as three protocols find them."""
    panels: list[Panel] = []
    for name, found in protocols.groupby("name", sort=False):
        steps = found.pivot(index="layer", columns="protocol", values="step")
        thick = {"color": MUTED, "width": 6}
        planted = Scatter(
            x=steps.index, y=steps.planted, name="planted", mode="lines", line=thick, opacity=0.35
        )
        traces = [
            planted,
            *(line(steps.index, steps[k.label], k, "%{y:.2f}") for k in PROTOCOL_LOOKS),
        ]
        for trace in traces:
            trace.showlegend = not panels
        y = {"rangemode": "tozero", "title": None if panels else "best-matching step"}
        panels.append(Panel(str(name), traces, {"title": "layer", "dtick": 1}, y))
    figure = draw(*panels)
    return figure.update_layout(legend={"y": 1.12}, meta={"wide": True, "top": 64})


def plot_confusion(outcomes: pd.DataFrame) -> Figure:
    """How often each answer was given, as a share of its row: right, undecided or wrong."""
    counts = confusion(outcomes)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    grades = pd.DataFrame(
        [[grade_of(right, answer) for answer in counts] for right in counts.index],
        counts.index,
        counts.columns,
    )
    traces = []
    for grade, colour in GRADE_COLOURS.items():
        is_drawn = (grades == grade) & (counts > 0)
        cells = Heatmap(
            z=shares.where(is_drawn),
            x=counts.columns,
            y=counts.index,
            text=counts.astype(str).where(is_drawn, ""),
            texttemplate="%{text}",
            colorscale=[[0, "white"], [1, colour]],
            zmin=LEAST_SHADE,
            zmax=1,
            showscale=False,
            hovertemplate=f"%{{text}} {grade}: “%{{x}}” where “%{{y}}” is right<extra></extra>",
        )
        traces.append(cells)
    y = {"title": "right answer", "autorange": "reversed"}
    x = {"title": "answer of the verdict"}
    return draw(Panel("Answers of the verdict", traces, x, y))


def plot_step_errors(planted: pd.DataFrame) -> Figure:
    """Errors of the steps per layer by model and noise, one dot a verdict that is right."""
    traces = [
        Box(
            x=found.name,
            y=100 * found.relative_error,
            name=look.label,
            boxpoints="all",
            jitter=0.6,
            pointpos=0,
            fillcolor="rgba(0,0,0,0)",
            line={"color": look.colour, "width": 1},
            marker={"color": look.colour, "symbol": look.symbol, "size": 5},
        )
        for look, found in _by_noise(planted[planted.relative_error.notna()])
    ]
    y = {"title": "error of steps per layer (%)", "zeroline": True}
    panel = Panel("Error of the steps per layer", traces, {"title": ""}, y)
    return draw(panel).update_layout(boxmode="group")


def plot_power(planted: pd.DataFrame) -> Figure:
    """Shares of planted models that the verdict names, against the number of prompts."""
    counts = with_share(grades_by(planted, "noise", "n_prompts"), "right")
    traces = [
        line(found.n_prompts, found.share, look, "%{x:,}: %{y:.1f} %", error_y=_bars(found))
        for look, found in _by_noise(counts)
    ]
    x = {"title": "prompts", "type": "log", "tickvals": sorted(set(counts.n_prompts))}
    y = {"title": "share of right answers (%)", "range": [0, 104]}
    return draw(Panel("Right answers against prompts", traces, x, y))


def plot_coverage(coverage: pd.DataFrame) -> Figure:
    """Shares of intervals of the steps per layer that hold the rate of a large sample."""
    rows = with_share(coverage, "covered")
    trace = Scatter(
        x=rows.share,
        y=rows.name + [f", noise {100 * noise:.0f} %" for noise in rows.noise],
        mode="markers",
        marker={"color": INK, "size": 8},
        showlegend=False,
        error_x=_bars(rows),
        hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
    )
    x = {"title": "intervals that hold the large sample's rate (%)", "range": [0, 104]}
    panel = Panel("Coverage of 95 % intervals", [trace], x, {"autorange": "reversed"})
    return draw(panel).add_vline(x=95, line={"color": MUTED, "dash": "dash", "width": 1})


def _by_noise(table: pd.DataFrame) -> list[tuple[Look, pd.DataFrame]]:
    noises = sorted(set(table.noise))
    looks = ordered_looks([f"noise {100 * noise:.0f} %" for noise in noises])
    return [(looks[i], table[table.noise == noise]) for i, noise in enumerate(noises)]


def _bars(rows: pd.DataFrame) -> dict[str, Any]:
    share, low, high = (np.asarray(rows[key]) for key in ("share", "share_low", "share_high"))
    return error_bars(share, low, high)
