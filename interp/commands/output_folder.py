"""Folders that a command writes its results into."""

from __future__ import annotations

import tempfile
from pathlib import Path


def claim(out: Path) -> None:
    """Finds out before the work, not after it, that the folder cannot be written.

    Leaves nothing behind: a command that fails later has changed no file. What commands that were
    killed left in the folder is cleared.

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
    if out.is_dir():
        from hooks.atomic import clear_abandoned  # for the speed of start-up

        clear_abandoned(out)
