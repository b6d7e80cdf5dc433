"""What appears over a training: pictures of what `interp.emerge` found, against training step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from interp.plots import template
from interp.plots.anatomy import PART_LOOKS
from interp.plots.marks import cells, error_bars, line
from interp.plots.panel import Panel, StepAxis, axis_of_layers, draw
from interp.plots.style import INK, MUTED, Look, ordered_looks, reference_look

MOST_LINEAR = 64
"""Best-matching steps beyond are drawn on a logarithmic axis."""
ERROR_AXIS: dict[str, Any] = {"title": {"text": "squared error / d"}, "type": "log"}
SHARE_AXIS: dict[str, Any] = {
    "title": {"text": "share of the layer's energy"},
    "tickformat": ".0%",
    "range": [0, 1.05],
}


def errors(found: xarray.Dataset) -> Figure:
    """The model's error, beside the baseline and predicting 0."""
    return draw(_panel(found, "Error against training step", _error_rows(found), ERROR_AXIS, ".4f"))


def steps(found: xarray.Dataset) -> Figure:
    """The best-matching step of every layer, a panel for each reference of the last verdict."""
    panels: list[Panel] = []
    for name in references_of(found):
        panel = _steps_of(found, name)
        for trace in panel.traces if panels else ():
            trace.showlegend = False
        panels.append(panel)
    return draw(*panels)


def explained(found: xarray.Dataset) -> Figure:
    """Share of y that every layer's read-out explains, by layer and training step."""
    return draw(_explained_panel(found))


def changes(found: xarray.Dataset, labels: Sequence[str]) -> Figure:
    """Change points with their intervals; those out of the range of checkpoints are at its edge.

    Args:
        found: What `interp.emerge` found.
        labels: What every change is called.
    """
    places = np.log2(np.maximum(found.step.values, 0.5))
    edges = places[0] - 0.25, places[-1] + 0.25
    ends = (found[f"change_step{end}"].values for end in ("", "_low", "_high"))
    point, low, high = (np.log2(np.clip(values, *np.exp2(edges))) for values in ends)
    is_inside = np.isfinite(found.change_step.values)
    traces = []
    for name, chosen, symbol in (
        ("change point", is_inside, "circle"),
        ("before the first checkpoint, or not by the last", ~is_inside, "circle-open"),
    ):
        if not chosen.any():
            continue
        bars = error_bars(point[chosen], low[chosen], high[chosen])
        shown = found.change_step.values[chosen]
        traces.append(
            line(point[chosen], np.array(labels)[chosen], Look(name, INK, "solid", symbol),
                 "step %{customdata:,.0f}", mode="markers", error_x=bars, customdata=shown)
        )  # fmt: skip
    ticks = found.step.values
    x = {"title": {"text": "training step"}, "range": [edges[0] - 0.2, edges[1] + 0.2],
         "tickvals": places, "ticktext": [f"{step:,}" for step in ticks]}  # fmt: skip
    y = {"type": "category", "autorange": "reversed", "categoryarray": list(labels)}
    height = max(template.HEIGHT, 120 + 24 * len(labels))
    return draw(Panel("Change points", traces, x, y, layout={"height": height}))


def similarity(found: xarray.Dataset) -> Figure:
    """SimE of the last layer with every reference at its best step."""
    return draw(_alike(found))


def _error_rows(found: xarray.Dataset) -> list[tuple[Look, xarray.DataArray]]:
    return [
        (Look("model", INK, "solid", "circle"), found.error_mean),
        (Look(found.attrs["baseline"], "#007a5a", "dash", "square"), found.error_baseline),
        (Look("predicting 0", MUTED, "dot", "x"), found.zero_error.expand_dims(step=found.step)),
    ]


def _alike(found: xarray.Dataset) -> Panel:
    last = found.match_best_similarity.isel(layer=-1)
    rows = [(reference_look(str(name)), last.sel(reference=name)) for name in last.reference.values]
    y = {"title": {"text": "SimE at the best step"}, "range": [-0.05, 1.05]}
    return _panel(found, "The last layer and the references", rows, y, ".3f")


def shares_over_steps(found: xarray.Dataset) -> Figure:
    """What the last layer is made of, stacked over training steps, beside the ceiling."""
    return draw(_shares_panel(found))


def pool(found: xarray.Dataset) -> Figure:
    """Errors of the model, dMMSE and ridge, on tasks of the pool and on new ones."""
    looks = {
        "model": Look("model", INK, "solid", "circle"),
        "dmmse": Look("dMMSE", "#d55e00", "dash", "square"),
        "ridge": Look("ridge", "#007a5a", "dot", "diamond"),
    }
    panels = []
    for prompts, title in (("pool", "Tasks of the pool"), ("new", "New tasks")):
        here = found.sel(prompts=prompts)
        rows = [(look, here[f"pool_{name}_error"]) for name, look in looks.items()]
        panels.append(_panel(found, title, rows, ERROR_AXIS, ".4f"))
    for trace in panels[1].traces:
        trace.showlegend = False
    return draw(*panels)


def resolved(found: xarray.Dataset) -> Figure:
    """The eigenvalue that every layer has learnt to a half, against training step."""
    looks = ordered_looks([f"layer {layer}" for layer in found.layer.values])
    values = found.anatomy_resolved_eigenvalue
    rows = [(look, values.isel(layer=index)) for index, look in enumerate(looks)]
    y = {"title": {"text": "eigenvalue of XᵀX where g = 1/2"}, "type": "log"}
    return draw(_panel(found, "Eigenvalue that is learnt to a half", rows, y, ".3~g"))


def small_multiples(found: xarray.Dataset) -> Figure:
    """The pictures of a training as panels of one figure, for a page of a paper."""
    error = _panel(found, "Error", _error_rows(found), ERROR_AXIS, ".4f")
    panels = [
        error,
        _explained_panel(found),
        _steps_of(found, references_of(found)[0]),
        _alike(found),
    ]
    if "anatomy_share" in found:
        panels += [
            _shares_panel(found),
            _panel(found, "Ceiling of all filters by layer", _ceilings(found), SHARE_AXIS, ".1%"),
        ]
    n_columns = 2
    n_rows = -(-len(panels) // n_columns)
    titles = [f"<b>{chr(97 + i)}</b>  {panel.title}" for i, panel in enumerate(panels)]
    figure = make_subplots(n_rows, n_columns, subplot_titles=titles, horizontal_spacing=0.3,
                           vertical_spacing=0.34 / n_rows)  # fmt: skip
    figure.update_layout(template=template.NAME, width=1000, height=330 * n_rows, showlegend=True,
                         margin={"t": 40}, font={"size": 12}, barmode="stack")  # fmt: skip
    for index, panel in enumerate(panels):
        row, column = divmod(index, n_columns)
        place = {"row": row + 1, "col": column + 1}
        legend = f"legend{index + 1 if index else ''}"
        figure.update_xaxes(panel.x, **place)
        figure.update_yaxes(panel.y, **place)
        (x,), (y,) = (list(axes(**place)) for axes in (figure.select_xaxes, figure.select_yaxes))
        for trace in panel.traces:
            if isinstance(trace, Scatter):
                trace.update(legend=legend, marker={"size": 5}, line={"width": 1.5})
            else:
                trace["colorbar"].update(x=x.domain[1] + 0.01, y=sum(y.domain) / 2,
                                      len=y.domain[1] - y.domain[0])  # fmt: skip
        figure.add_traces(list(panel.traces), row + 1, column + 1)
        figure.layout[legend] = {"x": x.domain[1] + 0.01, "y": y.domain[1], "yanchor": "top",
                                 "orientation": "v", "font": {"size": 10}}  # fmt: skip
    figure.update_annotations(font={"size": 13})
    return figure


def references_of(found: xarray.Dataset) -> list[str]:
    """References that the last verdict retains; where it retains none, the one compared with."""
    retained = str(found.match_retained.values[-1]).split(", ")
    return [name for name in retained if name in found.reference] or [found.attrs["reference"]]


def _steps_of(found: xarray.Dataset, name: str) -> Panel:
    best = found.match_best_step.sel(reference=name)
    axis = StepAxis(float(best.max()) > MOST_LINEAR, float(best.max()))
    looks = ordered_looks([f"layer {layer}" for layer in best.layer.values])
    placed = best.copy(data=axis.place(best.values))
    rows = [(look, placed.isel(layer=index)) for index, look in enumerate(looks)]
    y = axis.properties("best-matching step")
    return _panel(found, f"Layers as steps of {reference_look(name).label}", rows, y, ".2f")


def _explained_panel(found: xarray.Dataset) -> Panel:
    share = 1 - (found.match_layer_error / found.zero_error).transpose("layer", "step")
    labels = [f"{step:,}" for step in found.step.values]
    hover = "layer %{y}, step %{x}: %{z:.1%}"
    bar = {"tickformat": ".0%"}
    shown = cells(
        labels, share.layer.values, share.values, "of y", hover, zmin=0, zmax=1, colorbar=bar
    )
    x = {"title": {"text": "training step"}, "type": "category", "showgrid": False}
    y = axis_of_layers(share.layer.values) | {"showgrid": False}
    return Panel("Share of y that layers explain", [shown], x, y)


def _shares_panel(found: xarray.Dataset) -> Panel:
    last = found.isel(layer=-1)
    traces: list[Scatter] = []
    for part, (label, colour, _) in PART_LOOKS.items():
        values = last.anatomy_share.sel(part=part)
        if np.isfinite(values).any():
            look = Look(label, colour, "solid", "circle")
            area: dict[str, Any] = {"stackgroup": "shares", "fillcolor": colour, "mode": "lines"}
            area["line"] = {"width": 0.5, "color": colour}
            height = np.maximum(values.values, 0)
            traces.append(line(found.step.values, height, look, "%{y:.1%}", **area))
    if np.isfinite(last.anatomy_ceiling).any():
        look = Look("ceiling of all filters", INK, "solid", "circle")
        traces.append(line(found.step.values, last.anatomy_ceiling.values, look, "%{y:.1%}"))
    return Panel("What the last layer is made of", traces, _step_axis(found), SHARE_AXIS)


def _ceilings(found: xarray.Dataset) -> list[tuple[Look, xarray.DataArray]]:
    looks = ordered_looks([f"layer {layer}" for layer in found.layer.values])
    return [(look, found.anatomy_ceiling.isel(layer=index)) for index, look in enumerate(looks)]


def _step_axis(found: xarray.Dataset) -> dict[str, Any]:
    kind = "log" if found.step.values[0] > 0 else "linear"
    return {"title": {"text": "training step"}, "type": kind}


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
    return Panel(title, traces, _step_axis(found), y)
