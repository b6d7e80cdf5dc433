"""What can be asked of a model on a task: the interface of every analysis of a sweep; its cells."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import torch
import xarray

from hooks.model import SequenceModel
from interp.study.checkpoint import Checkpoint
from interp.study.store import hash_of
from interp.tasks import Task
from interp.zoo.loading import moved


@dataclass(frozen=True)
class Analysis:
    """A question with its settings, which are the dataclass's fields and so keys of a grid.

    One that streams many prompts comes in parts, each computed by itself, and joins what they
    give; the parts and their order depend on the settings alone, so the answer does not depend on
    how many workers there were.
    """

    name: ClassVar[str]

    @property
    def n_parts(self) -> int:
        return 1

    @abstractmethod
    def run(self, model: SequenceModel, task: Task, seed: int, part: int) -> xarray.Dataset:
        """Computes one part. Draws nothing at random that `seed` does not decide."""

    def join(self, parts: Iterable[xarray.Dataset], task: Task) -> xarray.Dataset:
        """The answer, from all parts in their order."""
        del task
        [whole] = parts
        return whole

    def describe(self) -> dict[str, Any]:
        """The analysis as plain values: with the model, the task and the seed all that counts."""
        return {"name": self.name, **asdict(self)}


def at_least(least: int, analysis: Analysis, *names: str) -> None:
    """Raises a `ValueError` that names a field below a bound."""
    for name in names:
        if getattr(analysis, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(analysis, name)}")


@dataclass(frozen=True)
class AnalysisCell:
    """The smallest piece of a sweep: it is computed whole, kept whole and never again."""

    checkpoint: Checkpoint
    task: Task
    seed: int
    analysis: Analysis
    part: int = 0

    @cached_property
    def key(self) -> str:
        """The hash of all that its result depends on, the package's version included."""
        return hash_of(
            "sweep cell",
            {
                "checkpoint": self.checkpoint.digest,
                "task": self.task.describe(),
                "seed": self.seed,
                "analysis": self.analysis.describe(),
                "part": self.part,
            },
        )


def run_cell(cell: AnalysisCell) -> xarray.Dataset:
    """Computes a cell, on one thread, so that its digits are the same whatever runs beside it."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = moved(_load(cell.checkpoint), None)
        return cell.analysis.run(model, cell.task, cell.seed, cell.part)
    finally:
        torch.set_num_threads(n_threads)


@lru_cache(maxsize=1)
def _load(checkpoint: Checkpoint) -> SequenceModel:
    """The last model is kept: cells of one model follow each other."""
    return checkpoint.load()
