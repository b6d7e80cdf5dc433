"""The folder of a command's results: all files are of one run, whenever the command is killed."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from hooks.atomic import sync, temporary_folder, write_text
from interp.results.seal import mark_run

MANIFEST = ".icl-interp-runs"
"""Name of the file that says which run each file of the folder is of."""
IMPOSSIBLE = {
    errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EXDEV, errno.EOPNOTSUPP,
    errno.EBUSY, errno.EMLINK,
}  # fmt: skip
"""Why a file system does not link files or exchange folders."""
AT_FDCWD, RENAME_EXCHANGE, RENAME_SWAP = -100, 2, 2


class Run(msgspec.Struct, frozen=True):
    """One run of a command that wrote into a folder."""

    id: str
    """A hash of what it wrote."""
    files: tuple[str, ...]


def write_run(out: Path, files: Mapping[str, Callable[[Path], None]]) -> None:
    """Puts the files of a run into a folder, all at once.

    They are written into a temporary folder, which is then exchanged with `out`: after a kill or
    with a full disk, all files are the old ones or all are the new ones. Files of an earlier run
    of which one is replaced go too; all other files stay. Where folders cannot be exchanged (a
    mounted folder, the working directory, some network disks) the files are moved one by one, and
    the manifest tells a reader if that was interrupted.

    Args:
        out: The folder, made if it is not there.
        files: What writes each file, by its name, which may have folders in it.

    Raises:
        OSError: The folder cannot be written.
    """
    out = Path(os.path.realpath(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    is_beside = _can_be_exchanged(out)
    with temporary_folder(out if is_beside else out / "results") as temporary:
        new = temporary / "new"
        new.mkdir()
        for name, write in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                write(new / name)
            except OSError as error:
                error.filename = str(out / name)
                raise
        run = Run(_mark(new, list(files)), tuple(files))
        before = read_manifest(out)
        kept = [other for other in before if not set(other.files) & set(files)]
        write_text(new / MANIFEST, msgspec.json.encode([*kept, run]).decode())
        replaced = {name for other in before if other not in kept for name in other.files}
        if not (is_beside and _exchange(new, out, replaced)):
            _move(new, out, [*files, MANIFEST], replaced - set(files))
        sync(out.parent)


def read_manifest(folder: Path) -> list[Run]:
    """The runs whose files are in a folder, as far as its manifest says so."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=list[Run])
    except (OSError, msgspec.MsgspecError):
        return []


def mixed_with(path: Path, run: str | None) -> str | None:
    """The run that a file's folder says it is of, if the file itself says another."""
    named = (other.id for other in read_manifest(path.parent) if path.name in other.files)
    return next((other for other in named if run not in (None, other)), None)


def _mark(new: Path, names: Sequence[str]) -> str:
    """The run's id, from what it wrote; netCDF files get it as an attribute."""
    whole = hashlib.sha256()
    for name in sorted(names):
        with (new / name).open("rb") as file:
            whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    run = whole.hexdigest()[:16]
    for name in names:
        if name.endswith(".nc"):
            mark_run(new / name, run)
            sync(new / name)
    return run


def _can_be_exchanged(out: Path) -> bool:
    if not out.exists():
        return True
    try:
        is_here = Path.cwd().is_relative_to(out)
    except FileNotFoundError:
        is_here = False
    return not is_here and not out.is_mount() and os.access(out.parent, os.W_OK)


def _exchange(new: Path, out: Path, replaced: set[str]) -> bool:
    """Gives `out` the content of `new` in one step, with all of its own but what is replaced."""
    if not out.exists():
        try:
            new.rename(out)
            return True
        except OSError:  # another process made it just now
            pass
    try:
        _link(out, new, replaced)
        shutil.copystat(out, new)
        _swap(new, out)
    except AttributeError:
        return False
    except OSError as error:
        if error.errno not in IMPOSSIBLE:
            raise
        return False
    _link(new, out, replaced)  # what another process wrote in the meantime
    return True


def _link(source: Path, target: Path, without: set[str]) -> None:
    """Links all that is in one folder and not in another into the other, folder by folder."""
    for place, folders, files in os.walk(source):
        here = Path(place).relative_to(source)
        for name in folders + files:
            old, new = Path(place) / name, target / here / name
            if str(here / name) in without or new.is_symlink() or new.exists():
                continue
            if old.is_dir() and not old.is_symlink():
                new.mkdir()
                shutil.copystat(old, new)
            else:
                os.link(old, new, follow_symlinks=False)


def _swap(one: Path, other: Path) -> None:
    """Exchanges two folders in one step.

    Raises:
        OSError: The file system cannot.
        AttributeError: The operating system cannot.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin":
        failed = libc.renamex_np(*paths, RENAME_SWAP)
    else:
        failed = libc.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE)
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _move(new: Path, out: Path, names: Sequence[str], replaced: set[str]) -> None:
    """Moves files one by one, the manifest last."""
    for name in replaced:
        (out / name).unlink(missing_ok=True)
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).replace(out / name)
