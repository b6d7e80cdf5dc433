"""All results of a sweep as one labelled dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray

AXES = ("model", "task", "seed")
BEFORE = "standing"
"""What cells that were kept before call `retained`."""


def join_results(
    results: Mapping[str, Mapping[tuple[str, str, int], xarray.Dataset]],
    labels: tuple[Sequence[str], Sequence[str], Sequence[int]],
) -> xarray.Dataset:
    """Every variable of every analysis by model, task and seed.

    Args:
        results: By analysis label, and by model, task and seed.
        labels: All models, tasks and seeds, in their order.

    Returns:
        Variables are called `<analysis>_<variable>`. Where models differ in layers, or a cell has
        no result, numbers are NaN and texts empty.
    """
    coords = dict(zip(AXES, (list(values) for values in labels), strict=True))
    whole = xarray.Dataset(coords=coords)
    tables = [whole]
    for analysis, cells in results.items():
        found = {
            place: cell.rename({BEFORE: "retained"}) if BEFORE in cell else cell
            for place, cell in cells.items()
            if cell.data_vars
        }
        if not found:
            continue
        rows = xarray.concat(
            list(found.values()), "cell", join="outer", coords="minimal", compat="override"
        )
        tables += [
            _spread(table, list(found), whole).to_dataset(name=f"{analysis}_{name}")
            for name, table in rows.data_vars.items()
        ]
    return xarray.merge(tables, join="outer")


def _spread(
    table: xarray.DataArray, cells: Sequence[tuple[str, str, int]], whole: xarray.Dataset
) -> xarray.DataArray:
    """Turns an axis of cells into axes of models, tasks and seeds."""
    table = table.transpose("cell", ...)
    is_text = table.dtype.kind in "OUST"
    shape = tuple(whole.sizes[axis] for axis in AXES)
    values = np.full(
        (*shape, *table.shape[1:]), "" if is_text else np.nan, object if is_text else float
    )
    places = {axis: list(whole[axis].values) for axis in AXES}
    for row, cell in enumerate(cells):
        index = tuple(places[axis].index(label) for axis, label in zip(AXES, cell, strict=True))
        values[index] = table.values[row]
    coords = {name: table[name] for name in table.dims if name in table.coords}
    return xarray.DataArray(values, dims=(*AXES, *table.dims[1:]), coords=coords)
