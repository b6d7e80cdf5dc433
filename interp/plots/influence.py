"""What every example is worth to an answer, by its age."""

from __future__ import annotations

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter

from interp.plots.marks import error_bars, line
from interp.plots.panel import Panel, draw
from interp.plots.style import INK, MUTED, Look, ordered_looks, reference_look

MOST_LAYERS = 4
SILENT = 0.01
"""Layers are left out whose |J|² is a smaller share of the model's."""
REFERENCES = ("ols", "ogd")


def influence(table: xarray.DataTree | xarray.Dataset, point: int | None = None) -> Figure:
    """Share of the influence on an answer that examples of every age have.

    The model's own answer, up to four of its layers, least squares and online gradient descent.

    Args:
        table: What `interp.influence` found, or the view "influence" of a match.
        point: Number of examples seen; by default the most that was measured.

    Raises:
        ValueError: A point that was not measured.
    """
    table = table.to_dataset() if isinstance(table, xarray.DataTree) else table
    known = [int(one) for one in table.point.values]
    chosen = known[-1] if point is None else point
    if chosen not in known:
        raise ValueError(f"point must be one of {', '.join(map(str, known))}, got {point}")
    here = table.sel(point=chosen, age=slice(1, chosen))
    speaks = here.noise_gain >= SILENT * here.output_noise_gain
    layers = here.layer.values[speaks.values & np.isfinite(here.by_age).all("age").values][:-1]
    few = layers[np.unique(np.linspace(0, len(layers) - 1, MOST_LAYERS).round().astype(int))]
    traces = [
        _shares(here.sel(layer=layer), "", look)
        for layer, look in zip(few, ordered_looks([f"layer {one}" for one in few]), strict=True)
    ]
    traces += [
        _shares(here.sel(reference=name), "reference_", reference_look(name)) for name in REFERENCES
    ]
    traces.append(_shares(here, "output_", Look("the model", INK, "solid", "circle")))
    equal = {"color": MUTED, "width": 1, "dash": "dot"}
    traces.append(
        Scatter(x=[1, chosen], y=[1 / chosen] * 2, mode="lines", line=equal, name="equal shares",
                hoverinfo="skip")
    )  # fmt: skip
    panel = Panel(
        title=f"What examples are worth to the answer after {chosen}",
        traces=traces,
        x={"title": {"text": "age of the example (1 = the newest)"}, "dtick": -(-chosen // 12),
           "range": [0.5, chosen + 0.5]},
        y={"title": {"text": "share of the influence"}, "tickformat": ".0%", "rangemode": "tozero"},
    )  # fmt: skip
    return draw(panel)


def _shares(here: xarray.Dataset, prefix: str, look: Look) -> Scatter:
    values, error = here[f"{prefix}by_age"].values, here[f"{prefix}by_age_error"].values
    bars = error_bars(values, values - 1.96 * error, values + 1.96 * error)
    return line(here.age.values, values, look, "%{x} back: %{y:.1%}", error_y=bars)
