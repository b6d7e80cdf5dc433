"""Datasets that an analysis fills cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray


def empty_table(
    axes: Mapping[str, Sequence[str]],
    coords: Mapping[str, Any],
    attrs: Mapping[str, Any] | None = None,
) -> xarray.Dataset:
    """A dataset of missing numbers.

    Args:
        axes: Dimensions of every variable.
        coords: Values of every dimension.
        attrs: Attributes of the dataset.
    """
    variables = {
        name: (tuple(dims), np.full([len(coords[dim]) for dim in dims], np.nan))
        for name, dims in axes.items()
    }
    return xarray.Dataset(variables, coords, attrs)
