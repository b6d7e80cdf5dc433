"""Trainings as cells of a sweep."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from hooks.atomic import atomic_write
from interp.study.checkpoint import Checkpoint
from interp.study.store import hash_of
from interp.training.metrics import Metrics
from interp.training.recipe import Recipe
from interp.training.train import train
from interp.zoo.catalogue import read_entry

RESULT_FILES = ("metrics.csv", "training.log", "recipe.json", "model.safetensors")
"""What a worker sends back, the file that says that it is done last."""


@dataclass(frozen=True)
class TrainingCell:
    """A recipe that a sweep trains before its analyses run."""

    recipe: Recipe

    @cached_property
    def key(self) -> str:
        """The hash of the recipe and, where it starts from a checkpoint, of that."""
        initial = self.recipe.training.initial_checkpoint
        return hash_of(
            "training",
            {
                "recipe": self.recipe.describe(),
                "initial": Checkpoint.of(initial).digest if initial else None,
            },
        )


@dataclass(frozen=True)
class TrainingStore:
    """A folder of run directories, each under its recipe's name and the cell's key."""

    directory: Path
    cells: dict[str, TrainingCell]
    """By key."""

    def path(self, key: str) -> Path:
        return self.directory / f"{self.cells[key].recipe.name}-{key[:12]}"

    def __contains__(self, key: str) -> bool:
        """Whether a training has reached its last step."""
        try:
            return read_entry(self.path(key)).step == self.cells[key].recipe.training.n_steps
        except (OSError, ValueError):
            return False

    def put(self, key: str, result: dict[str, bytes]) -> None:
        """Writes what a worker without access to the folder sent back."""
        for name, content in result.items():
            with atomic_write(self.path(key) / name) as temporary:
                temporary.write_bytes(content)

    def read(self, key: str) -> Checkpoint:
        """The trained model.

        Raises:
            CheckpointError: There is none.
        """
        return Checkpoint.of(str(self.path(key)))


def train_here(cell: TrainingCell, store: TrainingStore) -> dict[str, bytes]:
    """Trains in the store's folder, going on from where an earlier run was cut off."""
    _train(cell.recipe, store.path(cell.key))
    return {}


def train_elsewhere(cell: TrainingCell) -> dict[str, bytes]:
    """Trains on a machine that does not see the store, and returns the files."""
    with tempfile.TemporaryDirectory() as folder:
        _train(cell.recipe, Path(folder))
        return {name: (Path(folder) / name).read_bytes() for name in RESULT_FILES}


def _train(recipe: Recipe, folder: Path) -> None:
    parent, n_threads = os.getppid(), torch.get_num_threads()

    def end_with_parent(step: int, numbers: Metrics) -> None:
        del step, numbers
        if os.getppid() != parent:
            raise KeyboardInterrupt

    torch.set_num_threads(1)
    try:
        train(recipe, folder, progress=end_with_parent)
    finally:
        torch.set_num_threads(n_threads)
