"""What layers do at one checkpoint of a training, with a slider over all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray
from plotly.basedatatypes import BaseTraceType
from plotly.graph_objects import Figure

from interp.plots import anatomy, template
from interp.plots.emergence import MOST_LINEAR, references_of
from interp.plots.marks import error_bars, line
from interp.plots.panel import Panel, StepAxis, axis_of_layers, draw
from interp.plots.style import INK, Look, reference_look

SLIDER_HEIGHT = 110


def layers(found: xarray.Dataset) -> Figure:
    """Error of every layer's read-out and its best-matching step."""
    names = references_of(found)
    largest = float(found.match_best_step.sel(reference=names).max())
    axis = StepAxis(largest > MOST_LINEAR, largest)

    def at(one: xarray.Dataset) -> list[BaseTraceType]:
        error = one.match_layer_error / found.zero_error
        look = Look("read-out of y", INK, "solid", "circle")
        traces: list[BaseTraceType] = [
            line(one.layer.values, error.values, look, "layer %{x}: %{y:.3f}")
        ]
        for name in names:
            here = one.sel(reference=name)
            best, *ends = (
                axis.place(here[f"match_best_step{end}"].values) for end in ("", "_low", "_high")
            )
            hover = "layer %{x}: step %{customdata[0]:.3~g}, SimE %{customdata[1]:.3f}"
            shown = np.column_stack([here.match_best_step, here.match_best_similarity])
            bars = error_bars(best, *ends)
            traces.append(
                line(one.layer.values, best, reference_look(name), hover, customdata=shown,
                     error_y=bars)
            )  # fmt: skip
        return traces

    first, *others = at(found.isel(step=-1))
    x = axis_of_layers(found.layer.values)
    highest = max(1.0, float((found.match_layer_error / found.zero_error).max()))
    y = {"title": {"text": "error / error of predicting 0"}, "range": [-0.03, highest * 1.05]}
    top = float(axis.place(np.array([largest])).item())
    reach = axis.properties("best-matching step") | {
        "range": [-1.2 if axis.is_log else -0.5, top * 1.05 + 0.5]
    }
    figure = draw(Panel("Error of read-outs", [first], x, y), Panel("Steps", others, x, reach))
    figure.update_layout(meta={"wide": True})  # two titles of axes side by side
    return _with_slider(figure, found.dropna("step", how="all", subset=["match_layer_error"]), at)


def shares(found: xarray.Dataset) -> Figure:
    """What every layer is made of, a bar each."""
    found = found.dropna("step", how="all", subset=["anatomy_share"])

    def figure_at(one: xarray.Dataset) -> Figure:
        names = {str(name): str(name).removeprefix("anatomy_") for name in one.data_vars}
        return anatomy.shares(
            one.rename(names).assign_coords(point=found.attrs["examples"]).expand_dims("point")
        )

    def at(one: xarray.Dataset) -> list[BaseTraceType]:
        return list(figure_at(one).data)

    of_anatomy = found[[name for name in found.data_vars if str(name).startswith("anatomy_")]]
    return _with_slider(figure_at(of_anatomy.isel(step=-1)), of_anatomy, at)


def _with_slider(
    figure: Figure,
    found: xarray.Dataset,
    traces_at: Callable[[xarray.Dataset], list[BaseTraceType]],
) -> Figure:
    """The figure of the last checkpoint, and a slider below that shows the others."""
    steps = []
    for index, step in enumerate(found.step.values):
        traces = [trace.to_plotly_json() for trace in traces_at(found.isel(step=index))]
        values = {key: [trace.get(key) for trace in traces] for key in ("y", "customdata")}
        for end in ("array", "arrayminus"):
            values[f"error_y.{end}"] = [trace.get("error_y", {}).get(end) for trace in traces]
        values["marker.opacity"] = [trace.get("marker", {}).get("opacity") for trace in traces]
        steps.append({"label": f"{step:,}", "method": "restyle", "args": [values]})
    slider = {
        "active": len(steps) - 1,
        "steps": steps,
        "currentvalue": {"prefix": "training step ", "font": {"size": 13}},
        "pad": {"t": 56, "b": 8},
    }
    height = (figure.layout.height or template.HEIGHT) + SLIDER_HEIGHT
    return figure.update_layout(sliders=[slider], height=height)
