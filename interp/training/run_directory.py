"""Files of one training: what it needs to go on, what it made, what it measured."""

from __future__ import annotations

import csv
import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hooks.atomic import atomic_write


class RunError(ValueError):
    """A run directory that cannot be used for this training; the message names it."""


@dataclass(frozen=True)
class TrainingState:
    """Everything that decides the rest of a training, at the end of a step."""

    step: int
    """Steps done."""
    tensors: dict[str, Tensor]
    """Weights as `model.*`, optimiser state as `optimiser.*`, generator state as `generator`."""
    metrics: list[dict[str, float]]
    """One row per checkpoint so far."""


@dataclass(frozen=True)
class RunDirectory:
    """`model.safetensors`, `training.safetensors`, `metrics.csv` and `recipe.json` in a folder.

    `training.safetensors` alone decides where a run goes on: weights, optimiser, generator and
    metrics of one instant in one atomic file. The others are written from it.
    """

    path: Path

    @property
    def model_file(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def state_file(self) -> Path:
        return self.path / "training.safetensors"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def recipe_file(self) -> Path:
        return self.path / "recipe.json"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder for this process.

        Raises:
            RunError: Another process trains in it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"{self.path}: another process is training in it") from None
            yield

    def claim(self, recipe: Mapping[str, Any]) -> None:
        """Records whose run this is, or checks that it is this recipe's.

        Raises:
            RunError: The folder belongs to another recipe.
        """
        text = json.dumps(recipe, indent=2, sort_keys=True) + "\n"
        if not self.recipe_file.exists():
            with atomic_write(self.recipe_file) as temporary:
                temporary.write_text(text, encoding="utf-8")
        elif (found := self.recipe_file.read_text(encoding="utf-8")) != text:
            raise RunError(
                f"{self.path}: holds a run of a different recipe "
                f"(differs in {_first_difference(json.loads(found), json.loads(text))}); "
                "choose another folder or delete this one"
            )

    def read_state(self) -> TrainingState | None:
        """The last saved state, or None before the first.

        Raises:
            RunError: The file is damaged.
        """
        if not self.state_file.exists():
            return None
        try:
            with safe_open(self.state_file, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata()
            return TrainingState(int(metadata["step"]), tensors, json.loads(metadata["metrics"]))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{self.state_file}: damaged ({error}); delete it to start over"
            ) from None

    def write_state(self, state: TrainingState) -> None:
        """Saves a state and the table of its metrics, each atomically."""
        metadata = {"step": str(state.step), "metrics": json.dumps(state.metrics)}
        with atomic_write(self.state_file) as temporary:
            temporary.write_bytes(save(state.tensors, metadata))
        if state.metrics:
            with atomic_write(self.metrics_file) as temporary, temporary.open("w") as file:
                writer = csv.DictWriter(file, list(state.metrics[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(state.metrics)


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors."""
    return {
        f"optimiser.{index}.{name}": value
        for index, entries in optimiser.state_dict()["state"].items()
        for name, value in entries.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _first_difference(found: Any, expected: Any, where: str = "recipe") -> str:
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(set(found) | set(expected)):
            if found.get(key) != expected.get(key):
                return _first_difference(found.get(key), expected.get(key), f"{where}.{key}")
    return f"{where}: {found!r} there, {expected!r} here"
