"""The folder of a command's results is of one run, whatever happens to the command."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import xarray

from hooks.atomic import write_text
from interp.results import run_folder
from interp.results.netcdf import read_tree, save_netcdf
from interp.results.run_folder import read_manifest, write_run
from interp.results.seal import ResultError

NAMES = ("report.html", "tables/all.csv", "summary.json")


def text(content: str) -> Callable[[Path], None]:
    return lambda path: write_text(path, content)


def run(content: str, names: tuple[str, ...] = NAMES) -> dict[str, Callable[[Path], None]]:
    return {name: text(content) for name in names}


def contents(out: Path) -> set[str]:
    """What the files of a run say: one thing, or it is a mixture; and no other file is there."""
    files = [path for path in out.rglob("*") if path.is_file() and ".part" not in str(path)]
    own = [path for path in files if str(path.relative_to(out)) in NAMES]
    assert len(own) in (0, len(NAMES))
    return {path.read_text(encoding="utf-8") for path in own}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with a run in it, and files of the user's own."""
    folder = tmp_path / "out"
    write_run(folder, run("old"))
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("mine", encoding="utf-8")
    (folder / "tables" / "mine.csv").write_text("mine", encoding="utf-8")
    (folder / "link").symlink_to("notes/mine.txt")
    return folder


def assert_own_files_are_there(out: Path) -> None:
    for name in ("notes/mine.txt", "tables/mine.csv", "link"):
        assert (out / name).read_text(encoding="utf-8") == "mine"


FALLIBLE = [
    (Path, "mkdir"), (Path, "touch"), (Path, "write_text"), (Path, "replace"), (Path, "rename"),
    (os, "fsync"), (os, "link"), (run_folder, "_swap"),
]  # fmt: skip


def test_a_failure_at_any_write_leaves_all_of_the_old_run_or_all_of_the_new(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk is full; each call that writes fails once."""

    def fail_at(patch: Any, place: int, owner: Any, name: str, calls: list[str]) -> None:
        call = getattr(owner, name)

        def maybe(*args: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == place:
                raise OSError(errno.ENOSPC, "No space left on device")
            return call(*args, **options)

        patch.setattr(owner, name, maybe)

    seen = []
    for place in range(1, 200):
        calls: list[str] = []
        with monkeypatch.context() as patch:
            for owner, name in FALLIBLE:
                fail_at(patch, place, owner, name, calls)
            with suppress(OSError):
                write_run(out, run(f"new {place}"))
        [content] = contents(out)
        seen.append(content)
        assert_own_files_are_there(out)
        assert not list(out.parent.rglob("*.part"))
        if len(calls) < place:
            break
    assert seen[0] == "old"
    assert seen[-1] == f"new {place}"
    assert place > 25


WRITER = """
import sys
from itertools import count
from pathlib import Path
from hooks.atomic import write_text
from interp.results.run_folder import write_run
for number in count():
    text = lambda path: write_text(path, str(number))
    write_run(Path(sys.argv[1]), dict.fromkeys(sys.argv[2:], text))
    print(flush=True)
"""


def test_a_kill_at_any_instant_leaves_one_run_and_the_next_clears_up(out: Path) -> None:
    draw = random.Random(0)
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, str(out), *NAMES]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(draw.uniform(0, 0.1))
            process.kill()
        assert len(contents(out)) == 1
        assert_own_files_are_there(out)
    write_run(out, run("after"))
    assert contents(out) == {"after"}
    assert list(out.parent.iterdir()) == [out]


def test_a_run_of_which_a_file_is_replaced_goes_whole(tmp_path: Path) -> None:
    write_run(tmp_path, run("one", ("a.csv", "report.html")))
    write_run(tmp_path, run("two", ("b.csv",)))
    assert {path.name for path in tmp_path.glob("[!.]*")} == {"a.csv", "report.html", "b.csv"}
    write_run(tmp_path, run("three", ("report.html",)))
    assert {path.name for path in tmp_path.glob("[!.]*")} == {"report.html", "b.csv"}
    assert [other.files for other in read_manifest(tmp_path)] == [("b.csv",), ("report.html",)]


@pytest.mark.parametrize("how", ["here", "no exchange", "no links"])
def test_without_an_exchange_files_are_moved(
    out: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def impossible(*args: Any, **options: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if how == "here":
        monkeypatch.chdir(out)
    else:
        owner, name = (run_folder, "_swap") if how == "no exchange" else (os, "link")
        monkeypatch.setattr(owner, name, impossible)
    before = out.stat().st_ino
    write_run(out, run("new"))
    assert out.stat().st_ino == before
    assert contents(out) == {"new"}
    assert_own_files_are_there(out)
    assert not list(out.parent.rglob("*.part"))


def test_a_folder_that_is_a_link_stays_one(out: Path, tmp_path: Path) -> None:
    link = tmp_path / "latest"
    link.symlink_to(out)
    write_run(link, run("new"))
    assert link.is_symlink()
    assert contents(out) == {"new"}


def test_files_of_two_runs_are_refused(tmp_path: Path) -> None:
    def result(value: float) -> Callable[[Path], None]:
        data = xarray.Dataset({"x": value}, attrs={"format": "f"})
        return partial(save_netcdf, data)

    for value, name in enumerate(("one", "two")):
        write_run(tmp_path / name, {"result.nc": result(value), "report.html": text(name)})
    assert read_tree(tmp_path / "one" / "result.nc", "f")["x"] == 0
    assert "run" not in read_tree(tmp_path / "one" / "result.nc", "f").attrs
    (tmp_path / "two" / "result.nc").replace(tmp_path / "one" / "result.nc")
    with pytest.raises(ResultError, match="its folder is of run"):
        read_tree(tmp_path / "one" / "result.nc", "f")
    result(3)(tmp_path / "one" / "result.nc")  # saved there from Python: of no run
    assert read_tree(tmp_path / "one" / "result.nc", "f")["x"] == 3
