"""Named parts of a residual stream, and weights that read and write them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor


class Slots:
    """Names for runs of coordinates of the residual stream."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._slices: dict[str, slice] = {}
        self.d_model = 0
        for name, size in sizes.items():
            self._slices[name] = slice(self.d_model, self.d_model + size)
            self.d_model += size

    def __getitem__(self, name: str) -> slice:
        return self._slices[name]

    def size(self, name: str) -> int:
        return self._slices[name].stop - self._slices[name].start


def read_slot(
    weight: Float[Tensor, "d_model d"], slot: slice, *, factor: float = 1.0, start: int = 0
) -> None:
    """Makes a weight read `factor` times a slot of the stream into its columns from `start` on."""
    write_slot(weight.mT, slot, factor=factor, start=start)


def write_slot(
    weight: Float[Tensor, "d d_model"], slot: slice, *, factor: float = 1.0, start: int = 0
) -> None:
    """Makes a weight write `factor` times its rows from `start` on to a slot of the stream."""
    size = slot.stop - slot.start
    weight.data[start : start + size, slot] = factor * torch.eye(size, dtype=weight.dtype)
