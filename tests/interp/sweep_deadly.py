"""An analysis that kills the process it runs in, once; importable by worker processes."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import xarray

from hooks.model import SequenceModel
from interp.study.analysis import Analysis
from interp.tasks import Task


@dataclass(frozen=True)
class DeadlyOnce(Analysis):
    """Says how many points a task has, but the first process that meets a seed dies of it."""

    mark: str
    deadly_seed: int

    name: ClassVar[str] = "deadly"

    def run(self, model: SequenceModel, task: Task, seed: int, part: int) -> xarray.Dataset:
        if seed == self.deadly_seed and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return xarray.Dataset({"points": task.n_points + seed})
