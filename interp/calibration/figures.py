"""Pictures of a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.graph_objects import Figure

from interp.calibration.cell import Cell
from interp.calibration.coverage import Coverage
from interp.calibration.dataset import calibration_dataset
from interp.calibration.outcome import Outcome
from interp.calibration.protocols import ProtocolSteps
from interp.calibration.rates import tally_by
from interp.calibration.tally import Tally, wilson
from interp.plots.panel import Panel, draw
from interp.plots.style import INK, MUTED, SEQUENTIAL, ordered_looks

ALGORITHMS = {"newton": "Newton", "gd": "GD", "gdpp": "GD++", "ogd": "Online GD"}
PROTOCOL_LOOKS: dict[str, dict[str, Any]] = {
    "raw": {"color": "#d55e00", "symbol": "x", "dash": "dot", "size": 7},
    "matched": {"color": "#0072b2", "symbol": "circle-open", "dash": "dash", "size": 12},
    "direct": {"color": "#007a5a", "symbol": "square", "dash": "solid", "size": 6},
}


@dataclass(frozen=True)
class Picture:
    """A figure, the file it is written to, and what it shows."""

    name: str
    title: str
    see: str
    means: str
    figure: Figure


def name_of(cell: Cell) -> str:
    """What is planted, in words: "GD, 10 a layer"."""
    name = ALGORITHMS[cell.algorithm]
    return f"{name}, {cell.iterations_per_layer} a layer" if cell.has_steps else name


def pictures(
    outcomes: Sequence[Outcome],
    protocols: Sequence[ProtocolSteps] = (),
    covered: Sequence[Coverage] = (),
) -> tuple[Picture, ...]:
    """Every picture that these outcomes have something for."""
    planted = [o for o in outcomes if o.cell.control == "planted"]
    drawn = [_confusion(outcomes)]
    if protocols:
        drawn.insert(0, _protocols(protocols))
    if any(o.relative_error is not None for o in planted):
        drawn.append(_step_errors(planted))
    if planted:
        drawn.append(_power(planted))
    if covered:
        drawn.append(_coverage(covered))
    return tuple(drawn)


def _protocols(protocols: Sequence[ProtocolSteps]) -> Picture:
    panels = []
    for index, found in enumerate(protocols):
        common: dict[str, Any] = {"x": found.layers, "showlegend": index == 0}
        traces = [
            go.Scatter(
                y=found.planted, name="planted", mode="lines", line={"color": MUTED, "width": 6},
                opacity=0.35, **common,
            )
        ]  # fmt: skip
        for name, steps in found.protocols.items():
            look = PROTOCOL_LOOKS[name]
            traces.append(
                go.Scatter(
                    y=steps, name=name, mode="lines+markers",
                    line={"color": look["color"], "dash": look["dash"], "width": 1.5},
                    marker={"symbol": look["symbol"], "size": look["size"]}, **common,
                )
            )  # fmt: skip
        y = {"rangemode": "tozero", "title": "best-matching step" if index == 0 else None}
        panels.append(Panel(name_of(found.cell), traces, {"title": "layer", "dtick": 1}, y))
    figure = draw(*panels)
    figure.update_layout(legend={"y": 1.12}, margin={"t": 64}, meta={"wide": True})
    return Picture(
        "protocols",
        "Steps of planted models as three protocols find them",
        "Models that run a known number of steps a layer (thick line), and the step that matches "
        "each layer best by similarity of errors with the iterate as it is (raw), with the "
        "iterate's own read-out (matched), and by regression onto the iterate (direct).",
        "A layer's read-out is fitted, so it rescales a shrunken iterate; compared with a raw "
        "iterate it looks further on than it is. Given the same treatment, both agree with what "
        "was planted.",
        figure,
    )


def _confusion(outcomes: Sequence[Outcome]) -> Picture:
    counts = calibration_dataset(outcomes).confusion
    total = counts.sum("answer").clip(1)
    trace = go.Heatmap(
        z=(counts / total).values,
        x=counts.answer.values.tolist(),
        y=counts.expected.values.tolist(),
        text=counts.values,
        texttemplate="%{text}",
        colorscale=SEQUENTIAL,
        zmin=0,
        zmax=1,
        colorbar={"title": "share"},
        xgap=2,
        ygap=2,
    )
    y = {"title": "right answer", "autorange": "reversed"}
    panel = Panel("Answers of the verdict", [trace], {"title": "answer of the verdict"}, y)
    return Picture(
        "confusion",
        "Answers of the verdict",
        "How often each answer was given (numbers), and as a share of its row (shade).",
        "Right answers lie where row and column agree. “none” is right for random weights, "
        "exchanged prompts and shuffled pairs. In the row “none of these” the reference that the "
        "model runs was withheld: “none” and “nearest only” are right there.",
        draw(panel),
    )


def _step_errors(planted: Sequence[Outcome]) -> Picture:
    noises = sorted({o.cell.noise for o in planted})
    traces = []
    for noise, look in zip(noises, ordered_looks([_noise(n) for n in noises]), strict=True):
        found = [o for o in planted if o.cell.noise == noise and o.relative_error is not None]
        traces.append(
            go.Box(
                x=[name_of(o.cell) for o in found],
                y=[100 * (o.relative_error or 0.0) for o in found],
                name=look.label,
                boxpoints="all",
                jitter=0.6,
                pointpos=0,
                fillcolor="rgba(0,0,0,0)",
                line={"color": look.colour, "width": 1},
                marker={"color": look.colour, "symbol": look.symbol, "size": 5},
            )
        )
    y = {"title": "error of steps per layer (%)", "zeroline": True, "zerolinecolor": MUTED}
    panel = Panel("Error of the steps per layer", traces, {"title": ""}, y)
    figure = draw(panel)
    figure.update_layout(boxmode="group")
    figure.update_yaxes(zeroline=True, zerolinecolor=MUTED)
    return Picture(
        "step-errors",
        "Error of the steps per layer",
        "Steps per layer in the verdict over those planted, less 1, one dot a run that was right.",
        "0 % is what was planted.",
        figure,
    )


def _power(planted: Sequence[Outcome]) -> Picture:
    noises = sorted({o.cell.noise for o in planted})
    tallies = tally_by(planted, lambda o: o.cell.noise, lambda o: o.cell.n_prompts)
    traces = []
    for noise, look in zip(noises, ordered_looks([_noise(n) for n in noises]), strict=True):
        rows = [(n, tally) for (level, n), tally in tallies.items() if level == noise]
        traces.append(_shares(look.label, look.line, look.marker, rows))
    panel = Panel(
        "Right answers against prompts",
        traces,
        {
            "title": "prompts",
            "type": "log",
            "tickvals": sorted({o.cell.n_prompts for o in planted}),
        },
        {"title": "share of right answers (%)", "range": [0, 104]},
    )
    return Picture(
        "power",
        "Right answers against prompts",
        "Share of planted models that the verdict names, with its 95 % interval (Wilson).",
        "How many prompts a verdict needs. The tables say what the other answers were.",
        draw(panel),
    )


def _shares(
    label: str, line: dict[str, Any], marker: dict[str, Any], rows: Sequence[tuple[int, Tally]]
) -> go.Scatter:
    shares = [100 * tally.right / tally.n for _, tally in rows]
    bounds = [wilson(tally.right, tally.n) for _, tally in rows]
    return go.Scatter(
        x=[n for n, _ in rows],
        y=shares,
        name=label,
        mode="lines+markers",
        line=line,
        marker=marker,
        error_y={
            "type": "data",
            "array": [100 * b[1] - s for b, s in zip(bounds, shares, strict=True)],
            "arrayminus": [s - 100 * b[0] for b, s in zip(bounds, shares, strict=True)],
            "thickness": 1,
        },
    )


def _coverage(rows: Sequence[Coverage]) -> Picture:
    labels = [f"{name_of(row.condition)}, {_noise(row.condition.noise)}" for row in rows]
    shares = [100 * row.covered / row.n for row in rows]
    bounds = [wilson(row.covered, row.n) for row in rows]
    trace = go.Scatter(
        x=shares,
        y=labels,
        mode="markers",
        marker={"color": INK, "size": 8},
        showlegend=False,
        error_x={
            "type": "data",
            "array": [100 * b[1] - s for b, s in zip(bounds, shares, strict=True)],
            "arrayminus": [s - 100 * b[0] for b, s in zip(bounds, shares, strict=True)],
            "thickness": 1,
        },
    )
    x = {"title": "intervals that hold the large sample's rate (%)", "range": [0, 104]}
    panel = Panel("Coverage of 95 % intervals", [trace], x, {"autorange": "reversed"})
    figure = draw(panel)
    figure.add_vline(x=95, line={"color": MUTED, "dash": "dash", "width": 1})
    return Picture(
        "coverage",
        "Coverage of 95 % intervals",
        "Share of intervals of the steps per layer that hold the rate found with many more "
        "prompts over the same layers, with its own 95 % interval (Wilson).",
        "An honest 95 % interval covers 95 % of the time (dashed).",
        figure,
    )


def _noise(noise: float) -> str:
    return f"noise {100 * noise:.0f} %"
