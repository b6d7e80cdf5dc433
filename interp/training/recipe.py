"""Recipes: all that a training needs, in one TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hooks.architectures import ARCHITECTURES, build_model
from hooks.model import ModelConfig, SequenceModel
from interp.config import ConfigError, build, read_toml
from interp.errors import printable
from interp.tasks import TASKS, Task
from interp.training.settings import Curriculum, Optimiser, Schedule, Training


class RecipeError(ValueError):
    """A recipe that cannot be trained as written; the message names the entry."""


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
        """The recipe of a mapping in the layout of its TOML.

        Raises:
            RecipeError: An entry is missing, unknown, of the wrong type or out of range, or the
                parts do not fit together.
        """
        try:
            recipe, config = _read(entries)
        except ConfigError as error:
            raise RecipeError(str(error)) from None
        _check_fit(recipe, config)
        return recipe

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Reads a TOML file.

        Raises:
            RecipeError: The file is missing, is not TOML, or is no recipe; the message names it.
        """
        try:
            return cls.from_mapping(read_toml(path))
        except OSError as error:
            raise RecipeError(f"{path}: {error.strerror}") from None
        except (ConfigError, RecipeError) as error:
            raise RecipeError(f"{path}: {error}") from None


def _read(entries: Mapping[str, Any]) -> tuple[Recipe, ModelConfig]:
    optimiser = entries.get("optimiser")
    if isinstance(optimiser, Mapping) and optimiser.get("clip_norm") == "none":
        # TOML has no null: "none" switches clipping off.
        entries = {**entries, "optimiser": {**optimiser, "clip_norm": None}}
    tables = build(_Tables, entries)
    architecture, sizes = _kind(tables.model, "model", "architecture", ARCHITECTURES)
    task, values = _kind(tables.task, "task", "name", TASKS)
    recipe = Recipe(
        **{**vars(tables), "task": build(TASKS[task], values, "task"), "model": sizes},
        architecture=architecture,
    )
    return recipe, build(ARCHITECTURES[architecture].config, sizes, "model")


@dataclass(frozen=True)
class _Tables:
    """A recipe as its TOML has it."""

    name: str
    model: dict[str, Any]
    task: dict[str, Any]
    training: Training
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    curriculum: Curriculum = field(default_factory=Curriculum)
    seed: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        if (
            not self.name
            or self.name.startswith(".")
            or set(self.name) & set("/\\\0")
            or (printable(self.name) != self.name)
        ):
            raise ValueError(f"name must be usable as a folder name, got {self.name!r}")
        if not 0 <= self.seed < 2**32 - 1:
            raise ValueError(f"seed must be in 0..{2**32 - 2}, got {self.seed}")


def _kind(
    table: Mapping[str, Any], where: str, key: str, known: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Which of the known kinds a table is of, and its other entries."""
    if key not in table:
        raise ConfigError(f"{where}.{key} is missing")
    if table[key] not in list(known):
        choices = ", ".join(sorted(known))
        raise ConfigError(f"{where}.{key} must be one of {choices}, got {table[key]!r}")
    return table[key], {name: value for name, value in table.items() if name != key}


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


def initial_model(recipe: Recipe) -> SequenceModel:
    """The model a recipe starts from: random weights, or those of its initial checkpoint.

    Raises:
        CheckpointError: The initial checkpoint cannot be read.
        ValueError: Its configuration is not the recipe's.
    """
    model = build_model(recipe.architecture, recipe.model, seed=recipe.seed)
    source = recipe.training.initial_checkpoint
    if source is not None:
        from interp.zoo import load

        initial = load(source)
        if type(initial) is not type(model) or initial.config != model.config:
            raise ValueError(
                f"training.initial_checkpoint {source} is a {type(initial).__name__} with "
                f"{initial.describe()}, the recipe's model has {model.describe()}"
            )
        model.load_state_dict(initial.state_dict())
    return model
