"""What a netCDF file says of itself: a checksum of all of it, and the run that it is of."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import netCDF4

SEAL = b"icl-interp-sha256:"
"""What the checksum behind the end of a file begins with; files of earlier versions have none."""
RUN = "run"
"""The attribute that says which run it is of."""


class ResultError(ValueError):
    """A file is not a result that was saved here; the message names it."""


def mark_run(path: Path, run: str) -> None:
    """Writes into a file which run it is of.

    Raises:
        OSError: The file cannot be written.
    """
    with netCDF4.Dataset(path, "a") as file:
        file.setncattr(RUN, run)
    seal(path)


def seal(path: Path) -> None:
    """Puts a checksum of a file behind its end, which HDF5 does not read, in place of an older one.

    HDF5 has no checksum of its own of a file's structure, and a library that reads a damaged one
    gives other numbers, or takes memory without bound.
    """
    content, _ = _split(path)
    with path.open("r+b") as file:
        file.truncate(len(content))
        file.seek(0, os.SEEK_END)
        file.write(SEAL + hashlib.sha256(content).digest())


def check_seal(path: Path) -> None:
    """Passes a file without a checksum, or with the right one.

    Raises:
        ResultError: Its content is not what its checksum says.
    """
    content, digest = _split(path)
    if digest is not None and digest != hashlib.sha256(content).digest():
        raise ResultError(f"{path}: damaged, its content is not what its checksum says")


def _split(path: Path) -> tuple[bytes, bytes | None]:
    content = path.read_bytes()
    end = len(content) - len(SEAL) - hashlib.sha256().digest_size
    if end < 0 or content[end : end + len(SEAL)] != SEAL:
        return content, None
    return content[:end], content[end + len(SEAL) :]
