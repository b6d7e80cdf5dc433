"""Distributions of prompts, one a file. A new one is a new file and one line in `TASKS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interp.config import build
from interp.tasks.linear_regression import LinearRegression
from interp.tasks.prompts import Prompts, Task
from interp.tasks.two_layer_network import TwoLayerNetwork

TASKS: dict[str, type[Task]] = {
    LinearRegression.name: LinearRegression,
    TwoLayerNetwork.name: TwoLayerNetwork,
}

__all__ = ["TASKS", "LinearRegression", "Prompts", "Task", "TwoLayerNetwork", "build_task"]


def build_task(description: Mapping[str, Any]) -> Task:
    """Builds a task from plain values, the inverse of `Task.describe`.

    Raises:
        ValueError: No `name`, an unknown one, fields the task does not have, or values of another
            type or out of range; the message names the field.
    """
    fields = dict(description)
    name = fields.pop("name", None)
    if name not in list(TASKS):
        raise ValueError(f"task name must be one of {', '.join(sorted(TASKS))}, got {name!r}")
    return build(TASKS[name], fields, "task")
