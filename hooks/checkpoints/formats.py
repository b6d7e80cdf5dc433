"""The formats that can be opened. A new one is a new file and one line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hooks.checkpoints.error import CheckpointError
from hooks.checkpoints.fu_run import is_fu_run, load_fu_run
from hooks.checkpoints.huggingface import is_huggingface, load_huggingface
from hooks.checkpoints.native import is_native, load_native
from hooks.model import SequenceModel


class Format(NamedTuple):
    """A kind of checkpoint: what it looks like to a person, to the program, and its loader."""

    description: str
    recognises: Callable[[Path], bool]
    load: Callable[[Path], SequenceModel]


FORMATS: tuple[Format, ...] = (
    Format("a directory of Hugging Face", is_huggingface, load_huggingface),
    Format("*.safetensors of this toolkit", is_native, load_native),
    Format(
        "config.yaml with state.pt or model_<step>.pt, *.pt, *.pth, *.ckpt, *.bin",
        is_fu_run,
        load_fu_run,
    ),
)


def _one_folder_down(directory: Path) -> list[Path]:
    """The checkpoints inside a folder that is none, such as the runs in a task's folder."""
    return [
        place
        for place in directory.iterdir()
        if any(format_.recognises(place) for format_ in FORMATS)
    ]


def load_checkpoint(path: str | Path) -> SequenceModel:
    """Loads a checkpoint of any known format, recognised by its files.

    Returns:
        The model in evaluation mode; its `provenance` has at least the `path`.

    Raises:
        CheckpointError: Nothing is there, no format fits, or the one that does is damaged.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder")
    for format_ in FORMATS:
        if format_.recognises(path):
            return format_.load(path)
    if path.is_dir() and (below := _one_folder_down(path)):
        if len(below) > 1:
            names = ", ".join(sorted(place.name for place in below)[:10])
            raise CheckpointError(f"{path}: holds {len(below)} checkpoints, name one: {names}")
        return load_checkpoint(below[0])
    known = "; ".join(format_.description for format_ in FORMATS)
    raise CheckpointError(f"{path}: none of the known formats ({known})")
