"""Zarr: a folder of chunks, written and read some prompts at a time; needs the `zarr` package."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hooks.activation_files.array_spec import ArraySpec
from hooks.activation_files.tensors import from_numpy
from hooks.input_file import LARGEST_TEXT, check_claim, check_file

PROMPTS_PER_CHUNK = 1024


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise ValueError(
            "Zarr needs a package that is not installed: pip install 'icl-interp[zarr]', "
            "or choose a file that ends in .npz or .safetensors"
        ) from None
    return zarr


@dataclass(frozen=True)
class _ZarrArray:
    array: Any
    axis: int

    def write(self, start: int, values: np.ndarray) -> None:
        stop = start + values.shape[self.axis]
        self.array[(slice(None),) * self.axis + (slice(start, stop),)] = values


@contextmanager
def create_zarr(
    path: Path, specs: Mapping[str, ArraySpec], metadata: Mapping[str, Any]
) -> Iterator[dict[str, _ZarrArray]]:
    """Yields arrays to write into the folder `path`."""
    group = _zarr().open_group(path, mode="w", attributes=dict(metadata))
    arrays = {}
    for name, spec in specs.items():
        axis = spec.axes.index("prompt") if "prompt" in spec.axes else 0
        chunks = (
            *(1 for _ in spec.shape[:axis]),
            min(spec.shape[axis], PROMPTS_PER_CHUNK),
            *spec.shape[axis + 1 :],
        )
        # A chunk that is lost reads as NaN, never as zeros; every chunk is written, so that one
        # that is not there is known to be lost.
        array = group.create_array(
            name,
            shape=spec.shape,
            dtype=spec.dtype,
            chunks=chunks,
            dimension_names=spec.axes,
            fill_value=np.nan if spec.dtype.kind == "f" else -1,
            config={"write_empty_chunks": True},
        )
        arrays[name] = _ZarrArray(array, axis)
    yield arrays


class ZarrReader:
    """Arrays of a Zarr folder, each read on first use."""

    def __init__(self, path: Path) -> None:
        for file in path.rglob("*"):
            if not file.is_dir():
                check_file(file, LARGEST_TEXT if file.suffix == ".json" else None)
        self.group = _zarr().open_group(path, mode="r")
        self.metadata = dict(self.group.attrs)
        self._whole: set[str] = set()
        for name, array in self.group.arrays():
            on_disk = sum(f.stat().st_size for f in (path / name).rglob("*") if f.is_file())
            for shape in (array.shape, array.chunks):
                check_claim(math.prod(shape) * array.dtype.itemsize, on_disk)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self.group.arrays()}

    def read(self, name: str, prompts: slice, layer: int | None = None) -> Tensor:
        array = self.group[name]
        if name not in self._whole:
            n_lost = array.nchunks - array.nchunks_initialized
            if n_lost:
                raise ValueError(
                    f"{n_lost} of its {array.nchunks} chunks are not there; copy them again, or, "
                    "if they were left out for being all zero, write it with "
                    'config={"write_empty_chunks": True}'
                )
            self._whole.add(name)
        return from_numpy(np.asarray(array[prompts] if layer is None else array[layer, prompts]))
