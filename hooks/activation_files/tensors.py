"""Arrays of any number type as tensors of floating-point numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_KEPT = (torch.float16, torch.float32, torch.float64)


def from_numpy(array: np.ndarray) -> Tensor:
    """An array as a tensor: big-endian ones turned round, whole numbers as floats.

    Raises:
        TypeError: It holds no real numbers.
    """
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"it is of NumPy's type {array.dtype}, not of real numbers; NumPy has no bfloat16, "
            "which goes into safetensors or becomes float32 first"
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return as_floats(torch.from_numpy(native).reshape(array.shape))


def as_floats(values: Tensor) -> Tensor:
    """Half, single and double precision as they are, other types in the least that holds them.

    Raises:
        TypeError: The values are complex.
    """
    if values.is_complex():
        raise TypeError(f"it is of type {values.dtype}, not of real numbers")
    if values.dtype in _KEPT:
        return values
    is_small = values.is_floating_point() or values.dtype.itemsize <= 2
    return values.to(torch.float32 if is_small else torch.float64)
