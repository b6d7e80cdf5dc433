"""Checkpoints by name or path."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from hooks.architectures.built_in import BUILT_IN
from hooks.checkpoints import CheckpointError, load_checkpoint
from hooks.model import SequenceModel
from interp.zoo.catalogue import model_file, names

LOOPS = re.compile(r"(?P<name>.+)@(?P<loops>\d+)")


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


def split_loops(name_or_path: str | Path) -> tuple[str, int | None]:
    """A checkpoint's name or path, and how many loops are asked for behind its `@`."""
    found = LOOPS.fullmatch(str(name_or_path))
    if found is None or Path(name_or_path).exists():
        return str(name_or_path), None
    return found["name"], int(found["loops"])


def _load(name: str) -> SequenceModel:
    path = Path(name)
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
