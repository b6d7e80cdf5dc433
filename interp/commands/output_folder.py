"""Folders that a command writes its results into."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any


def claim(out: Path) -> None:
    """Finds out before the work, not after it, that the folder cannot be written.

    Leaves nothing behind: a command that fails later has changed no file.

    Raises:
        OSError: It cannot.
    """
    existing = next(folder for folder in (out, *out.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        error.filename = str(out)
        raise


def write_summary(out: Path, summary: dict[str, Any]) -> None:
    """Writes `summary.json`, atomically."""
    from hooks.atomic import write_text

    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
