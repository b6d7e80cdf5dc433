"""What can be read from the output of each attention head."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray
from plotly.graph_objects import Figure

from interp.plots.marks import cells
from interp.plots.panel import (
    HEAD_HEIGHT,
    Panel,
    axis_of_heads,
    draw,
    head_names,
    lens_name,
)
from interp.plots.style import reference_look

LEGIBLE = 0.3
"""Steps are written where they are read at least this well."""


def heads(
    heads: xarray.DataTree | xarray.Dataset, what: Literal["iterates", "moments"] = "iterates"
) -> Figure:
    """Held-out R^2 of every head, one a row, onto iterates or onto moments of the prompt.

    Args:
        heads: What `interp.analyses.heads.read_heads` found.
        what: "iterates" of references, at the step that is read best, which is written into the
            cell; or "moments" S^j b.

    Raises:
        ValueError: Neither of these.
    """
    table = heads.to_dataset() if isinstance(heads, xarray.DataTree) else heads
    if what == "iterates":
        columns, values, steps = _iterates(table)
        title = "What each head holds of the iterates"
    elif what == "moments":
        columns, values, steps = _moments(table)
        title = "What each head holds of the prompt's moments"
    else:
        raise ValueError(f"what must be 'iterates' or 'moments', got {what!r}")
    names, rows = _rows(table)
    text = [["" if label is None else label for label in row] for row in steps[rows]]
    lens = [[lens_name(name)] * len(columns) for name in names]
    table_of_r2 = cells(
        columns,
        names,
        np.maximum(values[rows], 0),
        "R²",
        "%{y} (TransformerLens %{customdata[1]}), %{x}: R² %{customdata[0]:.3f}",
        zmin=0,
        zmax=1,
        text=text,
        texttemplate="%{text}",
        textfont={"size": 10},
        customdata=np.stack([values[rows].astype(object), np.array(lens, dtype=object)], -1),
        xgap=1,
    )
    panel = Panel(
        title=title,
        traces=(table_of_r2,),
        x={
            "title": {"text": "regressed onto"},
            "type": "category",
            "showgrid": False,
            "tickangle": -40,
        },
        y=axis_of_heads(
            names, f"layer.head ({names[0]} is {lens_name(names[0])} in TransformerLens)"
        ),
        layout={"height": 150 + HEAD_HEIGHT * len(names), "shapes": _rules(names)},
    )
    return draw(panel)


def _iterates(table: xarray.Dataset) -> tuple[list[str], np.ndarray, np.ndarray]:
    columns, values, steps = [], [], []
    for form in map(str, table.form.values):
        for name in map(str, table.reference.values):
            where = {"reference": name, "form": form}
            r2 = table.iterate_r2.sel(where).values.reshape(-1)
            step = table.iterate_step.sel(where).values.reshape(-1)
            columns.append(f"{'x·w' if form == 'prediction' else 'w'}, {_short(name)}")
            values.append(r2)
            steps.append([f"{s:,.3g}" if r > LEGIBLE else None
                          for s, r in zip(step, r2, strict=True)])  # fmt: skip
    return columns, np.stack(values, 1), np.array(steps, dtype=object).T


def _moments(table: xarray.Dataset) -> tuple[list[str], np.ndarray, np.ndarray]:
    columns, values = [], []
    for form in map(str, table.form.values):
        for moment in table.moment.values:
            r2 = table.moment_r2.sel(form=form, moment=moment).values.reshape(-1)
            vector = {0: "b", 1: "S b"}.get(int(moment), f"S<sup>{moment}</sup> b")
            columns.append(f"x·{vector}" if form == "prediction" else vector)
            values.append(r2)
    stacked = np.stack(values, 1)
    return columns, stacked, np.full(stacked.shape, None)


def _rows(table: xarray.Dataset) -> tuple[list[str], np.ndarray]:
    """Names of the heads that there are, and their rows in the flattened table."""
    is_there = np.isfinite(table.moment_r2.isel(form=0, moment=0).values).reshape(-1)
    names = head_names(table.layer.values, table["head"].values)
    return names[is_there].tolist(), is_there


def _rules(names: list[str]) -> list[dict[str, Any]]:
    """Lines between the layers."""
    layers = [name.split(".")[0] for name in names]
    return [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "yref": "y",
            "y0": index - 0.5,
            "y1": index - 0.5,
            "line": {"color": "white", "width": 2},
        }
        for index in range(1, len(names))
        if layers[index] != layers[index - 1]
    ]


def _short(name: str) -> str:
    return reference_look(name).label.split(",")[0]
