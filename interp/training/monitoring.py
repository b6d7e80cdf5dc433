"""What is logged and measured beside a training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zlib import crc32

from accelerate.accelerator import Accelerator

from hooks.model import SequenceModel
from interp.errors import EXPECTED_ERRORS, describe_error
from interp.tasks import Task
from interp.training.recipe import Recipe

TRACKERS = ("trackio", "tensorboard", "wandb")
"""Of those that accelerate knows; each is the name of the package that it needs."""
PROJECT = "icl-interp"
LARGEST_SHARE = 0.05
"""Of the time of a training that goes into measurements beside it."""


@dataclass(frozen=True)
class Monitoring:
    """What to log and measure beside a training; the weights are the same without it."""

    log_with: str | None = None
    """One of `TRACKERS`, which gets every row of metrics and every measurement."""
    measure_every: int = 0
    """Steps between measurements, 0 for none. One is left out where it would bring their share of
    the time above `LARGEST_SHARE`, as far as the longest so far tells; the first is made always."""
    measure: Callable[[SequenceModel, Task], Mapping[str, float]] | None = None
    """Returns numbers by name for the model as it is; `interp.analyses.small_match` is one."""

    def __post_init__(self) -> None:
        if self.log_with is not None:
            if self.log_with not in TRACKERS:
                raise ValueError(
                    f"log_with must be one of {', '.join(TRACKERS)}, got {self.log_with!r}"
                )
            if find_spec(self.log_with) is None:
                raise ValueError(
                    f"log_with = {self.log_with!r} needs the package {self.log_with}: "
                    f"pip install {self.log_with}"
                )
        if self.measure_every < 0:
            raise ValueError(f"measure_every must be at least 0, got {self.measure_every}")

    def accelerator(self, directory: Path) -> Accelerator:
        """The accelerator of a training, which logs into `tracking/` of its folder."""
        return Accelerator(log_with=self.log_with, project_dir=directory / "tracking")


@dataclass
class Monitor:
    """A training's monitoring under way."""

    monitoring: Monitoring
    accelerator: Accelerator
    recipe: Recipe
    log: Callable[[str], None]
    """Adds a line to the log of the training."""
    spent: float = 0.0
    """Seconds of measurements."""
    longest: float = 0.0
    started: float = field(default_factory=lambda: time.perf_counter())

    def start(self, directory: Path) -> None:
        """Starts the tracker; the same training in the same folder goes on with the same run."""
        if self.monitoring.log_with is None:
            return
        name = self.recipe.name
        run = f"{name}-{crc32(str(directory.resolve()).encode()):08x}"
        options: dict[str, dict[str, Any]] = {
            "wandb": {"name": name, "id": run, "resume": "allow", "dir": str(directory)},
            "trackio": {"name": run, "resume": "allow"},
        }
        self.accelerator.init_trackers(PROJECT, _flat(self.recipe.describe()), options)

    def record(self, step: int, numbers: Mapping[str, int | float]) -> None:
        """Gives numbers to the tracker, if there is one."""
        if self.monitoring.log_with is not None:
            self.accelerator.log(dict(numbers), step=step)

    def measure(self, step: int, model: SequenceModel) -> None:
        """Measures the model if it is time to, and time is left."""
        measure, every = self.monitoring.measure, self.monitoring.measure_every
        if measure is None or not every or step % every or not self.accelerator.is_main_process:
            return
        now = time.perf_counter()
        if self.longest and self.spent + self.longest > LARGEST_SHARE * (now - self.started):
            return
        was_training = model.training
        model.eval()
        try:
            numbers = measure(model, self.recipe.task)
        except EXPECTED_ERRORS as error:
            self.log(f"step {step}: not measured, {describe_error(error)}")
        else:
            self.record(step, numbers)
            self.log(f"step {step}: " + ", ".join(f"{k} {v:.4g}" for k, v in numbers.items()))
        finally:
            model.train(was_training)
            lasted = time.perf_counter() - now
            self.spent, self.longest = self.spent + lasted, max(self.longest, lasted)

    def end(self) -> None:
        """Lets the tracker write what it holds."""
        if self.monitoring.log_with is not None:
            self.accelerator.end_training()


def _flat(entries: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float]:
    """Entries of tables as `table.entry`, in the types that all trackers take."""
    flat: dict[str, str | int | float] = {}
    for key, value in entries.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, (int, float, str)) else str(value)
    return flat
