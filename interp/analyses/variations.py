"""What is varied. A new one is a line in `VARIATIONS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from interp.tasks import LinearRegression, Task


@dataclass(frozen=True)
class Variation:
    """One property of the prompts and the values that it takes."""

    title: str
    """As a heading."""
    axis: str
    """As the title of an axis, with the unit."""
    values: tuple[float, ...]
    """Defaults; multiples of the training task's own where `is_relative`."""
    field: str
    """Of the task."""
    apply: Callable[[Task, float], Task]
    spacing: Literal["log", "linear", "even"] = "log"
    """Of its axis; "even" gives every value the same room."""
    own: Callable[[Task], float] = lambda task: 1.0
    """The value in training."""


def _condition(task: Task, value: float) -> Task:
    """No direction gets stronger than in training, so that step sizes in a model's weights fit."""
    assert isinstance(task, LinearRegression)
    largest = task.eigenvalues().max().item()
    return replace(
        task,
        condition_number=value,
        normalisation="largest",
        x_scale=task.x_scale * largest**0.5,
    )


def _noise(task: Task, value: float) -> Task:
    changes: dict[str, Any] = {"noise_std": value}
    return replace(task, **changes)


def _points(task: Task, value: float) -> Task:
    return replace(task, n_points=round(value * task.n_points))


def _scaled(field: str) -> Callable[[Task, float], Task]:
    return lambda task, value: replace(task, **{field: value * getattr(task, field)})


VARIATIONS: dict[str, Variation] = {
    "kappa": Variation(
        "Condition number",
        "condition number κ of Σ",
        (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4),
        "condition_number",
        _condition,
        own=lambda task: float(getattr(task, "condition_number", 1.0)),
    ),
    "noise": Variation(
        "Noise",
        "standard deviation σ of the noise on y",
        (0.0, 0.03, 0.1, 0.3, 1.0, 3.0),
        "noise_std",
        _noise,
        spacing="even",
        own=lambda task: float(getattr(task, "noise_std", 0.0)),
    ),
    "y-scale": Variation(
        "Scale of y",
        "y, as a multiple of that in training",
        (0.1, 0.3, 1.0, 3.0, 10.0),
        "y_scale",
        _scaled("y_scale"),
    ),
    "x-scale": Variation(
        "Scale of x",
        "x, as a multiple of that in training",
        (0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 4.0),
        "x_scale",
        _scaled("x_scale"),
    ),
    "points": Variation(
        "Longer prompts",
        "points of a prompt, as a multiple of those in training",
        (1.0, 1.5, 2.0, 3.0),
        "n_points",
        _points,
        spacing="linear",
    ),
}


def choose_variations(names: Sequence[str]) -> dict[str, Variation]:
    """Variations by name.

    Raises:
        ValueError: There is none of that name, or none is named.
    """
    if not names:
        raise ValueError(f"vary must name at least one of {', '.join(VARIATIONS)}")
    for name in names:
        if name not in VARIATIONS:
            raise ValueError(f"vary must be among {', '.join(VARIATIONS)}, got {name!r}")
    return {name: VARIATIONS[name] for name in dict.fromkeys(names)}


def lacks(task: Task, variation: Variation) -> str | None:
    """Why a task cannot be varied so; None if it can."""
    if not hasattr(task, variation.field):
        return f"the task {task.name} has no {variation.field}"
    return None
