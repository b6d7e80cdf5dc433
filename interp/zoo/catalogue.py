"""What the zoo holds, read from the headers of its files alone: no torch, no weights."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hooks.input_file import check_file, parse_json

ZOO_DIRECTORY = Path(__file__).parent
DEVICES = r"auto|cpu|cuda(:\d+)?|mps"
"""Where a model can run, see `interp.zoo.loading.torch_device`."""
LOOPS = re.compile(r"(?P<name>.+)@(?P<loops>\d{1,4})")


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


def check_name(name: str) -> None:
    """Passes what is a name of the zoo or an existing path, before anything slow is imported.

    Raises:
        ValueError: It is neither.
    """
    source, _ = split_loops(name)
    known = [*names(), *CONSTRUCTED]
    if source in known or Path(source).expanduser().exists():
        return
    close = difflib.get_close_matches(source, known, n=1)
    hint = f" (closest: {close[0]})" if close else ""
    raise ValueError(
        f"{source}: no such file, and no checkpoint of that name in the zoo{hint}; "
        f"`interp zoo` lists its {len(known)} names"
    )


def split_loops(name_or_path: str | Path) -> tuple[str, int | None]:
    """A checkpoint's name or path, and how many loops are asked for behind its `@`."""
    found = LOOPS.fullmatch(str(name_or_path))
    if found is None or Path(name_or_path).expanduser().exists():
        return str(name_or_path), None
    return found["name"], int(found["loops"])


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
        provenance = parse_json(metadata["provenance"])
        recipe, metrics = (provenance.get(key, {}) for key in ("recipe", "metrics"))
        return ZooEntry(
            name=folder.name,
            description=provenance.get("description") or recipe.get("description", ""),
            architecture=metadata["architecture"],
            config=parse_json(metadata["config"]),
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
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{file}: its metadata does not describe a checkpoint ({error})") from None


def read_header(file: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file.

    Raises:
        ValueError: The file has none.
    """
    with check_file(file).open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            header = parse_json(stream.read(length) if length < file.stat().st_size else "")
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise ValueError(f"{file}: not a safetensors file")
    return header


CONSTRUCTED: dict[str, str] = {
    "newton-exact": "Iterative Newton, one iteration a layer (Theorem 5.1), prediction readable",
    "newton-exact-silent": "the same with no prediction in the stream before the last layer",
    "newton-exact-looped": "Iterative Newton with one layer's weights used in all of them",
    "gd-exact": "gradient descent, one step a layer (von Oswald et al. 2023)",
    "gd-exact-looped": "gradient descent with one layer's weights used in all of them",
    "gdpp-exact": "GD++, one step a layer (von Oswald et al. 2023)",
    "gdpp-exact-looped": "GD++ with one layer's weights used in all of them",
    "ogd-exact": "online gradient descent, once over the examples, in the first layer (delta rule)",
}
"""What each of `hooks.architectures.built_in.BUILT_IN` runs."""
