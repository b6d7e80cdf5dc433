"""NumPy's `.npz`: written through one `.npy` per array, read whole."""

from __future__ import annotations

import json
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
    """Arrays of an `.npz` file; each is held in memory from its first use on."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as content:
            self.arrays = {name: content[name] for name in content.files}
        text = self.arrays.pop("metadata", None)
        self.metadata = json.loads(str(text)) if text is not None and text.ndim == 0 else {}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self.arrays.items()}

    def read(self, name: str, prompts: slice, layer: int | None = None) -> Tensor:
        array = self.arrays[name]
        return from_numpy(array[prompts] if layer is None else array[layer, prompts])
