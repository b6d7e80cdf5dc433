"""Files of one training: what it needs to go on, what it made, what it measured."""

from __future__ import annotations

import csv
import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hooks.atomic import atomic_write, clear_abandoned, write_text
from hooks.input_file import check_file, parse_json, read_text
from interp.training.log import append_to_log
from interp.training.metrics import Metrics
from interp.training.recipe import Recipe

LOCK_PATIENCE_SECONDS = 3.0
"""How long a process that was just killed may take to let go of its folder."""


class RunError(ValueError):
    """A run directory that cannot be used for this training; the message names it."""


@dataclass(frozen=True)
class TrainingState:
    """Everything that decides the rest of a training, at the end of a step."""

    step: int
    """Steps done."""
    tensors: dict[str, Tensor]
    """Weights as `model.*`, optimiser state as `optimiser.*`, generator state as `generator`."""
    metrics: list[Metrics]
    """One row per checkpoint so far."""


@dataclass(frozen=True)
class RunDirectory:
    """The folder that one training writes.

    `training.safetensors` alone decides where a run goes on: weights, optimiser, generator and
    metrics of one instant in one atomic file. `model.safetensors` and `metrics.csv` are written
    from it, `recipe.json` says whose run it is, `training.log` is for people.
    """

    path: Path

    @property
    def model_file(self) -> Path:
        return self.path / "model.safetensors"

    def snapshot_file(self, step: int) -> Path:
        """Where the model after that many steps stays; `Training.keep` says which do."""
        return self.path / "snapshots" / f"step_{step}.safetensors"

    @property
    def state_file(self) -> Path:
        return self.path / "training.safetensors"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def recipe_file(self) -> Path:
        return self.path / "recipe.json"

    @property
    def log_file(self) -> Path:
        return self.path / "training.log"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder for this process and clears what a killed one left half-written.

        Raises:
            RunError: Another process trains in it.
            OSError: The folder cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise RunError(f"{self.path}: another process is training in it") from None
                    time.sleep(0.05)
            clear_abandoned(self.path)
            clear_abandoned(self.snapshot_file(0).parent)
            yield

    def check_there(self) -> None:
        """Raises a `RunError` if the folder was deleted since `claim`."""
        if not self.recipe_file.exists():
            raise RunError(f"{self.path}: was deleted while a training wrote to it")

    def claim(self, recipe: Recipe) -> None:
        """Records whose run this is, or checks that it is this recipe's.

        Raises:
            RunError: The folder belongs to another recipe, or its `recipe.json` is damaged.
        """
        if not self.recipe_file.exists():
            text = json.dumps(recipe.describe(), indent=2, sort_keys=True) + "\n"
            write_text(self.recipe_file, text)
            return
        try:
            # A recipe of an older version takes the defaults of entries that came later.
            found = Recipe.from_mapping(parse_json(read_text(self.recipe_file)))
        except ValueError as error:
            raise RunError(f"{self.recipe_file}: not a recipe ({error})") from None
        if found != recipe:
            raise RunError(
                f"{self.path}: holds a run of a different recipe "
                f"({_first_difference(found.describe(), recipe.describe())}); "
                "choose another folder or delete this one"
            )

    def log(self, text: str) -> None:
        """Adds a line to the log."""
        append_to_log(self.log_file, text)

    def read_state(self) -> TrainingState | None:
        """The last saved state, or None before the first.

        Raises:
            RunError: The file is damaged.
        """
        if not self.state_file.exists():
            return None
        try:
            with safe_open(check_file(self.state_file), framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata()
            return TrainingState(int(metadata["step"]), tensors, parse_json(metadata["metrics"]))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{self.state_file}: damaged ({error}); delete it to start over"
            ) from None

    def write_state(self, state: TrainingState) -> None:
        """Saves a state and the table of its metrics, each atomically.

        Raises:
            RunError: The folder was deleted.
            OSError: It cannot be written.
        """
        self.check_there()
        metadata = {"step": str(state.step), "metrics": json.dumps(state.metrics)}
        with atomic_write(self.state_file) as temporary:
            temporary.write_bytes(save(state.tensors, metadata))
        if state.metrics:
            with (
                atomic_write(self.metrics_file) as temporary,
                temporary.open("w", encoding="utf-8") as file,
            ):
                writer = csv.DictWriter(file, list(state.metrics[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(state.metrics)


def _first_difference(found: Any, expected: Any, where: str = "recipe") -> str:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(set(found) | set(expected)):
            if found.get(key) != expected.get(key):
                return _first_difference(found.get(key), expected.get(key), f"{where}.{key}")
    return f"{where}: {found!r} there, {expected!r} here"
