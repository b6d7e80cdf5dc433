"""SimE of the steps of one reference with those of another, best match marked."""

from __future__ import annotations

import xarray
from plotly.graph_objects import Figure, Heatmap, Scatter

from interp.plots.marks import BEST_MARK
from interp.plots.panel import Panel, draw
from interp.plots.step_axis import StepAxis
from interp.plots.style import SEQUENTIAL, reference_look


def plot_algorithms(comparison: xarray.Dataset) -> Figure:
    """SimE by step of B and step of A, as in Fig. 26 of Fu et al. 2024.

    Args:
        comparison: What `interp.analyses.algorithms.compare_algorithms` found.
    """
    attrs = comparison.attrs
    label_a, label_b = (reference_look(attrs[name]).label for name in ("a", "b"))
    steps_a, steps_b = comparison.step_a.values, comparison.step_b.values
    axis_a = StepAxis(attrs["spacing_a"] == "log", float(steps_a[-1]))
    axis_b = StepAxis(attrs["spacing_b"] == "log", float(steps_b[-1]))
    best = comparison.best_step.values
    cells = Heatmap(
        x=axis_b.place(steps_b),
        y=axis_a.place(steps_a),
        z=comparison.similarity.values,
        colorscale=SEQUENTIAL,
        colorbar={"title": {"text": "SimE"}, "thickness": 12, "outlinewidth": 0},
        customdata=[[(a, b) for b in steps_b] for a in steps_a],
        hovertemplate=f"{label_a}, step %{{customdata[0]:,.4~r}}<br>"
        f"{label_b}, step %{{customdata[1]:,.4~r}}: SimE %{{z:.3f}}<extra></extra>",
    )
    marks = Scatter(
        x=axis_b.place(best),
        y=axis_a.place(steps_a),
        mode="markers",
        marker={**BEST_MARK, "size": 8},
        customdata=list(zip(steps_a, best, strict=True)),
        hovertemplate="step %{customdata[0]:,.4~r}: best at step %{customdata[1]:,.4~r}"
        "<extra></extra>",
        showlegend=False,
        cliponaxis=False,
    )
    panel = Panel(
        title=f"{label_a} against {label_b}: similarity of errors (SimE)",
        traces=(cells, marks),
        x={**axis_b.properties(f"{label_b}, step"), "showgrid": False},
        y={**axis_a.properties(f"{label_a}, step"), "showgrid": False},
    )
    return draw(panel)
