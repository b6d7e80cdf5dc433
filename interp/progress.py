"""How far an analysis is: a bar in a terminal or a notebook, now and then a line elsewhere."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[str, int, int], None]
"""Receives a stage's name, what of it is done, and of how much."""
Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")

SECONDS = 30
"""Between two lines of progress where there is no terminal."""
SECONDS_IN_NOTEBOOK = 0.3
"""Between two states of the bar of a notebook."""

_shown: list[str] = []
"""What shows progress in this process; whatever it calls shows none of its own."""


def silent(stage: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


def shows_progress(analysis: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Gives an analysis that is called without `progress` a bar, in a terminal or a notebook.

    Off both, in workers, and within what shows progress itself it stays `silent`.
    """

    @wraps(analysis)
    def run(*args: Parameters.args, **options: Parameters.kwargs) -> Returned:
        is_worker = multiprocessing.current_process().name != "MainProcess"
        if "progress" in options or is_worker or _shown:
            return analysis(*args, **options)
        from rich.console import Console  # for the speed of start-up

        console = Console(stderr=True)
        if not (console.is_terminal or console.is_jupyter):
            return analysis(*args, **options)
        with prompt_progress(console) as progress:
            options["progress"] = progress
            return analysis(*args, **options)

    return run


@contextmanager
def prompt_progress(console: Console) -> Iterator[Progress]:
    """Yields what analyses call with a stage, the prompts done and the prompts in all."""
    _shown.append("progress")
    try:
        if console.is_jupyter:
            yield from _in_notebook()
        elif console.is_terminal:
            yield from _in_terminal(console)
        else:
            yield _lines(console)
    finally:
        _shown.pop()


def _in_terminal(console: Console) -> Iterator[Progress]:
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("{task.description:<28}"),
        rich_progress.BarColumn(),
        rich_progress.TimeElapsedColumn(),
        rich_progress.TextColumn("left:"),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def progress(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield progress


def _in_notebook() -> Iterator[Progress]:
    """A bar of plain HTML, which needs no widgets; it goes when the work is done."""
    from html import escape

    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)
    shown = stage_began = time.monotonic()
    stage_shown = ""

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal shown, stage_began, stage_shown
        now = time.monotonic()
        if stage != stage_shown:
            stage_shown, stage_began = stage, now
        elif now - shown < SECONDS_IN_NOTEBOOK:
            return
        shown = now
        left = f", {(now - stage_began) / done * (total - done):.0f} s left" if done else ""
        bar = f'<progress value="{done}" max="{total}"></progress>'
        handle.update(HTML(f"{bar} {escape(stage)}{left}"))

    try:
        yield progress
    finally:
        handle.update(HTML(""))


def _lines(console: Console) -> Progress:
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
