"""Files are whole or absent, whenever the writing is interrupted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hooks.atomic import atomic_write, write_text


def interrupt_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Ctrl-C comes just after a call."""
    call = getattr(owner, name)

    def interrupted(*args: Any, **options: Any) -> None:
        call(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Path, "touch"), (Path, "write_text"), (os, "fsync"), (os, "umask"), (Path, "chmod")],
)
def test_an_interrupt_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    file = tmp_path / "file.txt"
    write_text(file, "old")
    interrupt_after(monkeypatch, owner, name)
    with pytest.raises(KeyboardInterrupt):
        write_text(file, "new")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text(encoding="utf-8") == "old"


def test_text_is_written_as_utf_8_with_the_usual_permissions(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "file.txt"
    write_text(file, "κ ≥ 1")
    assert file.read_bytes() == "κ ≥ 1".encode()
    (tmp_path / "usual").touch()
    assert file.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_write(tmp_path / "file") as temporary:
            temporary.write_bytes(b"half")
            raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        fail()
    assert not list(tmp_path.iterdir())
