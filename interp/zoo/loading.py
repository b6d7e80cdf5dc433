"""Checkpoints by name or path."""

from __future__ import annotations

import difflib
from pathlib import Path

from hooks.architectures.built_in import BUILT_IN
from hooks.checkpoints import CheckpointError, load_checkpoint
from hooks.model import SequenceModel
from interp.zoo.catalogue import model_file, names


def load(name_or_path: str | Path) -> SequenceModel:
    """Loads a checkpoint by zoo name or from a file.

    Args:
        name_or_path: A name that `interp zoo` lists, the name of a model built to run a known
            algorithm (`hooks.architectures.built_in`), a file, or the folder of a training.

    Returns:
        The model in evaluation mode, with its `provenance`.

    Raises:
        CheckpointError: It is none of these, or the file cannot be read.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if not path.is_file():
        if name in names():
            model = load_checkpoint(model_file(name))
            model.provenance["name"] = name
            return model
        if name in BUILT_IN:
            return BUILT_IN[name]()
    if not path.exists():
        raise CheckpointError(_nothing_there(name))
    if path.is_dir() and (path / "model.safetensors").is_file():
        path = path / "model.safetensors"
    return load_checkpoint(path)


def _nothing_there(name: str) -> str:
    known = [*names(), *BUILT_IN]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (closest: {close[0]})" if close else ""
    return (
        f"{name}: no such file, and no checkpoint of that name in the zoo{hint}; "
        f"the zoo has {', '.join(known)}"
    )
