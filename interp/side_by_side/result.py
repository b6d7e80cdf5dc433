"""What `compare` found: every number with its axes named, saved and reopened whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas
import xarray

from interp.results.netcdf import read_tree
from interp.results.result import MatchResult
from interp.results.saved import SavedResult

if TYPE_CHECKING:
    from interp.side_by_side.table import Table

FORMAT = "icl-interp-compare/1"


@dataclass(frozen=True, repr=False)
class ModelComparison(SavedResult):
    """Several models beside each other.

    `data` is a tree: `/summary` holds errors, similarities, differences, forgetting and cost by
    `model`; `/models/<number>` is what `interp.match` found about each model by itself.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """What the models are called, in the order they were given."""
        return tuple(map(str, self.summary.model.values))

    @property
    def summary(self) -> xarray.Dataset:
        """All numbers about whole models."""
        node = self.data["summary"]
        assert isinstance(node, xarray.DataTree)
        return node.to_dataset(inherit=False)

    def match(self, name: str) -> MatchResult:
        """What `interp.match` found about one model.

        Raises:
            ValueError: It is none of those compared.
        """
        if name not in self.names:
            raise ValueError(f"model {name!r} was not compared; compared were {self.names}")
        return self._matches[name]

    @cached_property
    def _matches(self) -> dict[str, MatchResult]:
        """By name; taking a part out of a tree costs a copy."""
        return {
            name: MatchResult(self.data[f"models/{number}"].copy())  # type: ignore[arg-type]
            for number, name in enumerate(self.names)
        }

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """Every table by its name; each has `to_csv` and `to_latex`."""
        from interp.side_by_side.tables import all_tables

        return all_tables(self)

    def describe(self) -> dict[str, Any]:
        """The content of `summary.json`: what was compared, and every table in plain values."""
        return {
            **self.provenance,
            "models": list(self.names),
            "tables": {name: table.records() for name, table in self.tables.items()},
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each model, with every number that there is one of for each model."""
        summary = self.summary
        single = [name for name, values in summary.data_vars.items() if values.dims == ("model",)]
        return summary[single].to_dataframe().reset_index()

    def _describe(self) -> str:
        return ", ".join(self.names)


def open_comparison(path: str | Path) -> ModelComparison:
    """Reads a file that `ModelComparison.save` wrote, equal to what was saved.

    Raises:
        ResultError: The file is missing, damaged, or no such result.
    """
    return ModelComparison(read_tree(path, FORMAT))
