"""Trainings on the terminal: one live table, a row for each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from interp.training.metrics import Metrics, describe_row
from interp.training.recipe import Recipe


class TrainingTable:
    """Shows progress, loss, excess over the baseline and time left of every training.

    On a terminal that is one table that redraws itself; elsewhere (a file, a pipe) one line per
    checkpoint and per change of state.
    """

    def __init__(self, recipes: Sequence[Recipe], console: Console) -> None:
        self.recipes, self.console = recipes, console
        self._starts: dict[int, tuple[float, int]] = {}
        self._rows_shown: dict[int, float] = {}
        self._table = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[state]}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}", justify="right"),
            TextColumn("{task.fields[loss]}", justify="right"),
            TextColumn("{task.fields[excess]}", justify="right"),
            TextColumn("{task.fields[left]}", justify="right"),
            console=console,
            disable=not console.is_terminal,
        )
        self._ids: list[TaskID] = [
            self._table.add_task(
                escape(recipe.name),
                total=recipe.training.n_steps,
                **_Columns("waiting")._asdict(),
            )
            for recipe in recipes
        ]

    def __enter__(self) -> TrainingTable:
        self._table.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._table.stop()

    def started(self, index: int) -> None:
        self._change_state(index, "starting")

    def progressed(self, index: int, step: int, numbers: Metrics) -> None:
        started, first_step = self._starts.setdefault(index, (time.monotonic(), step))
        n_steps = self.recipes[index].training.n_steps
        seconds_left = None
        if step > first_step:
            seconds_left = (time.monotonic() - started) / (step - first_step) * (n_steps - step)
        columns = _Columns(
            "training",
            f"loss {numbers['step_loss']:.4f}" if "step_loss" in numbers else "",
            f"excess {numbers['excess']:+.4f}" if "excess" in numbers else "",
            "" if seconds_left is None else f"{_clock(seconds_left)} left",
        )
        self._table.update(self._ids[index], completed=step, **columns._asdict())
        if "step" in numbers and self._rows_shown.get(index) != numbers["step"]:
            self._rows_shown[index] = numbers["step"]
            self._say(index, describe_row(numbers, n_steps))

    def finished(self, index: int) -> None:
        self._change_state(index, "done")

    def failed(self, index: int, reason: str) -> None:
        self._change_state(index, "failed")

    def _change_state(self, index: int, state: str) -> None:
        self._table.update(self._ids[index], state=state, left="")
        self._say(index, state)

    def _say(self, index: int, text: str) -> None:
        if not self.console.is_terminal:
            name = escape(self.recipes[index].name)
            self.console.print(f"{name}: {text}", highlight=False, soft_wrap=True)


class _Columns(NamedTuple):
    """What the table shows of a training besides its name, bar and steps."""

    state: str
    loss: str = ""
    excess: str = ""
    left: str = ""


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
