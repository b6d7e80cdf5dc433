"""NumPy's `.npz`: written through one `.npy` per array, each read whole."""

from __future__ import annotations

import json
import math
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hooks.activation_files.array_spec import ArraySpec
from hooks.activation_files.flat_array import FlatArray
from hooks.activation_files.tensors import from_numpy
from hooks.input_file import check_claim, check_file, parse_json


@contextmanager
def create_npz(
    path: Path, specs: Mapping[str, ArraySpec], metadata: Mapping[str, Any]
) -> Iterator[dict[str, FlatArray]]:
    """Yields arrays to write; packs them into `path` when the block ends without error."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.") as folder:
        with ExitStack() as stack:
            arrays = {}
            for name, spec in specs.items():
                file = stack.enter_context((Path(folder) / f"{name}.npy").open("w+b"))
                np.lib.format.write_array_header_1_0(
                    file,
                    {"descr": spec.dtype.str, "fortran_order": False, "shape": spec.shape},
                )
                arrays[name] = FlatArray(file, file.tell(), spec)
            yield arrays
        np.save(Path(folder) / "metadata.npy", np.array(json.dumps(metadata)))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for member in sorted(Path(folder).iterdir()):
                archive.write(member, member.name)


class NpzReader:
    """Arrays of an `.npz` file, each read and kept when it is first asked for.

    Raises:
        Any of `DAMAGE`: The file is damaged, or an array claims another size than it has.
    """

    def __init__(self, path: Path) -> None:
        self.path = check_file(path)
        self._kept: dict[str, np.ndarray] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if item.filename.endswith(".npy")]
            check_claim(sum(item.file_size for item in members), path.stat().st_size)
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in self._shapes:
                    raise ValueError(f"has {name} twice")
                self._shapes[name] = _claimed_shape(archive, member)
        text = self.array("metadata") if self._shapes.pop("metadata", None) == () else "{}"
        self.metadata = parse_json(str(text))

    def array(self, name: str) -> np.ndarray:
        """One array as NumPy has it."""
        if name not in self._kept:
            with np.load(self.path, allow_pickle=False) as content:
                self._kept[name] = content[name]
        return self._kept[name]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self._shapes

    def read(self, name: str, prompts: slice, layer: int | None = None) -> Tensor:
        array = self.array(name)
        return from_numpy(array[prompts] if layer is None else array[layer, prompts])


def _claimed_shape(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[int, ...]:
    with archive.open(member) as file:
        version, _ = np.lib.format.read_magic(file)
        if version not in (1, 2):
            raise ValueError(f"{member.filename} is of version {version} of NumPy's format")
        read = np.lib.format.read_array_header_1_0
        read = read if version == 1 else np.lib.format.read_array_header_2_0
        shape, _, kind = read(file)
        if math.prod(shape) * kind.itemsize != member.file_size - file.tell():
            raise ValueError(f"{member.filename} has not the {list(shape)} numbers that it claims")
    return shape
