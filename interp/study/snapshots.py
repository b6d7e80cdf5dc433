"""Checkpoints of one training: where they lie, and after how many steps each was made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hooks.checkpoints import CheckpointError
from hooks.checkpoints.checksum import checksum
from hooks.checkpoints.huggingface import is_huggingface
from hooks.model import SequenceModel
from interp.study.checkpoint import Checkpoint
from interp.training.run_directory import RunDirectory

Source = str | Path | SequenceModel
Models = str | Path | Mapping[int, Source]
"""A folder of checkpoints, or checkpoints and models by training step."""

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
FOLDERS = ("snapshots", "", "checkpoints")
"""Where checkpoints lie below the folder of a training; the first that has some counts."""
STEP = re.compile(r"(?:step[-_=]?|checkpoint[-_]|model_)(\d+)(?!\d|-of-)")
"""In names: `step_8`, `model_8.pt` of Garg et al., `checkpoint-8` of Hugging Face,
`epoch=1-step=8.ckpt` of Lightning; no shard such as `model_1-of-2`."""


@dataclass(frozen=True)
class ModelInMemory(Checkpoint):
    """A model that needs no file, known by its weights and configuration."""

    model: SequenceModel = field(compare=False)

    def load(self) -> SequenceModel:
        """The model itself."""
        return self.model


def find_snapshots(models: Models) -> list[tuple[int | None, Source]]:
    """Steps and checkpoints; the step of a file whose name has none is None.

    Where names in a folder have steps, its other files are left out.

    Raises:
        ValueError: There are none, or keys are no steps.
    """
    if isinstance(models, Mapping):
        steps = [*map(_whole_step, models)]
        if not steps:
            raise ValueError("models is empty; give at least one checkpoint by its training step")
        return [*zip(steps, models.values(), strict=True)]
    folder = Path(models).expanduser()
    for place in (folder / name for name in FOLDERS):
        found = [file for file in sorted(place.glob("*")) if _is_candidate(file)]
        named = [(int(steps[-1]), file) for file in found if (steps := STEP.findall(file.name))]
        if found:
            return [*named] or [(None, file) for file in found]
    raise CheckpointError(
        f"{folder}: no folder with checkpoints; expected the folder of a training, with snapshots/ "
        "or files such as step_8.safetensors, model_8.pt, checkpoint-8/ or step=8.ckpt"
    )


def open_snapshot(source: Source) -> tuple[Checkpoint, SequenceModel]:
    """What is hashed, and the model in it.

    Raises:
        CheckpointError: It cannot be read.
        OSError: It cannot be read.
    """
    if isinstance(source, SequenceModel):
        config = {"config": f"{type(source).__qualname__} {source.config}"}
        digest = checksum(source.state_dict(), config, ["config"])
        return ModelInMemory(digest, "a model in memory", source), source
    checkpoint = Checkpoint.of(str(source))
    return checkpoint, checkpoint.load()


def _whole_step(key: object) -> int:
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool) and key >= 0:
        return int(key)
    raise ValueError(f"models must have whole numbers of steps, at least 0, as keys, got {key!r}")


def _is_candidate(file: Path) -> bool:
    if file.is_dir():
        return is_huggingface(file) or (file / "model.safetensors").is_file()
    return file.suffix in SUFFIXES and file != RunDirectory(file.parent).state_file
