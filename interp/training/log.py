"""The log of a training that people read."""

from __future__ import annotations

import os
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
