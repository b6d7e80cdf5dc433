"""One part of one analysis of one model, task and seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
import xarray

from hooks.model import SequenceModel
from interp.study.analysis import Analysis
from interp.study.checkpoint import Checkpoint
from interp.study.store import hash_of
from interp.tasks import Task


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
        model = _load(cell.checkpoint)
        return cell.analysis.run(model, cell.task, cell.seed, cell.part)
    finally:
        torch.set_num_threads(n_threads)


@lru_cache(maxsize=1)
def _load(checkpoint: Checkpoint) -> SequenceModel:
    """The last model is kept: cells of one model follow each other."""
    return checkpoint.load()
