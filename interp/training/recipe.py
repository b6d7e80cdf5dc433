"""Recipes: all that a training needs, in one TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from hooks.architectures import ARCHITECTURES
from interp.tasks import Task, build_task


class RecipeError(ValueError):
    """A recipe that cannot be trained as written; the message names the entry."""


@dataclass(frozen=True)
class Ramp:
    """A size that grows during training: `start`, plus `increment` every `interval` steps."""

    start: int
    end: int
    increment: int
    interval: int

    def at(self, step: int) -> int:
        return min(self.end, self.start + self.increment * (step // self.interval))


@dataclass(frozen=True)
class Curriculum:
    """Smaller prompts first (Garg et al. 2022, Appendix A.2)."""

    dims: Ramp | None = None
    """Coordinates of x in use; the others are zero."""
    points: Ramp | None = None

    def task_at(self, task: Task, step: int) -> Task:
        """The task whose prompts are trained on at a step."""
        if self.dims:
            task = replace(task, n_dims=self.dims.at(step))
        if self.points:
            task = replace(task, n_points=self.points.at(step))
        return task


@dataclass(frozen=True)
class Optimiser:
    """Adam or AdamW with gradient clipping."""

    name: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0
    """Largest norm of all gradients together; absent for no clipping."""


@dataclass(frozen=True)
class Schedule:
    """Learning rate against step: linear warm-up, then constant or a cosine down to zero."""

    name: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = 500

    def factor(self, step: int, n_steps: int) -> float:
        """What the learning rate is multiplied by at a step, counted from 0."""
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.name == "constant":
            return warmup
        done = max(0, step - self.warmup_steps) / max(1, n_steps - self.warmup_steps)
        return warmup * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Training:
    """How long, how much at once, how often saved, in which precision."""

    n_steps: int
    batch_size: int = 128
    checkpoint_every: int = 500
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """Of matrix products; weights and optimiser state are float32 always."""
    initial_checkpoint: str | None = None
    """Zoo name or file of a checkpoint to start from instead of random weights."""


@dataclass(frozen=True)
class Recipe:
    """A training, complete: the same recipe on the same machine gives the same weights."""

    name: str
    task: Task
    architecture: str
    model: dict[str, Any]
    training: Training
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    curriculum: Curriculum = Curriculum()
    seed: int = 0
    description: str = ""

    def describe(self) -> dict[str, Any]:
        """The recipe as plain values in the layout of its TOML, the inverse of `from_mapping`."""
        plain = {
            "name": self.name,
            "description": self.description,
            "seed": self.seed,
            "model": {"architecture": self.architecture, **self.model},
            "task": self.task.describe(),
        }
        for part in ("training", "optimiser", "schedule", "curriculum"):
            plain[part] = _without_none(asdict(getattr(self, part)))
        return plain

    @classmethod
    def from_mapping(cls, entries: Mapping[str, Any]) -> Recipe:
        """Builds a recipe from the layout of its TOML.

        Raises:
            RecipeError: An entry is missing, unknown or out of range.
        """
        entries = dict(entries)
        try:
            model = dict(entries.pop("model"))
            architecture = model.pop("architecture")
            curriculum = {
                key: _build(Ramp, f"curriculum.{key}", value)
                for key, value in entries.pop("curriculum", {}).items()
            }
            recipe = {
                "name": entries.pop("name"),
                "task": build_task(entries.pop("task")),
                "architecture": architecture,
                "model": model,
                "training": _build(Training, "training", entries.pop("training")),
                "optimiser": _build(Optimiser, "optimiser", entries.pop("optimiser", {})),
                "schedule": _build(Schedule, "schedule", entries.pop("schedule", {})),
                "curriculum": _build(Curriculum, "curriculum", curriculum),
                "seed": entries.pop("seed", 0),
                "description": entries.pop("description", ""),
            }
        except KeyError as error:
            raise RecipeError(f"recipe has no entry {error.args[0]!r}") from None
        except ValueError as error:
            raise RecipeError(f"recipe: {error}") from None
        if entries:
            raise RecipeError(f"recipe has unknown entries: {', '.join(sorted(entries))}")
        if architecture not in ARCHITECTURES:
            known = ", ".join(sorted(ARCHITECTURES))
            raise RecipeError(f"model.architecture is {architecture!r}, known ones: {known}")
        return cls(**recipe)

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Reads a TOML file.

        Raises:
            RecipeError: The file is missing, is not TOML, or is no recipe; the message names it.
        """
        try:
            return cls.from_mapping(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecipeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RecipeError(f"{path}: {reason}") from None


def _build(part: type[Any], where: str, values: Mapping[str, Any]) -> Any:
    known = {entry.name for entry in fields(part)}
    if unknown := sorted(set(values) - known):
        raise RecipeError(
            f"{where} has no {', '.join(unknown)}; it takes {', '.join(sorted(known))}"
        )
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    try:
        return part(**values)
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from None


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
