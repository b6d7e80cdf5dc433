"""A task in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

USUAL_TASK = {
    "noise_std": 0.0,
    "condition_number": 1.0,
    "x_scale": 1.0,
    "y_scale": 1.0,
    "normalisation": "none",
    "condition_draw": "fixed",
}


def task_words(task: Mapping[str, Any]) -> str:
    """A task in a few words: its name, sizes and whatever else is not usual."""
    rest = {key: value for key, value in task.items() if USUAL_TASK.get(key) != value}
    name = str(rest.pop("name")).replace("_", " ")
    sizes = [f"d = {rest.pop('n_dims')}", f"{rest.pop('n_points')} points"]
    return ", ".join([name, *sizes, *(f"{key.replace('_', ' ')} {rest[key]}" for key in rest)])
