"""Tasks from files."""

from __future__ import annotations

import tomllib
from pathlib import Path

from interp.tasks import Task, build_task


def read_task(path: str | Path) -> Task:
    """Reads a task from the `[task]` table of a TOML file, such as a recipe.

    Raises:
        ValueError: The file is missing, is not TOML or holds no such task; the message names it.
    """
    try:
        entries = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        if not isinstance(entries.get("task"), dict):
            raise ValueError("has no [task] table")
        return build_task(entries["task"])
    except (OSError, ValueError) as error:  # TOML and text decoding errors are ValueErrors
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: {reason}") from None
