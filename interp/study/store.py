"""Results on disk, one file each, under the hash of what they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import xarray

from hooks.atomic import write_text
from hooks.input_file import DAMAGE, check_file
from interp.results.netcdf import read_netcdf, save_netcdf

Result = TypeVar("Result")

KEY = "store_key"
"""Attribute of a netCDF file, or entry of a JSON file, that says which key it was put under."""


@dataclass(frozen=True)
class Store(Generic[Result]):
    """A folder of results; each file is whole or absent."""

    directory: Path
    result_type: type[Result]
    """A dataclass, kept as JSON, or `xarray.Dataset`, kept as netCDF."""

    def path(self, key: str) -> Path:
        return self.directory / f"{key}.{'nc' if self._is_netcdf else 'json'}"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def read(self, key: str) -> Result:
        """The result under a key.

        Raises:
            ValueError: There is none, or its file is not one that `put` wrote under this key.
        """
        path = self.path(key)
        try:
            if self._is_netcdf:
                found: Any = read_netcdf(path).to_dataset()
                written_under = found.attrs.pop(KEY)
            else:
                entries = msgspec.json.decode(check_file(path).read_bytes())
                written_under = entries[KEY]
                found = msgspec.convert(entries["result"], self.result_type)
        except (*DAMAGE, msgspec.MsgspecError) as error:
            raise ValueError(f"{path}: not a readable result ({error}); delete it") from None
        if written_under != key:
            raise ValueError(f"{path}: the result of another cell, {written_under}; delete it")
        return found

    def put(self, key: str, result: Result) -> None:
        """Writes a result.

        Raises:
            OSError: The folder cannot be written.
        """
        if isinstance(result, xarray.Dataset):
            save_netcdf(result.assign_attrs({KEY: key}), self.path(key))
        else:
            text = msgspec.json.encode({KEY: key, "result": result})
            write_text(self.path(key), msgspec.json.format(text, indent=1).decode())

    @property
    def _is_netcdf(self) -> bool:
        return issubclass(self.result_type, xarray.Dataset)


def hash_of(kind: str, values: Mapping[str, Any]) -> str:
    """Names a result by everything that decides it: plain values and the package's version."""
    whole = {"kind": kind, "store": 2, "version": version("icl-interp"), **values}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


@cache
def code_digest(*packages: str) -> str:
    """The hash of the source of some packages, for results that change with it."""
    whole = hashlib.sha256()
    for package in packages:
        folder = Path(str(import_module(package).__file__)).parent
        for file in sorted(folder.rglob("*.py")):
            whole.update(f"{package}/{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return whole.hexdigest()[:16]
