"""What appears over a training: pictures of what `interp.emerge` found, against training step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray
from plotly.graph_objects import Figure

from interp.plots.anatomy import PART_LOOKS
from interp.plots.marks import line
from interp.plots.panel import Panel, StepAxis, draw
from interp.plots.style import INK, MUTED, Look, ordered_looks, reference_look

MOST_LINEAR = 64
"""Best-matching steps beyond are drawn on a logarithmic axis."""


def errors(found: xarray.Dataset) -> Figure:
    """The model's error, beside the baseline and predicting 0."""
    zero = found.zero_error.expand_dims(step=found.step)
    rows = [
        (Look("model", INK, "solid", "circle"), found.error_mean),
        (Look(found.attrs["baseline"], "#007a5a", "dash", "square"), found.error_baseline),
        (Look("predicting 0", MUTED, "dot", "x"), zero),
    ]
    y = {"title": {"text": "squared error / d"}, "type": "log"}
    return draw(_panel(found, "Error against training step", rows, y, ".4f"))


def steps(found: xarray.Dataset) -> Figure:
    """The best-matching step of every layer, a panel for each reference of the last verdict.

    Where it is none of those compared, the reference is that which the last layer is most like.
    """
    retained = str(found.match_retained.values[-1]).split(", ")
    last = found.match_best_similarity.isel(layer=-1, step=-1).fillna(-1)
    names = [name for name in retained if name in found.reference]
    panels: list[Panel] = []
    for name in names or [str(last.idxmax("reference").item())]:
        best = found.match_best_step.sel(reference=name)
        axis = StepAxis(float(best.max()) > MOST_LINEAR, float(best.max()))
        looks = ordered_looks([f"layer {layer}" for layer in best.layer.values])
        placed = best.copy(data=axis.place(best.values))
        label = reference_look(name).label
        rows = [(look, placed.isel(layer=index)) for index, look in enumerate(looks)]
        y = axis.properties("best-matching step")
        panel = _panel(found, f"Layers as steps of {label}", rows, y, ".2f")
        for trace in panel.traces if panels else ():
            trace.showlegend = False
        panels.append(panel)
    return draw(*panels)


def similarity(found: xarray.Dataset) -> Figure:
    """SimE of the last layer with every reference at its best step."""
    last = found.match_best_similarity.isel(layer=-1)
    rows = [(reference_look(str(name)), last.sel(reference=name)) for name in last.reference.values]
    y = {"title": {"text": "SimE at the best step"}, "range": [-0.05, 1.05]}
    return draw(_panel(found, "The last layer and the references", rows, y, ".3f"))


def shares(found: xarray.Dataset) -> Figure:
    """What the last layer is made of, where `anatomy` was asked for."""
    last = found.isel(layer=-1)
    rows = [(Look("ceiling of all filters", INK, "solid", "circle"), last.anatomy_ceiling)]
    for part, (label, colour, _) in PART_LOOKS.items():
        rows.append((Look(label, colour, "dash", "square"), last.anatomy_share.sel(part=part)))
    y = {"title": {"text": "share of the layer's energy"}, "tickformat": ".0%"}
    return draw(_panel(found, "What the last layer is made of", rows, y, ".1%"))


def _panel(
    found: xarray.Dataset,
    title: str,
    rows: Iterable[tuple[Look, xarray.DataArray]],
    y: dict[str, Any],
    digits: str,
) -> Panel:
    """Lines over training steps, logarithmic unless they start at 0."""
    hover = f"step %{{x:,}}: %{{y:{digits}}}"
    traces = [
        line(found.step.values, values.values, look, hover)
        for look, values in rows
        if np.isfinite(values).any()
    ]
    kind = "log" if found.step.values[0] > 0 else "linear"
    return Panel(title, traces, {"title": {"text": "training step"}, "type": kind}, y)
