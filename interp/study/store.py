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
import numpy as np
import xarray

from hooks.atomic import atomic_write, write_text
from hooks.input_file import DAMAGE, check_file

Result = TypeVar("Result")

CHECKSUM = "sha256"
"""Entry of a packed dataset with the checksum of it."""
KEY = "store_key"
"""Entry of a file that says which key it was put under."""


@dataclass(frozen=True)
class Store(Generic[Result]):
    """A folder of results; each file is whole or absent."""

    directory: Path
    result_type: type[Result]
    """A dataclass, kept as JSON, or `xarray.Dataset`, kept as MessagePack, a tenth of the time that
    netCDF takes for a small one."""

    def path(self, key: str) -> Path:
        return self.directory / f"{key}.{'msgpack' if self._is_dataset else 'json'}"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def read(self, key: str) -> Result:
        """The result under a key.

        Raises:
            ValueError: There is none, or its file is not one that `put` wrote under this key.
        """
        path = self.path(key)
        try:
            decode = msgspec.msgpack.decode if self._is_dataset else msgspec.json.decode
            entries = decode(check_file(path).read_bytes())
            written_under, content = entries[KEY], entries["result"]
            if self._is_dataset and entries.get(CHECKSUM) not in (None, _checksum(content)):
                raise ValueError("damaged, its content is not what its checksum says")
            found: Any = (
                _unpacked(content)
                if self._is_dataset
                else msgspec.convert(content, self.result_type)
            )
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
            packed = _packed(result)
            entries = {KEY: key, CHECKSUM: _checksum(packed), "result": packed}
            content = msgspec.msgpack.encode(entries)
            with atomic_write(self.path(key)) as temporary:
                temporary.write_bytes(content)
        else:
            text = msgspec.json.encode({KEY: key, "result": result})
            write_text(self.path(key), msgspec.json.format(text, indent=1).decode())

    @property
    def _is_dataset(self) -> bool:
        return issubclass(self.result_type, xarray.Dataset)


def _packed(data: xarray.Dataset) -> dict[str, Any]:
    """A dataset in types that MessagePack has: numbers as bytes, texts as lists."""

    def packed(variable: xarray.Variable) -> list[Any]:
        values = variable.values
        is_text = values.dtype.kind in "OU"
        content = values.tolist() if is_text else values.tobytes()
        kind = "O" if values.dtype.kind == "O" else values.dtype.str
        return [variable.dims, kind, values.shape, content, variable.attrs]

    return {
        "coords": {str(name): packed(one.variable) for name, one in data.coords.items()},
        "variables": {str(name): packed(one.variable) for name, one in data.data_vars.items()},
        "attrs": data.attrs,
    }


def _unpacked(entries: Mapping[str, Any]) -> xarray.Dataset:
    """The inverse of `_packed`."""

    def unpacked(dims: list[str], kind: str, shape: list[int], content: Any, attrs: Any) -> Any:
        dtype = np.dtype(kind)
        values = (
            np.frombuffer(content, dtype).copy()
            if isinstance(content, bytes)
            else np.array(content, dtype)
        )
        return xarray.Variable(dims, values.reshape(shape), attrs)

    coords, variables = (
        {name: unpacked(*one) for name, one in entries[part].items()}
        for part in ("coords", "variables")
    )
    return xarray.Dataset(variables, coords, entries["attrs"])


def _checksum(packed: Any) -> str:
    """The SHA-256 of a packed dataset."""
    return hashlib.sha256(msgspec.msgpack.encode(packed)).hexdigest()


def hash_of(kind: str, values: Mapping[str, Any]) -> str:
    """Names a result by everything that decides it: plain values and the package's version."""
    whole = {"kind": kind, "store": 3, "version": version("icl-interp"), **values}
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
