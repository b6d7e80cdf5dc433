"""Short records of results, and the comparison of a result with its record.

Every variable of a netCDF file is kept as its shape, its number of missing values and either all of
its values or, for a large one, sixteen sums of its values with random signs: a change of any value
changes them. Numbers of a JSON file are kept as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray

TOLERANCE = 1e-9
"""Relative to the largest value of a variable, or to the sum of all magnitudes for sums."""
N_SUMS = 16
WHOLE = 24
"""Variables with at most so many values are kept whole."""
UNSTEADY = ("seconds", "/versions/", "command")
"""What depends on the machine: in whose path one of these occurs is not compared."""


def digest_folder(folder: Path) -> dict[str, Any]:
    """Records of all netCDF and JSON files directly in a folder, by file name."""
    records: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".nc":
            records[path.name] = digest_netcdf(path)
        elif path.suffix == ".json":
            records[path.name] = digest_json(json.loads(path.read_text(encoding="utf-8")))
    return records


def digest_netcdf(path: Path) -> dict[str, Any]:
    """Records of all variables and coordinates with numbers, by their path in the tree."""
    with xarray.open_datatree(path, engine="netcdf4") as tree:
        return {
            f"{node.path.rstrip('/')}/{name}": digest_array(variable)
            for node in tree.subtree
            for name, variable in node.to_dataset(inherit=False).variables.items()
            if variable.dtype.kind in "fiub"
        }


def digest_array(variable: xarray.Variable) -> dict[str, Any]:
    """The record of one variable."""
    # The order of the dimensions is part of the layout and not of the numbers.
    dims = sorted(map(str, variable.dims))
    values = np.asarray(variable.transpose(*dims).values, np.float64)
    is_finite = np.isfinite(values)
    record: dict[str, Any] = {
        "shape": dict(zip(dims, values.shape, strict=True)),
        "missing": int(np.isnan(values).sum()),
    }
    if values.size <= WHOLE:
        record["values"] = [
            value if math.isfinite(value) else str(value) for value in values.ravel().tolist()
        ]
    else:
        flat = np.where(is_finite, values, 0.0).ravel()
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(N_SUMS, flat.size))
        record["sums"] = (signs @ flat).tolist()
        record["magnitude"] = float(np.abs(flat).sum())
    return record


def digest_json(entry: Any, path: str = "") -> dict[str, Any]:
    """Numbers, truth values and words (texts without a space) by their path."""
    return dict(_leaves(entry, path))


def _leaves(entry: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(entry, Mapping):
        for key, value in entry.items():
            yield from _leaves(value, f"{path}/{key}")
    elif isinstance(entry, list):
        for index, value in enumerate(entry):
            yield from _leaves(value, f"{path}/{index}")
    elif not (isinstance(entry, str) and (" " in entry or "/" in entry)):
        yield path, entry


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What a result lacks of its record or has otherwise, a line each."""
    lines: list[str] = []
    for name, record in expected.items():
        if any(word in name for word in UNSTEADY):
            continue
        if name not in found:
            lines.append(f"{name} is missing")
        elif not _is_same(record, found[name]):
            lines.append(f"{name}: expected {_short(record)}, found {_short(found[name])}")
    return lines


def _is_same(expected: Any, found: Any) -> bool:
    if isinstance(expected, dict) and "shape" in expected:
        same = expected["shape"] == found["shape"] and expected["missing"] == found["missing"]
        if "values" in expected:
            a, b = (np.array([float(v) for v in r["values"]]) for r in (expected, found))
            return same and _is_close(a, b, _scale(a))
        return same and _is_close(
            np.array(expected["sums"]), np.array(found["sums"]), expected["magnitude"]
        )
    is_number = [isinstance(v, int | float) and not isinstance(v, bool) for v in (expected, found)]
    if all(is_number):
        return abs(expected - found) <= TOLERANCE * max(abs(expected), 1.0)
    return type(expected) is type(found) and expected == found


def _scale(values: np.ndarray) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _is_close(a: np.ndarray, b: np.ndarray, scale: float) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=0, atol=TOLERANCE * scale, equal_nan=True)


def _short(record: Any) -> str:
    text = json.dumps(record)
    return text if len(text) <= 200 else f"{text[:200]} …"
