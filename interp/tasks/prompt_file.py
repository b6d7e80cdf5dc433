"""Prompts and tasks that somebody saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hooks.activation_files.npz_file import NpzReader
from hooks.finite import check_finite
from hooks.input_file import DAMAGE
from interp.config import read_toml
from interp.tasks import Task, build_task
from interp.tasks.prompts import Prompts

_AXES = {"xs": "[prompt, point, dim]", "ys": "[prompt, point]"}


class PromptFileError(ValueError):
    """A file of prompts cannot be used; the message names the file and the array."""


@dataclass(frozen=True)
class PromptFile:
    """Prompts from a file, checked."""

    path: Path
    xs: Float[Tensor, "prompt point dim"]
    ys: Float[Tensor, "prompt point"]

    @property
    def n_prompts(self) -> int:
        return self.xs.shape[0]

    def stream(self, batch_size: int = 512) -> Iterator[Prompts]:
        """Yields the prompts in batches, in their order.

        Raises:
            ValueError: `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        return map(Prompts, self.xs.split(batch_size), self.ys.split(batch_size))


def read_prompts(path: str | Path) -> PromptFile:
    """Reads `xs` [prompt, point, dim] and `ys` [prompt, point] from an `.npz` file.

    Floating point arrays keep their type, whole numbers become float64. Other arrays are ignored.

    Raises:
        PromptFileError: The file is missing, damaged or no `.npz`; an array is missing, holds no
            numbers or does not fit the other.
        NonFiniteError: Values are NaN or infinite; the message names the prompt.
    """
    path = Path(path).expanduser()
    try:
        content = NpzReader(path)
        names = content.shapes()
        arrays = {name: content.array(name) for name in _AXES if name in names}
    except OSError as error:
        raise PromptFileError(f"{path}: {error.strerror or 'not an .npz file'}") from None
    except DAMAGE as error:
        raise PromptFileError(f"{path}: cannot be read as .npz ({error})") from None
    for name, axes in _AXES.items():
        if name not in arrays:
            raise PromptFileError(f"{path}: has no {name} {axes}; it has {', '.join(names)}")
        array = arrays[name]
        if array.dtype.kind not in "fiu":
            raise PromptFileError(
                f"{path}: {name} must hold real numbers, its type is {array.dtype}"
            )
        if array.ndim != axes.count(",") + 1 or 0 in array.shape:
            raise PromptFileError(f"{path}: {name} is {list(array.shape)}, expected {axes}")
    if arrays["xs"].shape[:2] != arrays["ys"].shape:
        raise PromptFileError(
            f"{path}: xs is {list(arrays['xs'].shape)} and ys {list(arrays['ys'].shape)}; "
            "they must have the same prompts and points"
        )
    xs, ys = (_tensor(arrays[name]) for name in _AXES)
    for name, values in (("xs", xs), ("ys", ys)):
        check_finite(values, f"{path}: {name}")
    return PromptFile(path, xs, ys)


def _tensor(array: np.ndarray) -> Tensor:
    keeps_type = array.dtype.kind == "f" and array.dtype.itemsize <= 8
    return torch.from_numpy(
        np.ascontiguousarray(array, array.dtype.newbyteorder("=") if keeps_type else np.float64)
    )


def read_task(path: str | Path) -> Task:
    """Reads a task from the `[task]` table of a TOML file, such as a recipe.

    Raises:
        ValueError: The file is missing, is not TOML or holds no such task; the message names it.
    """
    try:
        entries = read_toml(path)
        if not isinstance(entries.get("task"), dict):
            raise ValueError("has no [task] table")
        return build_task(entries["task"])
    except (OSError, ValueError) as error:
        if not isinstance(error, OSError):
            raise ValueError(f"{path}: {error}") from None
        raise ValueError(
            f"{path}: {error.strerror}; a task is a TOML file with a table named task, which "
            "gives its name, n_dims and n_points, as a recipe does"
        ) from None
