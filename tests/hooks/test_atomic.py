"""Files are whole or absent, whenever the writing is interrupted."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hooks.atomic import atomic_write, clear_abandoned, temporary_folder, write_text


def interrupt_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Ctrl-C comes just after the first call."""
    call = getattr(owner, name)

    def interrupted(*args: Any, **options: Any) -> None:
        monkeypatch.setattr(owner, name, call)
        call(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Path, "mkdir"),
        (os, "open"),
        (fcntl, "flock"),
        (Path, "touch"),
        (Path, "write_text"),
        (os, "fsync"),
        (os, "umask"),
        (Path, "chmod"),
    ],
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


WRITER = """
import sys, time
from pathlib import Path
from hooks.atomic import atomic_write
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print(flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is half-way through writing `file`."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_what_a_killed_process_left_is_cleared_by_the_next(
    tmp_path: Path, writer: subprocess.Popen[bytes]
) -> None:
    writer.kill()
    writer.wait()
    assert len(list(tmp_path.iterdir())) == 1
    write_text(tmp_path / "file", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_process_is_writing_is_left_to_it(
    tmp_path: Path, writer: subprocess.Popen[bytes]
) -> None:
    [theirs] = tmp_path.iterdir()
    clear_abandoned(tmp_path)
    write_text(tmp_path / "file", "whole")
    assert (theirs / "new").read_bytes() == b"half"
    writer.kill()
    writer.wait()
    clear_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_of_a_process_do_not_meet(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / "x") as one, temporary_folder(tmp_path / "x") as two:
        assert one != two
    assert not list(tmp_path.iterdir())
