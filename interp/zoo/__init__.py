"""The checkpoints that ship with the package."""

from __future__ import annotations

from pathlib import Path

from hooks.checkpoints import CheckpointError, load_checkpoint
from hooks.model import SequenceModel

ZOO_DIRECTORY = Path(__file__).parent


def load(name_or_path: str | Path) -> SequenceModel:
    """Loads a checkpoint by zoo name or from a file.

    Raises:
        CheckpointError: It is neither, or the file cannot be read.
    """
    path = ZOO_DIRECTORY / str(name_or_path) / "model.safetensors"
    return load_checkpoint(path if path.exists() else name_or_path)


__all__ = ["CheckpointError", "load"]
