"""The activation inside whatever a foreign layer takes or returns."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Replace = Callable[[Tensor], Any]


def find_activation(output: Any) -> tuple[Tensor, Replace] | None:
    """Finds the activation in a layer's output, and how to put another one in its place.

    It is the output itself, or the first tensor of three or more axes in a tuple, list, mapping
    or dataclass; what else is in there (caches, attention weights) comes after it by custom.

    Returns:
        The activation and a function that gives the output with another one; None if there is no
        such tensor.
    """
    if isinstance(output, Tensor):
        return output, lambda activation: activation
    for key, value in _entries(output):
        if isinstance(value, Tensor) and value.ndim >= 3:
            return value, lambda activation, key=key: _replaced(output, key, activation)
    return None


def _entries(output: Any) -> list[tuple[Any, Any]]:
    if isinstance(output, Mapping):  # Hugging Face's outputs are both, and say more as mappings
        return list(output.items())
    if dataclasses.is_dataclass(output):
        return [(field.name, getattr(output, field.name)) for field in dataclasses.fields(output)]
    if isinstance(output, (tuple, list)):
        return list(enumerate(output))
    return []


def _replaced(output: Any, key: Any, activation: Tensor) -> Any:
    if isinstance(output, Mapping):
        changed = copy.copy(output)
        changed[key] = activation  # type: ignore[index]  # outputs of models are mutable
        return changed
    if dataclasses.is_dataclass(output):
        changed = copy.copy(output)  # type: ignore[arg-type]
        object.__setattr__(changed, key, activation)  # frozen ones too
        return changed
    values = [activation if index == key else value for index, value in enumerate(output)]
    return type(output)(*values) if hasattr(output, "_fields") else type(output)(values)
