"""Recipes: all that a training needs, in one TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field
from pathlib import Path
from typing import Any

from hooks.architectures import ARCHITECTURES
from hooks.model import ModelConfig
from interp.tasks import TASKS, Task
from interp.training.entries import RecipeError, build_part, read_entry
from interp.training.settings import Curriculum, Optimiser, Schedule, Training

__all__ = ["Recipe", "RecipeError"]


@dataclass(frozen=True)
class Recipe:
    """A training, complete: the same recipe on the same machine gives the same weights."""

    name: str
    task: Task
    architecture: str
    model: dict[str, Any]
    training: Training
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    curriculum: Curriculum = field(default_factory=Curriculum)
    seed: int = 0
    description: str = ""

    def describe(self) -> dict[str, Any]:
        """The recipe as plain values in the layout of its TOML, the inverse of `from_mapping`."""
        plain: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "seed": self.seed,
            "model": {"architecture": self.architecture, **self.model},
            "task": self.task.describe(),
        }
        for part in ("training", "optimiser", "schedule", "curriculum"):
            plain[part] = _without_none(asdict(getattr(self, part)))
        if self.optimiser.clip_norm is None:
            plain["optimiser"]["clip_norm"] = "none"
        return plain

    @classmethod
    def from_mapping(cls, entries: Mapping[str, Any]) -> Recipe:
        """Builds a recipe from the layout of its TOML.

        Raises:
            RecipeError: An entry is missing, unknown, of the wrong type or out of range, or the
                parts do not fit together.
        """
        known = ("name", "description", "seed", "model", "task", "training", "optimiser",
                 "schedule", "curriculum")  # fmt: skip
        if unknown := sorted(set(entries) - set(known)):
            raise RecipeError(f"{unknown[0]} is unknown; a recipe takes {', '.join(known)}")
        tables = {
            name: read_entry("", entries, name, dict, default)
            for name, default in (
                ("model", MISSING), ("task", MISSING), ("training", MISSING),
                ("optimiser", {}), ("schedule", {}), ("curriculum", {}),
            )
        }  # fmt: skip
        architecture, model, config = _read_model(tables["model"])
        recipe = cls(
            name=_read_name(entries),
            task=_read_task(tables["task"]),
            architecture=architecture,
            model=model,
            training=build_part(Training, "training", tables["training"]),
            optimiser=_read_optimiser(tables["optimiser"]),
            schedule=build_part(Schedule, "schedule", tables["schedule"]),
            curriculum=build_part(Curriculum, "curriculum", tables["curriculum"]),
            seed=_read_seed(entries),
            description=read_entry("", entries, "description", str, ""),
        )
        _check_fit(recipe, config)
        return recipe

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Reads a TOML file.

        Raises:
            RecipeError: The file is missing, is not TOML, or is no recipe; the message names it.
        """
        try:
            return cls.from_mapping(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise RecipeError(f"{path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: not a TOML file ({error})") from None
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from None


def _read_name(entries: Mapping[str, Any]) -> str:
    name: str = read_entry("", entries, "name", str, MISSING)
    if not name or name.startswith(".") or set(name) & set("/\\\0"):
        raise RecipeError(f"name must be usable as a folder name, got {name!r}")
    return name


def _read_seed(entries: Mapping[str, Any]) -> int:
    seed: int = read_entry("", entries, "seed", int, 0)
    if not 0 <= seed < 2**32 - 1:
        raise RecipeError(f"seed must be in 0..{2**32 - 2}, got {seed}")
    return seed


def _read_model(table: Mapping[str, Any]) -> tuple[str, dict[str, Any], ModelConfig]:
    architecture: str = read_entry("model", table, "architecture", str, MISSING)
    if architecture not in ARCHITECTURES:
        raise RecipeError(
            f"model.architecture must be one of {', '.join(sorted(ARCHITECTURES))}, "
            f"got {architecture!r}"
        )
    sizes = {name: value for name, value in table.items() if name != "architecture"}
    return architecture, sizes, build_part(ARCHITECTURES[architecture].config, "model", sizes)


def _read_task(table: Mapping[str, Any]) -> Task:
    name: str = read_entry("task", table, "name", str, MISSING)
    if name not in TASKS:
        raise RecipeError(f"task.name must be one of {', '.join(sorted(TASKS))}, got {name!r}")
    return build_part(TASKS[name], "task", {k: v for k, v in table.items() if k != "name"})


def _read_optimiser(table: Mapping[str, Any]) -> Optimiser:
    # TOML has no null: "none" switches clipping off.
    unclipped = table.get("clip_norm") == "none"
    return build_part(
        Optimiser, "optimiser", {**table, **({"clip_norm": None} if unclipped else {})}
    )


def _check_fit(recipe: Recipe, config: ModelConfig) -> None:
    task, curriculum = recipe.task, recipe.curriculum
    if task.n_dims != config.n_dims:
        raise RecipeError(
            f"task.n_dims is {task.n_dims}, but model.n_dims is {config.n_dims}; they must agree"
        )
    if task.n_points > config.n_points:
        raise RecipeError(
            f"task.n_points is {task.n_points}, but the model takes at most "
            f"model.n_points = {config.n_points}"
        )
    for name, ramp, most in (
        ("dims", curriculum.dims, task.n_dims),
        ("points", curriculum.points, task.n_points),
    ):
        if ramp and ramp.end != most:
            raise RecipeError(
                f"curriculum.{name}.end is {ramp.end}, must be task.n_{name} = {most}"
            )


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
