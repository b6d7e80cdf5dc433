"""What reads a file of arrays, by its ending, and what goes wrong with damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors import SafetensorError
from torch import Tensor

from hooks import input_file
from hooks.activation_files.npz_file import NpzReader
from hooks.activation_files.pt_file import PtReader
from hooks.activation_files.safetensors_file import SafetensorsReader
from hooks.activation_files.zarr_folder import ZarrReader


class ActivationFileError(ValueError):
    """A file of activations cannot be used; the message names the file and the array."""


@runtime_checkable
class Reader(Protocol):
    """Arrays of one file by name, of which some prompts, or one layer of some, can be read."""

    metadata: dict[str, Any]

    def shapes(self) -> dict[str, tuple[int, ...]]: ...

    def read(self, name: str, prompts: slice, layer: int | None = None) -> Tensor: ...


READERS: dict[str, Callable[[Path], Reader]] = {
    ".npz": NpzReader,
    ".safetensors": SafetensorsReader,
    ".zarr": ZarrReader,
    ".pt": PtReader,
    ".pth": PtReader,
}
DAMAGE = (*input_file.DAMAGE, SafetensorError)
"""Whatever the readers of a damaged file come to."""


def reason(error: BaseException) -> str:
    """What an exception says, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
