"""Two references against each other: their steps, and layers on prompts that separate them."""

from __future__ import annotations

import xarray
from plotly.graph_objects import Figure

from interp.plots.marks import BEST_MARK, best_marks, cells, line
from interp.plots.panel import Panel, StepAxis, draw
from interp.plots.style import reference_look


def algorithms(comparison: xarray.Dataset) -> Figure:
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
    table = cells(
        axis_b.place(steps_b),
        axis_a.place(steps_a),
        comparison.similarity.values,
        "SimE",
        f"{label_a}, step %{{customdata[0]:,.4~r}}<br>"
        f"{label_b}, step %{{customdata[1]:,.4~r}}: SimE %{{z:.3f}}",
        customdata=[[(a, b) for b in steps_b] for a in steps_a],
    )
    marks = best_marks(
        axis_b.place(best),
        axis_a.place(steps_a),
        "step %{customdata[0]:,.4~r}: best at step %{customdata[1]:,.4~r}",
        marker={**BEST_MARK, "size": 8},
        customdata=list(zip(steps_a, best, strict=True)),
    )
    panel = Panel(
        title=f"{label_a} against {label_b}: similarity of errors (SimE)",
        traces=(table, marks),
        x={**axis_b.properties(f"{label_b}, step"), "showgrid": False},
        y={**axis_a.properties(f"{label_a}, step"), "showgrid": False},
    )
    return draw(panel)


def separation(found: xarray.Dataset) -> Figure:
    """SimE of every layer with both references, one panel for each kind of prompts.

    Args:
        found: What `interp.separate` found.
    """
    panels: list[Panel] = []
    for kind in found.prompts.values:
        rows = found.sel(prompts=kind)
        traces = [
            line(
                rows.layer.values,
                rows.similarity.sel(reference=name).values,
                reference_look(str(name)),
                "layer %{x}: %{y:.3f} at step %{customdata:,.4~r}",
                showlegend=not panels,
                customdata=rows.best_step.sel(reference=name).values,
            )
            for name in rows.reference.values
        ]
        x = {"title": {"text": "layer"}}
        y = {"title": {"text": "SimE at the best step"}, "range": [-0.05, 1.05]}
        panels.append(Panel(f"{kind} prompts", traces, x, y))
    return draw(*panels)
