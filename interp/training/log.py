"""The log of a training that people read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path


def append_to_log(file: Path, text: str) -> None:
    """Adds one dated line to a log, in a single write.

    Raises:
        OSError: The file cannot be written.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    line = f"{now}  {' '.join(text.split(chr(10)))}\n".encode()
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def describe_row(row: Mapping[str, float], n_steps: int) -> str:
    """One row of a training's metrics in words."""
    return (
        f"step {int(row['step']):>{len(str(n_steps))}} of {n_steps}: "
        f"loss {row['loss']:.5f}, error {row['error']:.5f}, "
        f"baseline {row['baseline_error']:.5f}, excess {row['excess']:+.5f}, "
        f"{row['seconds']:.0f} s"
    )
