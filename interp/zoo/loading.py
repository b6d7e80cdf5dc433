"""Checkpoints by name or path."""

from __future__ import annotations

import difflib
from pathlib import Path

from hooks.checkpoints import CheckpointError, load_checkpoint
from hooks.model import SequenceModel
from interp.zoo.catalogue import ZOO_DIRECTORY, names


def load(name_or_path: str | Path) -> SequenceModel:
    """Loads a checkpoint by zoo name or from a file.

    Args:
        name_or_path: A name that `interp zoo` lists, a file, or the folder of a training.

    Returns:
        The model in evaluation mode, with its `provenance`.

    Raises:
        CheckpointError: It is none of these, or the file cannot be read.
    """
    path = Path(name_or_path)
    if str(name_or_path) in names() and not path.is_file():
        return load_checkpoint(ZOO_DIRECTORY / str(name_or_path) / "model.safetensors")
    if not path.exists():
        known = names()
        close = difflib.get_close_matches(str(name_or_path), known, n=1)
        hint = f" (closest: {close[0]})" if close else ""
        raise CheckpointError(
            f"{name_or_path}: no such file, and no checkpoint of that name in the zoo{hint}; "
            f"the zoo has {', '.join(known) or 'none'}"
        )
    if path.is_dir() and (path / "model.safetensors").is_file():
        path = path / "model.safetensors"
    return load_checkpoint(path)
