"""What the zoo holds, read from the headers of its files alone: no torch, no weights."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ZOO_DIRECTORY = Path(__file__).parent


@dataclass(frozen=True)
class ZooEntry:
    """One shipped checkpoint and where it comes from."""

    name: str
    description: str
    architecture: str
    config: dict[str, Any]
    task: dict[str, Any]
    seed: int | None
    n_parameters: int
    n_bytes: int
    step: int
    """Training steps behind the weights; 0 for a random initialisation."""
    error: float | None
    """Mean squared error / d on held-out prompts, over all points; None if it was not measured."""
    baseline_error: float | None
    """The same of the best reference: OLS, or ridge at the noise level."""
    seconds: float | None
    """Training time."""
    versions: dict[str, str]

    @property
    def excess(self) -> float | None:
        """Error above the baseline's."""
        if self.error is None or self.baseline_error is None:
            return None
        return self.error - self.baseline_error

    def describe(self) -> dict[str, Any]:
        """The entry as plain values."""
        return {**asdict(self), "excess": self.excess}


def names() -> list[str]:
    """Names of the shipped checkpoints, sorted."""
    return sorted(path.parent.name for path in ZOO_DIRECTORY.glob("*/model.safetensors"))


def model_file(name: str) -> Path:
    """The file of a shipped checkpoint."""
    return ZOO_DIRECTORY / name / "model.safetensors"


def entries() -> list[ZooEntry]:
    """Every shipped checkpoint, sorted by name."""
    return [read_entry(ZOO_DIRECTORY / name) for name in names()]


def read_entry(folder: Path) -> ZooEntry:
    """Describes the checkpoint in a folder, from its file's header.

    Raises:
        ValueError: The file is no checkpoint of this project.
    """
    file = folder / "model.safetensors"
    header = read_header(file)
    metadata = header.pop("__metadata__", {})
    try:
        provenance = json.loads(metadata["provenance"])
        recipe = provenance.get("recipe", {})
        metrics = provenance.get("metrics", {})
        return ZooEntry(
            name=folder.name,
            description=provenance.get("description") or recipe.get("description", ""),
            architecture=metadata["architecture"],
            config=json.loads(metadata["config"]),
            task=provenance.get("task") or recipe.get("task", {}),
            seed=recipe.get("seed"),
            n_parameters=sum(math.prod(tensor["shape"]) for tensor in header.values()),
            n_bytes=file.stat().st_size,
            step=int(provenance.get("step", 0)),
            error=metrics.get("error"),
            baseline_error=metrics.get("baseline_error"),
            seconds=metrics.get("seconds"),
            versions=provenance.get("versions", {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: its metadata does not describe a checkpoint ({error})") from None


def read_header(file: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file.

    Raises:
        ValueError: The file has none.
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 0 < length < file.stat().st_size:
            raise ValueError(f"{file}: not a safetensors file")
        try:
            header: dict[str, Any] = json.loads(stream.read(length))
        except ValueError:
            raise ValueError(f"{file}: not a safetensors file") from None
    return header
