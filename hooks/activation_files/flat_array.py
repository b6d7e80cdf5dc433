"""An array at a place in an open file, written some prompts at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hooks.activation_files.array_spec import ArraySpec


@dataclass(frozen=True)
class FlatArray:
    """An array in C order from `offset` on."""

    file: BinaryIO
    offset: int
    spec: ArraySpec

    def write(self, start: int, values: np.ndarray) -> None:
        """Writes the prompts from `start` on; whatever axes come before them are whole."""
        axis = self.spec.axes.index("prompt") if "prompt" in self.spec.axes else 0
        n_prompts = self.spec.shape[axis]
        n_bytes = math.prod(self.spec.shape[axis + 1 :]) * self.spec.dtype.itemsize  # a prompt's
        parts = values[None] if axis == 0 else values
        for index, part in enumerate(parts):
            self.file.seek(self.offset + (index * n_prompts + start) * n_bytes)
            self.file.write(np.ascontiguousarray(part, self.spec.dtype).tobytes())
