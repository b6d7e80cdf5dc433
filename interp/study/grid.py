"""What a sweep runs: models × tasks × seeds × analyses, from a TOML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from interp.config import build, combinations, read_toml
from interp.errors import printable
from interp.recipes import find_recipe
from interp.study.analyses import ANALYSES
from interp.study.analysis import Analysis
from interp.tasks import Task, build_task
from interp.training.recipe import Recipe

GRIDS = Path(__file__).parent / "grids"
AS_TRAINED = "as trained"


@dataclass(frozen=True)
class ModelEntry:
    """A checkpoint, or a training that the sweep runs first."""

    label: str
    source: str | None = None
    """A name from the zoo or a path …"""
    recipe: Recipe | None = None
    """… or what to train."""


@dataclass(frozen=True)
class TaskEntry:
    """The task that a model was trained on, changed; or a task by itself, if it has a `name`."""

    label: str
    changes: Mapping[str, Any]

    def of(self, trained_on: Task | None) -> Task:
        """The task for a model that was trained on another.

        Raises:
            ValueError: The task has no such field, or a value is out of range.
        """
        if "name" in self.changes:
            return build_task(self.changes)
        if trained_on is None:
            raise ValueError("changes of a task need the one that the model was trained on")
        return build_task({**trained_on.describe(), **self.changes})


@dataclass(frozen=True)
class Grid:
    """Every combination of these is computed."""

    models: tuple[ModelEntry, ...]
    analyses: Mapping[str, Analysis]
    """By label, the prefix of their results."""
    tasks: tuple[TaskEntry, ...] = (TaskEntry(AS_TRAINED, {}),)
    seeds: tuple[int, ...] = (0,)
    """Of the prompts."""


def grid_names() -> list[str]:
    """Names of the shipped grids, sorted."""
    return sorted(path.stem for path in GRIDS.glob("*.toml"))


def read_grid(path: str | Path) -> Grid:
    """Reads a grid from a file, or a shipped one by its name.

    Raises:
        ValueError: The file is missing, is not TOML, or holds something that cannot be run; the
            message names the file and the entry.
    """
    if not Path(path).is_file() and str(path) in grid_names():
        path = GRIDS / f"{path}.toml"
    try:
        return grid_of(read_toml(path))
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no such file, and no grid of that name; shipped grids: "
            f"{', '.join(grid_names())}"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: {reason}") from None


def grid_of(entries: Mapping[str, Any]) -> Grid:
    """The grid that the plain values of a TOML file describe.

    Raises:
        ValueError: As `read_grid`, without the file.
    """
    tables = build(_Tables, entries)
    models = tuple(model for table in tables.model for model in _models(table))
    analyses = [_analysis(dict(table)) for table in tables.analysis]
    tasks = tuple(task for table in tables.task for task in _tasks(dict(table)))
    for what, labels, is_needed in (
        ("model", [model.label for model in models], True),
        ("analysis", [label for label, _ in analyses], True),
        ("task", [task.label for task in tasks], False),
    ):
        if is_needed and not labels:
            raise ValueError(f"has no [[{what}]] table")
        if repeated := [label for label in labels if labels.count(label) > 1]:
            raise ValueError(f"{what} {repeated[0]!r} is there twice; give each a label of its own")
        if odd := [label for label in labels if printable(label) != label]:
            raise ValueError(f"{what} {odd[0]!r} has control characters; give it another label")
    seeds = _seeds(tables.seeds, "seeds")
    return Grid(models, dict(analyses), tasks or (TaskEntry(AS_TRAINED, {}),), seeds)


@dataclass(frozen=True)
class _Tables:
    """A grid as its TOML has it."""

    model: tuple[dict[str, Any], ...] = ()
    analysis: tuple[dict[str, Any], ...] = ()
    task: tuple[dict[str, Any], ...] = ()
    seeds: int | tuple[int, ...] = 0


@dataclass(frozen=True)
class _CheckpointTable:
    """A `[[model]]` of checkpoints that are there."""

    checkpoint: str | tuple[str, ...]
    label: str | None = None

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise ValueError("checkpoint must be names or paths, got none")
        if self.label and len(_list(self.checkpoint)) > 1:
            raise ValueError("label names one checkpoint, not several")


@dataclass(frozen=True)
class _RecipeTable:
    """A `[[model]]` of trainings: a recipe with every combination of changes, and every seed."""

    recipe: str
    change: dict[str, Any] = field(default_factory=dict)
    seeds: int | tuple[int, ...] | None = None
    label: str | None = None


def _models(table: Mapping[str, Any]) -> Iterator[ModelEntry]:
    if ("checkpoint" in table) == ("recipe" in table):
        raise ValueError(f"a [[model]] says either checkpoint or recipe, got {', '.join(table)}")
    if "recipe" in table:
        yield from _trainings(build(_RecipeTable, table, "model"))
        return
    found = build(_CheckpointTable, table, "model")
    for source in _list(found.checkpoint):
        yield ModelEntry(found.label or source, source=source)


def _trainings(table: _RecipeTable) -> Iterator[ModelEntry]:
    plain = read_toml(find_recipe(table.recipe))
    changes = _flat(table.change)
    seeds = (None,) if table.seeds is None else _seeds(table.seeds, "model.seeds")
    lists = {key: _values(key, changes[key]) for key in changes}
    for chosen, seed in product(combinations(lists), seeds):
        if seed is not None:
            chosen = {**chosen, "seed": seed}
        recipe = plain
        for key, value in chosen.items():
            recipe = _changed(recipe, key.split("."), value)
        shown = (key for key in chosen if key not in changes or len(_list(changes[key])) > 1)
        parts = [str(table.label or plain.get("name"))]
        parts += [f"{key.split('.')[-1]}={_short(chosen[key])}" for key in shown]
        try:
            yield ModelEntry(" ".join(parts), None, Recipe.from_mapping(recipe))
        except ValueError as error:
            raise ValueError(f"model.change: {error}") from None


def _tasks(table: dict[str, Any]) -> Iterator[TaskEntry]:
    label = table.pop("label", None)
    all_changes = list(combinations({key: _values(key, table[key]) for key in table}))
    if label is not None and len(all_changes) > 1:
        raise ValueError(f"task.label {label!r} names one task, not {len(all_changes)}")
    varied = [key for key in table if len(_list(table[key])) > 1] or list(table)
    for changes in all_changes:
        described = ", ".join(f"{key}={_short(changes[key])}" for key in varied)
        yield TaskEntry(label or described or AS_TRAINED, changes)


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _analysis(table: dict[str, Any]) -> tuple[str, Analysis]:
    name = table.pop("name", None)
    if name not in ANALYSES:
        raise ValueError(f"analysis.name must be one of {', '.join(ANALYSES)}, got {name!r}")
    label = table.pop("label", name)
    if not isinstance(label, str) or not label.isidentifier():
        raise ValueError(f"analysis.label must be letters, digits and _, got {label!r}")
    return label, build(ANALYSES[name], table, f"analysis {name}")


def _changed(entries: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """A nested mapping with one entry set."""
    first, *rest = path
    inner = entries.get(first, {})
    if rest and not isinstance(inner, Mapping):
        raise ValueError(f"model.change: {first} is no table of a recipe")
    return {**entries, first: _changed(inner, rest, value) if rest else value}


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, its keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def _values(key: str, value: Any) -> list[Any]:
    if values := _list(value):
        return values
    raise ValueError(f"{key} has no values")


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _seeds(value: int | tuple[int, ...], name: str) -> tuple[int, ...]:
    seeds = _list(value)
    if not seeds or not all(0 <= seed < 2**32 for seed in seeds):
        raise ValueError(f"{name} must be whole numbers in 0..{2**32 - 1}, got {value!r}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{name} holds a seed twice: {seeds}")
    return tuple(seeds)
