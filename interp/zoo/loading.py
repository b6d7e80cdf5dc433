"""Checkpoints by name or path."""

from __future__ import annotations

from pathlib import Path

from hooks.architectures.built_in import BUILT_IN
from hooks.checkpoints import CheckpointError, load_checkpoint
from hooks.model import SequenceModel
from interp.zoo.catalogue import check_name, model_file, names, split_loops


def load(name_or_path: str | Path, *, loops: int | None = None) -> SequenceModel:
    """Loads a checkpoint by zoo name or from a file.

    Args:
        name_or_path: A name that `interp zoo` lists, the name of a model built to run a known
            algorithm (`hooks.architectures.built_in`), a file, or the folder of a training. With
            `@` and a number at its end a looped model runs that many loops: "looped-d5@12".
        loops: The same number of loops, in place of that of the training.

    Returns:
        The model in evaluation mode, with its `provenance`.

    Raises:
        CheckpointError: It is none of these, or the file cannot be read.
        ValueError: Loops are asked of a model that has none, twice, or fewer than one.
    """
    source, asked = split_loops(name_or_path)
    if asked is not None and loops is not None:
        raise ValueError(f"loops is given as {loops}, and as {asked} in {name_or_path}")
    n_loops = asked if loops is None else loops
    model = _load(source)
    if n_loops is None:
        return model
    try:
        model = model.with_loops(n_loops)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    model.provenance["name"] = f"{source}@{n_loops}"
    return model


def _load(name: str) -> SequenceModel:
    path = Path(name)
    if not path.is_file():
        if name in names():
            model = load_checkpoint(model_file(name))
            model.provenance["name"] = name
            return model
        if name in BUILT_IN:
            return BUILT_IN[name]()
    try:
        check_name(name)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    if path.is_dir() and (path / "model.safetensors").is_file():
        path = path / "model.safetensors"
    return load_checkpoint(path)
