"""PyTorch's pickled files, opened without running anything that is in them."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hooks.checkpoints.error import CheckpointError
from hooks.checkpoints.harmless_types import HARMLESS
from hooks.input_file import DAMAGE, check_file, check_tree


def read_pickled(path: Path) -> Mapping[str, Any]:
    """Reads what `torch.save` wrote: tensors, plain containers and `HARMLESS` types only.

    Raises:
        CheckpointError: The file is missing, damaged, no mapping, or needs more than
            `weights_only=True` allows, such as a whole pickled model.
    """
    try:
        check_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    check_archive(path)
    try:
        with torch.serialization.safe_globals(HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        what = f"asks for {wanted.group(1)}" if wanted else "holds more than tensors"
        raise CheckpointError(
            f"{path}: refused, because it {what} and opening it could run code that it carries; "
            "expected a state_dict saved with torch.save"
        ) from None
    except DAMAGE:
        raise CheckpointError(f"{path}: not a file of torch.save, or truncated") from None
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a state_dict")
    try:
        check_tree(content)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    _check_tensors(content, path)
    return content


def _check_tensors(content: Any, path: Path) -> None:
    """Refuses a tensor that repeats a few numbers, which takes memory when it is computed with."""
    below = content.values() if isinstance(content, Mapping) else content
    for part in below:
        if isinstance(part, Mapping | list | tuple):
            _check_tensors(part, path)
        elif isinstance(part, torch.Tensor) and (
            part.layout != torch.strided
            or part.numel() * part.element_size() > part.untyped_storage().nbytes()
        ):
            raise CheckpointError(
                f"{path}: holds a tensor {tuple(part.shape)} of fewer numbers, expected dense ones"
            )


def check_archive(file: Path) -> None:
    """Compares the checksums in a zip archive, as `torch.save` writes, with what the archive holds.

    `torch.load` does not compare them and gives a damaged tensor as it finds it.

    Raises:
        CheckpointError: A part of the archive is damaged.
    """
    try:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as archive:
            if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
                raise ValueError("it has compressed parts")  # which torch.save never writes
            damaged = archive.testzip()
    except DAMAGE as error:
        raise CheckpointError(f"{file}: not a file of torch.save, or truncated ({error})") from None
    if damaged is not None:
        raise CheckpointError(f"{file}: damaged, {damaged} is not what its checksum says")
