"""What `torch.save` makes of a dictionary of tensors, read whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hooks.activation_files.tensors import as_floats, from_numpy


class PtReader:
    """Tensors of a `.pt` file; they are held in memory."""

    def __init__(self, path: Path) -> None:
        from hooks.checkpoints.pickled import read_pickled  # for the speed of start-up

        content = read_pickled(path)
        self.arrays = {
            str(name): value.detach() if isinstance(value, Tensor) else value
            for name, value in content.items()
            if isinstance(value, (Tensor, np.ndarray))
        }
        kept = content.get("metadata")
        self.metadata: dict[str, Any] = dict(kept) if isinstance(kept, dict) else {}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(array.shape) for name, array in self.arrays.items()}

    def read(self, name: str, prompts: slice, layer: int | None = None) -> Tensor:
        array = self.arrays[name]
        part: Any = array[prompts] if layer is None else array[layer, prompts]
        return as_floats(part) if isinstance(part, torch.Tensor) else from_numpy(part)
