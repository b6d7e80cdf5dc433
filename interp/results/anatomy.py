"""What `anatomy` found: shares and filters with their axes named, saved and reopened whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas
import xarray

from interp.results.netcdf import read_tree
from interp.results.saved import SavedResult

FORMAT = "icl-interp-anatomy/1"
SILENT = 0.03
"""Layers whose energy is a smaller share of y's say next to nothing."""


@dataclass(frozen=True, repr=False)
class Anatomy(SavedResult):
    """Shares of what every layer says about y, and the filter that it applies.

    `data` holds by `layer` and `point` (the number of examples seen) `share` of each `part`,
    `ceiling`, `resolved_eigenvalue`, `exponent` and `filter`, as `interp.anatomy` says.
    """

    @property
    def table(self) -> xarray.Dataset:
        """Everything that was measured."""
        return self.data.to_dataset(inherit=False)

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each layer and point: every part's share, and what has one number there."""
        table = self.table
        shares = table.share.to_dataset("part")
        single = [
            name for name, values in table.data_vars.items() if values.dims == ("layer", "point")
        ]
        return table[single].merge(shares).to_dataframe().reset_index()

    def _describe(self) -> str:
        table = self.table
        last = table.ceiling.isel(layer=-1, point=-1).item()
        return (
            f"{self.provenance['checkpoint']}: {table.sizes['layer']} layers after "
            f"{', '.join(map(str, table.point.values))} examples; any filter could explain "
            f"{last:.1%} of the last"
        )


def open_anatomy(path: str | Path) -> Anatomy:
    """Reads a file that `Anatomy.save` wrote, equal to what was saved.

    Raises:
        ResultError: The file is missing, damaged, or no such result.
    """
    return Anatomy(read_tree(path, FORMAT))


def make_anatomy(table: xarray.Dataset, provenance: Mapping[str, Any]) -> Anatomy:
    """Puts the parts of a result together."""
    text = json.dumps(dict(provenance))
    return Anatomy(xarray.DataTree(table.assign_attrs(format=FORMAT, provenance=text)))
