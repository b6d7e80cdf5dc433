"""Shape, type and axes of an array on disk."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class ArraySpec(NamedTuple):
    """Shape, type and axis names of an array that is to be written."""

    shape: tuple[int, ...]
    dtype: np.dtype
    axes: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize
