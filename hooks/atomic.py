"""Files that are either whole or absent, and temporary folders that no kill leaves behind."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

SUFFIX = ".icl-interp.part"
"""How the names of temporary folders end."""


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, moved over it when the block ends without error.

    The file and its folder are synced to disk before and after the move, so a crash or a full
    disk leaves either the old file or the new one. After an error nothing is left behind.

    Raises:
        OSError: The folder cannot be written.
    """
    target = Path(path).expanduser()
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(target) as folder:
        temporary = folder / f"new{target.suffix}"
        try:
            temporary.touch(0o600, exist_ok=False)
            yield temporary
            sync(temporary)
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(target)
        except OSError as error:
            if error.filename in (None, str(temporary)):
                error.filename = str(target)
            raise
    sync(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file in UTF-8, whole or not at all.

    Raises:
        OSError: It cannot be written; an existing one is left as it was.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yields an empty hidden folder beside `target`, locked by this process, removed at the end.

    The operating system drops a lock when its process ends, however it ends. So a folder that is
    there and not locked was left by a process that was killed, and is cleared and taken; one that
    is locked belongs to another process, and the next name is tried.

    Raises:
        OSError: The folder above cannot be written.
    """
    folder, lock, is_own = target, None, False
    try:
        for number in count():
            folder = target.with_name(f".{target.name}{f'.{number}' if number else ''}{SUFFIX}")
            is_new = _make(folder, target)
            lock = _lock(folder)
            is_own = lock is not None or (is_new and folder.exists())  # no locks on this disk
            if is_own:
                break
        if not is_new:
            _empty(folder)
        yield folder
    finally:
        if folder != target and not is_own:  # interrupted: it goes if it is nobody else's
            lock = _lock(folder)
        if is_own or lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def clear_abandoned(folder: Path) -> None:
    """Removes the temporary folders in a folder that belong to no process any more."""
    for leftover in folder.glob(f".*{SUFFIX}"):
        lock = _lock(leftover)
        if lock is not None:
            shutil.rmtree(leftover, ignore_errors=True)
            os.close(lock)


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make(folder: Path, target: Path) -> bool:
    """Whether a folder was made; False where there is one."""
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        return False
    except OSError as error:
        error.filename = str(target)
        raise
    return True


def _lock(folder: Path) -> int | None:
    """The handle that holds a folder; None where another process does, or locks are unknown."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), folder.stat()):  # else its owner removed it just now
            return handle
    except OSError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            with suppress(FileNotFoundError):
                entry.unlink()
