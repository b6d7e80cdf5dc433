"""Safetensors: written in place, larger than memory, and read slice by slice."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from hooks.activation_files.array_spec import ArraySpec
from hooks.activation_files.flat_array import FlatArray
from hooks.activation_files.tensors import as_floats
from hooks.input_file import check_file, parse_json

_TYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64"}


@contextmanager
def create_safetensors(
    path: Path, specs: Mapping[str, ArraySpec], metadata: Mapping[str, Any]
) -> Iterator[dict[str, FlatArray]]:
    """Yields arrays to write into `path`, whose header says from the start where each one is."""
    header: dict[str, Any] = {"__metadata__": {"activations": json.dumps(metadata)}}
    end = 0
    for name, spec in specs.items():
        header[name] = {
            "dtype": _TYPES[spec.dtype.name],
            "shape": list(spec.shape),
            "data_offsets": [end, end + spec.n_bytes],
        }
        end += spec.n_bytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("w+b") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        start = file.tell()
        file.truncate(start + end)
        yield {
            name: FlatArray(file, start + header[name]["data_offsets"][0], spec)
            for name, spec in specs.items()
        }


class SafetensorsReader:
    """Arrays of a safetensors file, each read on first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with safe_open(check_file(path), framework="pt") as file:
            self.metadata = parse_json((file.metadata() or {}).get("activations", "{}"))
            self._shapes = {
                name: tuple(file.get_slice(name).get_shape())
                for name in file.keys()  # noqa: SIM118
            }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self._shapes

    def read(self, name: str, prompts: slice, layer: int | None = None) -> Tensor:
        with safe_open(self.path, framework="pt") as file:
            array = file.get_slice(name)
            part = array[prompts] if layer is None else array[layer : layer + 1, prompts][0]
        return as_floats(part)
