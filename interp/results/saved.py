"""What results of all kinds have in common: a tree of tables, its provenance, and a file."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas
import xarray

from interp.results.accessors import Extensible
from interp.results.netcdf import save_netcdf


@dataclass(frozen=True, repr=False)
class SavedResult(Extensible, ABC):
    """A tree of tables whose attribute `provenance` says in JSON where they come from."""

    data: xarray.DataTree

    @property
    def provenance(self) -> dict[str, Any]:
        """Checkpoint, recipe, task, prompts, seed, versions and command, as far as known."""
        found: dict[str, Any] = json.loads(self.data.attrs["provenance"])
        return found

    @abstractmethod
    def to_dataframe(self) -> pandas.DataFrame:
        """The numbers by themselves, a row for each combination of what they were taken at."""

    def save(self, path: str | Path) -> None:
        """Writes everything to one netCDF file, atomically.

        Raises:
            OSError: The file cannot be written; an existing one is left as it was.
        """
        save_netcdf(self.data, path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._describe()}>"

    @abstractmethod
    def _describe(self) -> str:
        """What was found, in a line."""
