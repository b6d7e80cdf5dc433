"""The task that a run of the in-context learning codebases was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SKEWED = {"condition_number": 100.0, "normalisation": "trace"}
"""`data: skew` scales half of a random basis's directions by 10 and divides by the mean square."""

_FIXED: dict[str, dict[str, Any]] = {
    "noisy_linear_regression": {"noise_std": 0.1},
    "relu_2nn_regression": {"hidden_layer_size": 100},
}


def task_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The task of a `config.yaml` as plain values, or None where we have no such task."""
    training = config.get("training")
    if not isinstance(training, Mapping):
        return None
    try:
        return _task(config, training)
    except (TypeError, ValueError, AttributeError, KeyError):
        return None  # a config whose words are not theirs


def foreign_task(config: Mapping[str, Any]) -> str | None:
    """What a config calls its task, in quotes, where it says so; for those that we do not have."""
    training = config.get("training")
    if not isinstance(training, Mapping):
        return None
    named = [
        f"{key}: {str(training[key])[:60]!r}"
        for key in ("task", "task_name", "task_kwargs", "data")
        if training.get(key)
    ]
    return ", ".join(named) or None


def _task(config: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any] | None:
    n_dims, n_points = config["model"]["n_dims"], config["model"]["n_positions"]
    curriculum = training.get("curriculum") or {}
    if curriculum.get("dims", {}).get("end", n_dims) != n_dims:
        return None  # trained on fewer coordinates than the model has
    sizes = {"n_dims": n_dims, "n_points": curriculum.get("points", {}).get("end", n_points)}
    arguments = dict(training.get("task_kwargs") or {})
    if (name := training.get("task")) is None:
        name = training.get("task_name")  # Yang et al., whose sizes are in the code
        arguments = _FIXED.get(str(name), {}) | arguments
    function_class = _function_class(name, arguments)
    data = training.get("data", "gaussian")
    if function_class is None or data not in ("gaussian", "skew"):
        return None
    if data == "skew":
        if function_class["name"] != "linear_regression":
            return None
        function_class |= _SKEWED
    return function_class | sizes


def _function_class(name: Any, arguments: dict[str, Any]) -> dict[str, Any] | None:
    scale = arguments.pop("scale", 1)
    if name == "relu_2nn_regression" and scale == 1 and set(arguments) <= {"hidden_layer_size"}:
        n_hidden = arguments.get("hidden_layer_size", 4)
        return {"name": "two_layer_network", "activation": "relu", "n_hidden": n_hidden}
    if name not in ("linear_regression", "noisy_linear_regression"):
        return None
    noise_std = arguments.pop("noise_std", 0)
    if arguments.pop("renormalize_ys", False) or arguments:
        return None
    task: dict[str, Any] = {"name": "linear_regression"}
    if scale != 1:
        task["y_scale"] = float(scale)
    if noise_std:
        task["noise_std"] = noise_std / scale  # theirs is added after the scaling
    return task
