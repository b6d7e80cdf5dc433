"""Results in netCDF files: written whole or not at all, read with clear errors."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netCDF4
import xarray
from xarray.backends import NetCDF4DataStore
from xarray.backends.common import ArrayWriter

from hooks.atomic import atomic_write
from hooks.input_file import DAMAGE, DEEPEST, check_claim, check_file
from interp.results.run_folder import mixed_with
from interp.results.seal import RUN, ResultError, check_seal, seal


def save_netcdf(data: xarray.Dataset | xarray.DataTree, path: str | Path) -> None:
    """Writes one netCDF file, atomically.

    Raises:
        OSError: The file cannot be written; an existing one is left as it was.
    """
    tree = data if isinstance(data, xarray.DataTree) else xarray.DataTree(data)
    with atomic_write(path) as temporary:
        try:
            _write(tree, temporary)
            seal(temporary)
        except RuntimeError as error:  # how the library tells that the disk is full
            reason = f"cannot be written, is the disk full? ({error})"
            raise OSError(errno.EIO, reason, str(path)) from error


class _LateWriter(ArrayWriter):
    """Keeps values until every variable has been declared.

    The library brings the headers of the whole file up to date whenever it goes from declaring to
    writing; for a tree of a thousand variables written one by one, that takes a minute.
    """

    def __init__(self) -> None:
        super().__init__()
        self.late: list[tuple[Any, Any]] = []

    def add(self, source: Any, target: Any, region: Any = None) -> None:
        assert region is None
        self.late.append((source, target))

    def write(self) -> None:
        for source, target in self.late:
            target[...] = source


def _write(tree: xarray.DataTree, path: Path) -> None:
    """As `to_netcdf` does, in time proportional to the number of variables."""
    writer = _LateWriter()
    with netCDF4.Dataset(path, "w", format="NETCDF4") as file:
        for node in tree.subtree:
            is_root = node is tree
            place = file if is_root else file.createGroup(node.relative_to(tree))
            dataset = node.to_dataset(inherit=is_root)
            dataset.dump_to_store(NetCDF4DataStore(place), writer=writer)
        writer.write()


def read_tree(path: str | Path, format_name: str) -> xarray.DataTree:
    """Reads a tree that `save_netcdf` wrote, equal to what was saved.

    Raises:
        ResultError: The file is missing, damaged, of another run than the rest of its folder, or
            its attribute `format` is another.
    """
    data = read_netcdf(path)
    run = data.attrs.pop(RUN, None)
    if other := mixed_with(Path(path).expanduser(), run):
        raise ResultError(
            f"{path}: of run {run}, but its folder is of run {other}; a command was interrupted "
            "while it moved its files there: run it again"
        )
    if data.attrs.get("format") != format_name:
        raise ResultError(
            f"{path}: its format is {data.attrs.get('format')!r}, expected {format_name!r}"
        )
    return data


def read_netcdf(path: str | Path) -> xarray.DataTree:
    """Reads any tree that `save_netcdf` wrote, after comparing it with its checksum.

    Raises:
        ResultError: The file is missing, damaged, or claims more than it can hold.
    """
    try:
        file = check_file(path)
        check_seal(file)
        with netCDF4.Dataset(file) as dataset:
            check_claim(sum(map(_n_bytes, _variables(dataset))), file.stat().st_size)
        with xarray.open_datatree(file, engine="netcdf4") as tree:
            data = tree.load()
    except FileNotFoundError:
        raise ResultError(f"{path}: no such file") from None
    except ResultError:
        raise
    except DAMAGE as error:
        raise ResultError(f"{path}: not a readable netCDF file ({error})") from None
    return data


def _variables(group: netCDF4.Dataset, depth: int = 0) -> Iterator[netCDF4.Variable[Any]]:
    if depth > DEEPEST:
        raise ValueError(f"is nested more than {DEEPEST} deep")
    yield from group.variables.values()
    for inner in group.groups.values():
        yield from _variables(inner, depth + 1)


def _n_bytes(variable: netCDF4.Variable[Any]) -> int:
    return math.prod(variable.shape) * (variable.dtype.itemsize if variable.dtype != str else 8)


def without_nan(entry: Any) -> Any:
    """Numbers and nested lists of them as JSON has them: a missing number is null."""
    if isinstance(entry, list):
        return [without_nan(item) for item in entry]
    return None if math.isnan(entry) else entry
