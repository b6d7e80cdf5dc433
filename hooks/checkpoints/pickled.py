"""PyTorch's pickled files, opened without running anything that is in them."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hooks.checkpoints.error import CheckpointError
from hooks.checkpoints.harmless_types import HARMLESS


def read_pickled(path: Path) -> Mapping[str, Any]:
    """Reads what `torch.save` wrote: tensors, plain containers and `HARMLESS` types only.

    Raises:
        CheckpointError: The file is missing, damaged, no mapping, or needs more than
            `weights_only=True` allows, such as a whole pickled model.
    """
    check_archive(path)
    try:
        with torch.serialization.safe_globals(HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        what = f"asks for {wanted.group(1)}" if wanted else "holds more than tensors"
        raise CheckpointError(
            f"{path}: refused, because it {what} and opening it could run code that it carries; "
            "expected a state_dict saved with torch.save"
        ) from None
    except (
        RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError,
        AssertionError, OverflowError, MemoryError, RecursionError, struct.error,
    ):  # fmt: skip  # whatever the unpickler of a damaged file comes to
        raise CheckpointError(f"{path}: not a file of torch.save, or truncated") from None
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a state_dict")
    return content


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
            damaged = archive.testzip()
    except (
        zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, NotImplementedError,
        RuntimeError, ValueError, LookupError, OverflowError, MemoryError,
    ) as error:  # fmt: skip  # whatever zipfile comes to
        raise CheckpointError(f"{file}: not a file of torch.save, or truncated ({error})") from None
    if damaged is not None:
        raise CheckpointError(f"{file}: damaged, {damaged} is not what its checksum says")
