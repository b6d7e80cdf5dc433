"""Checkpoints and the hash of what they hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from hooks.architectures.built_in import BUILT_IN
from hooks.checkpoints.checksum import checksum
from hooks.checkpoints.huggingface import is_huggingface
from hooks.checkpoints.native import is_native
from hooks.model import SequenceModel
from interp.jobs.cluster import shipped_file
from interp.zoo.catalogue import model_file, names, split_loops
from interp.zoo.loading import FUNCTION, load


@dataclass(frozen=True)
class Checkpoint:
    """What `interp.load` opens, known by its content; where it lies does not count."""

    digest: str
    """SHA-256 of the file, or of all files of a folder, or the name of a model that needs none;
    with the number of loops behind it, where `source` asks for one."""
    source: str = field(compare=False)
    """A name or a path."""

    @classmethod
    def of(cls, source: str) -> Checkpoint:
        """Hashes a checkpoint.

        Raises:
            CheckpointError: There is none.
            OSError: A file cannot be read.
        """
        name, loops = split_loops(source)
        return cls(_digest(name) + ("" if loops is None else f"@{loops}"), source)

    @property
    def files(self) -> dict[str, Path]:
        """What a machine needs to open it besides this package, by the name it is sent under.

        Nothing for checkpoints that ship with the package; nothing for formats of others, which
        must lie where workers see them.
        """
        name, _ = split_loops(self.source)
        native = _native_file(Path(name).expanduser())
        return {self._shipped_name: native} if native else {}

    def load(self) -> SequenceModel:
        """Opens it, here or on a worker of a cluster.

        Raises:
            CheckpointError: It cannot be read.
        """
        name, loops = split_loops(self.source)
        return load(shipped_file(self._shipped_name) or name, loops=loops)

    @property
    def _shipped_name(self) -> str:
        return f"{self.digest[:32]}.safetensors"


def _digest(name: str) -> str:
    path = Path(name).expanduser()
    if FUNCTION.fullmatch(name) and not path.exists():
        return _weights_digest(load(name))
    if not path.is_file() and name in names():
        return _file_digest(model_file(name))
    if not path.is_file() and name in BUILT_IN:
        return f"built-in {name}"
    if not path.exists():
        load(name)  # raises, and says what there is
    native = _native_file(path)
    return _file_digest(native) if native else _joint_digest(path)


def _native_file(path: Path) -> Path | None:
    """The one file that a checkpoint of this project is."""
    file = path / "model.safetensors" if path.is_dir() else path
    return file if is_native(file) and not is_huggingface(file) else None


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weights_digest(model: SequenceModel) -> str:
    """Of the weights that a user's function gives a model, and of the file of that function."""
    code = Path(model.provenance["path"]).read_text(encoding="utf-8")
    return checksum(model.state_dict(), {"code": code}, ["code"])


def _joint_digest(path: Path) -> str:
    """Of everything in a folder, or of a file and the configuration beside it."""
    folder = path if path.is_dir() else path.parent
    files = folder.rglob("*") if path.is_dir() else [path, *folder.glob("config.*")]
    whole = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file()):
        whole.update(f"{file.relative_to(folder)}\0{_file_digest(file)}\0".encode())
    return whole.hexdigest()
