"""What is looked at in any file that people hand in, before it is parsed."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

DAMAGE = (
    OSError, EOFError, LookupError, ValueError, TypeError, RuntimeError, AttributeError,
    AssertionError, OverflowError, ArithmeticError, MemoryError, SyntaxError, struct.error,
    zlib.error, zipfile.BadZipFile, tokenize.TokenError,
)  # fmt: skip
"""Whatever other libraries raise on a damaged file. Catch it around their calls only: from our own
code these are defects, whose tracebacks are needed."""
LARGEST_TEXT = 10**6
"""Bytes of a configuration; real ones have a few thousand."""
MOST_ENTRIES, DEEPEST = 100_000, 50
"""Of nested tables and lists."""
LARGEST_GROWTH, ALWAYS_ALLOWED = 50, 2**26
"""How many times its size on disk a file may take in memory, besides 64 MiB."""


def check_file(path: str | os.PathLike[str], most: int | None = None) -> Path:
    """Passes a regular file of moderate size.

    Args:
        path: The file; `~` is expanded.
        most: Its most bytes; None for any number.

    Raises:
        OSError: It is missing, a folder or a device, or larger.
    """
    path = Path(path).expanduser()
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    if most is not None and status.st_size > most:
        raise OSError(errno.EFBIG, f"Has more than {most:,} bytes", str(path))
    return path


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a configuration file, in UTF-8.

    Raises:
        OSError: As `check_file`; or it cannot be read.
        ValueError: It is no UTF-8.
    """
    return check_file(path, LARGEST_TEXT).read_text(encoding="utf-8")


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: It is no JSON, or as `check_tree`.
    """
    try:
        return check_tree(json.loads(text))
    except RecursionError:
        raise ValueError(f"is nested more than {DEEPEST} deep") from None


def check_tree(tree: Any) -> Any:
    """Passes nested tables and lists of moderate size, all references to one part counted.

    Raises:
        ValueError: They are deeper or larger.
    """
    waiting, n_entries = [(tree, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, dict | list | tuple):
            continue
        n_entries += len(node)
        if depth > DEEPEST:
            raise ValueError(f"is nested more than {DEEPEST} deep")
        if n_entries > MOST_ENTRIES:
            raise ValueError(f"has more than {MOST_ENTRIES:,} entries")
        below = node.values() if isinstance(node, dict) else node
        waiting += [(part, depth + 1) for part in below]
    return tree


def check_claim(claimed: int, on_disk: int) -> None:
    """Passes what a file says it holds, before memory is taken for it.

    Args:
        claimed: Bytes in memory.
        on_disk: Bytes that are there.

    Raises:
        ValueError: No compression of real numbers comes to that.
    """
    if claimed > LARGEST_GROWTH * on_disk + ALWAYS_ALLOWED:
        raise ValueError(f"claims {claimed:,} bytes, but has {on_disk:,}")
