"""Results on disk, one file each, under the hash of what they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray

from interp.results.netcdf import save_netcdf


@dataclass(frozen=True)
class DatasetStore:
    """A folder of netCDF files."""

    directory: Path

    def path(self, key: str) -> Path:
        return self.directory / f"{key}.nc"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def read(self, key: str) -> xarray.Dataset:
        """The dataset under a key.

        Raises:
            ValueError: There is none, or its file is not one that `put` wrote.
        """
        path = self.path(key)
        try:
            with xarray.open_dataset(path, engine="netcdf4") as dataset:
                return dataset.load()
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path}: not a readable result ({error}); delete it") from None

    def put(self, key: str, result: xarray.Dataset) -> None:
        """Writes a dataset.

        Raises:
            OSError: The folder cannot be written.
        """
        save_netcdf(result, self.path(key))


def hash_of(kind: str, values: Mapping[str, Any]) -> str:
    """Names a result by everything that decides it: plain values and the package's version."""
    whole = {"kind": kind, "version": version("icl-interp"), **values}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]
