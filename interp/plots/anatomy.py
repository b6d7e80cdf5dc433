"""What layers are made of: shares, measured filters, and the eigenvalue that is resolved."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray
from plotly.graph_objects import Bar, Figure, Scatter
from plotly.subplots import make_subplots

from interp.plots import template
from interp.plots.marks import error_bars, hatching, line
from interp.plots.panel import Panel, axis_of_layers, draw
from interp.plots.style import INK, MUTED, Look, ordered_looks, reference_look
from interp.results.anatomy import SILENT, Anatomy

AnatomyTable = Anatomy | xarray.DataTree | xarray.Dataset
PART_LOOKS: dict[str, tuple[str, str, str]] = {
    "reference": ("the reference", "#0072b2", ""),
    "other_filter": ("another filter", "#56b4e9", "/"),
    "filter_interaction": ("filters that interact", "#007a5a", "x"),
    "query_nonlinear": ("bends with the query", "#b87a00", "\\"),
    "y_nonlinear": ("bends with y", "#d55e00", "-"),
    "direction": ("directions of x", "#cc79a7", "|"),
    "examples": ("examples one by one", "#a0527f", "+"),
    "order": ("order of examples", "#999999", "."),
}
"""What each part is called, its colour and its hatching, from the bottom of a bar up."""
COLUMNS = 3
ROW_HEIGHT = 190
HEADROOM = 90


def shares(anatomy: AnatomyTable, point: int | None = None) -> Figure:
    """What every layer is made of: one bar a layer, the ceiling marked.

    Args:
        anatomy: What `interp.anatomy` found, or the view "anatomy" of a match.
        point: Number of examples seen; by default the most that was taken apart.

    Raises:
        ValueError: A point that was not taken apart.
    """
    table = at_point(anatomy, point)
    layers = table.layer.values
    traces: list[Bar | Scatter] = []
    for part, (label, colour, shape) in PART_LOOKS.items():
        values, low, high = (table[f"share{end}"].sel(part=part) for end in ("", "_low", "_high"))
        if not np.isfinite(values).any():
            continue
        traces.append(
            Bar(
                x=layers,
                y=np.maximum(values.values, 0),
                name=label,
                marker={
                    "color": colour,
                    "pattern": hatching(shape),
                    "line": {"width": 0},
                    # Layers that say next to nothing are pale.
                    "opacity": np.where(table.energy.values < SILENT, 0.25, 1.0),
                },
                customdata=np.column_stack([values, low, high]),
                hovertemplate=(
                    "layer %{x}: %{customdata[0]:.1%} "
                    "(%{customdata[1]:.1%} to %{customdata[2]:.1%})"
                ),
            )
        )
    if np.isfinite(table.ceiling).any():
        bars = error_bars(*(table[f"ceiling{end}"].values for end in ("", "_low", "_high")))
        look = Look("ceiling of all filters", INK, "solid", "line-ew-open")
        hover = "layer %{x}: any filter could explain %{y:.1%}"
        mark = {"symbol": "line-ew-open", "size": 16, "color": INK, "line": {"width": 3}}
        traces.append(
            line(layers, table.ceiling.values, look, hover, mode="markers", marker=mark,
                 error_y=bars | {"color": INK})
        )  # fmt: skip
    panel = Panel(
        title=f"What each layer is made of, after {_examples(table)}",
        traces=traces,
        x=axis_of_layers(layers) | {"showgrid": False},
        y={"title": {"text": "share of the layer's energy"}, "tickformat": ".0%",
           "range": [0, 1.08]},
        layout={"barmode": "stack", "bargap": 0.2, "height": template.HEIGHT + HEADROOM},
    )  # fmt: skip
    return draw(panel)


def filters(
    anatomy: AnatomyTable, point: int | None = None, references: Iterable[str] = ("newton", "gd")
) -> Figure:
    """The filter g of every layer with its band, and references at their best step over it.

    Args:
        anatomy: What `interp.anatomy` found, or the view "anatomy" of a match.
        point: Number of examples seen; by default the fewest that was taken apart, where
            eigenvalues spread most.
        references: Names of those shown, where they were compared.

    Raises:
        ValueError: A point that was not taken apart.
    """
    table = at_point(anatomy, point, is_first=True)
    layers = [int(layer) for layer in table.layer.values]
    n_rows = -(-len(layers) // COLUMNS)
    figure = make_subplots(
        n_rows, COLUMNS, shared_xaxes="all", shared_yaxes="all", horizontal_spacing=0.03,
        vertical_spacing=0.3 / n_rows, subplot_titles=[f"layer {layer}" for layer in layers],
    )  # fmt: skip
    known = [name for name in references if name in table.reference.values]
    eigenvalues = table.eigenvalue.values
    for index, layer in enumerate(layers):
        row, column = divmod(index, COLUMNS)
        here = table.sel(layer=layer)
        traces = [*_band(here, eigenvalues)]
        for name in known:
            look = reference_look(name)
            y = here.reference_filter.sel(reference=name).values
            step = here.reference_step.sel(reference=name).item()
            hover = f"{look.label} at step {step:,.4g}: g(%{{x:.3~g}}) = %{{y:.3f}}<extra></extra>"
            traces.append(line(eigenvalues, y, look, hover, mode="lines", legendgroup=name))
        for trace in traces:
            trace.showlegend = index == 0 and trace.name is not None
        figure.add_traces(traces, row + 1, column + 1)
    figure.update_xaxes(type="log", dtick=1, exponentformat="power")
    figure.update_yaxes(range=[-0.15, 1.25], dtick=0.5)
    figure.update_xaxes(title_text="eigenvalue of XᵀX", row=n_rows, col=(COLUMNS + 1) // 2)
    figure.update_yaxes(title_text="g", col=1)
    figure.update_annotations(font={"size": 12})
    figure.update_layout(
        template=template.NAME,
        title_text=f"Share of each direction that is learnt, after {_examples(table)}",
        height=HEADROOM + ROW_HEIGHT * n_rows,
        legend_y=1 + 0.12 / n_rows,
    )
    return figure


def resolved(anatomy: AnatomyTable) -> Figure:
    """The eigenvalue that every layer has learnt to a half, against depth, a line for each point.

    Args:
        anatomy: What `interp.anatomy` found, or the view "anatomy" of a match.
    """
    table = _table(anatomy)
    names = [f"{point} examples" for point in table.point.values]
    traces = []
    for point, look in zip(table.point.values, ordered_looks(names), strict=True):
        here = table.sel(point=point)
        values, low, high = (
            here[f"resolved_eigenvalue{end}"].values for end in ("", "_low", "_high")
        )
        is_there = np.isfinite(values) & (values >= here.eigenvalue.min().item())
        if not is_there.any():
            continue
        high = np.where(np.isfinite(high), high, values)
        bars = error_bars(values[is_there], low[is_there], high[is_there])
        hover = "layer %{x}: half of %{y:.3~g} is learnt"
        traces.append(
            line(table.layer.values[is_there], values[is_there], look, hover, error_y=bars)
        )
    panel = Panel(
        title="Eigenvalue that is learnt to a half",
        traces=traces,
        x=axis_of_layers(table.layer.values),
        y={"title": {"text": "eigenvalue of XᵀX where g = 1/2"}, "type": "log", "dtick": 1,
           "exponentformat": "power"},
    )  # fmt: skip
    return draw(panel)


def _band(here: xarray.Dataset, eigenvalues: np.ndarray) -> list[Scatter]:
    low, high = here.filter_low.values, here.filter_high.values
    edges = Scatter(
        x=[*eigenvalues, *eigenvalues[::-1]], y=[*high, *low[::-1]], fill="toself",
        fillcolor="rgba(87, 96, 106, 0.25)", line={"width": 0}, hoverinfo="skip", mode="lines",
    )  # fmt: skip
    look = Look("this layer", MUTED, "solid", "circle")
    hover = "g(%{x:.3~g}) = %{y:.3f}<extra></extra>"
    middle = line(
        eigenvalues, here["filter"].values, look, hover, mode="lines", legendgroup="layer"
    )
    return [edges, middle.update(line_color=INK)]


def _table(anatomy: AnatomyTable) -> xarray.Dataset:
    if isinstance(anatomy, Anatomy):
        return anatomy.table
    return anatomy.to_dataset() if isinstance(anatomy, xarray.DataTree) else anatomy


def at_point(anatomy: AnatomyTable, point: int | None, *, is_first: bool = False) -> xarray.Dataset:
    """What was found at one point, by default the last.

    Raises:
        ValueError: A point that was not taken apart.
    """
    table = _table(anatomy)
    known = [int(one) for one in table.point.values]
    chosen = known[0 if is_first else -1] if point is None else point
    if chosen not in known:
        raise ValueError(f"point must be one of {', '.join(map(str, known))}, got {point}")
    found = table.sel(point=chosen)
    if "eigenvalue" not in found:
        return found
    is_knot = np.isfinite(found.eigenvalue)
    return found.isel(knot=np.flatnonzero(is_knot.values))


def _examples(table: xarray.Dataset) -> str:
    return f"{int(table.point)} example{'s' if int(table.point) != 1 else ''}"
