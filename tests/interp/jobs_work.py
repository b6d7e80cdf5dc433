"""Pieces of work for tests of how cells are run; importable by worker processes, without torch."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from interp.jobs.cluster import shipped_file


def square(number: int) -> int:
    return number * number


def square_but(number: int, bad: int, worse: int) -> int:
    """As `square`, but for two numbers, an expected and an unexpected error."""
    if number == bad:
        raise ValueError(f"{number} is bad")
    if number == worse:
        raise RuntimeError(f"{number} is worse")
    return square(number)


def square_or_die(number: int, deadly: int) -> int:
    """As `square`, but one number kills the process, whenever it is tried."""
    if number == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return square(number)


def square_and_die_once(number: int, deadly: int, mark: Path) -> int:
    """As `square`, but the first process that meets a certain number is killed by it."""
    time.sleep(0.02)
    if number == deadly and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def read_shipped(name: str) -> str | None:
    path = shipped_file(name)
    return path.read_text() if path else None


def note_and_sleep(number: int, folder: Path) -> None:
    """Leaves the number of its process in a folder, and takes a minute."""
    (folder / str(os.getpid())).touch()
    del number
    time.sleep(60)
