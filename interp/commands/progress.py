"""A progress bar for work that streams prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


SECONDS = 30
"""Between two lines of progress where there is no terminal."""


@contextmanager
def prompt_progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Yields what analyses call with a stage, the prompts done and the prompts in all."""
    if not console.is_terminal:
        yield _lines(console)
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def progress(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield progress


def _lines(console: Console) -> Callable[[str, int, int], None]:
    """What prints a line every `SECONDS`, for the log of a batch job."""
    started = last = time.monotonic()

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS:
            last = now
            console.print(
                f"{now - started:.0f} s: {stage}, {done} of {total}", highlight=False, markup=False
            )

    return progress
