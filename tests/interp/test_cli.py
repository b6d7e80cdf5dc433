from __future__ import annotations

import ctypes
import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from processes import Command, Ending, limit_file_size
from rich.text import Text
from tiny import tiny, write_recipe
from typer.main import get_command

import interp
from hooks.checkpoints import load_checkpoint
from interp.cli import build_app
from interp.commands import COMMANDS
from interp.errors import describe_error
from interp.recipes import recipe_names
from interp.training.recipe import Recipe
from interp.training.train import train

ROOT = Path(__file__).parent.parent.parent


def run(*arguments: object, folder: Path, **keywords: object) -> Ending:
    return Command(*arguments, folder=folder, **keywords).end()


PROGRESS = re.compile(r"\d+ s: ")
"""How a line of progress begins, which slow machines print."""


def assert_one_sentence(ending: Ending, *parts: str) -> None:
    """The process ended with code 2 and a single line on stderr that says these things."""
    assert ending.code == 2, ending
    (sentence,) = (line for line in ending.stderr.splitlines() if not PROGRESS.match(line))
    assert sentence.startswith("interp: ")
    for part in parts:
        assert part in sentence


def half_written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith(".part")]


def test_help_lists_every_command_with_its_purpose(tmp_path: Path):
    ending = run("--help", folder=tmp_path)
    assert ending.code == 0
    for name in COMMANDS:
        assert re.search(rf"^│ {name} +\w+", ending.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(tmp_path: Path, command: str):
    ending = run(command, "--help", folder=tmp_path)
    assert ending.code == 0
    assert f"interp {command}" in ending.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_no_word_of_the_help_is_taken_for_markup(command: str):
    found = get_command(build_app()).commands[command]
    for text in (found.help, *(parameter.help for parameter in found.params)):
        assert Text.from_markup(text).plain == text


def test_the_module_runs_as_a_program_and_tells_its_version():
    result = subprocess.run(
        [sys.executable, "-m", "interp", "--version"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.fullmatch(r"interp \d+\.\d+\.\d+\n", result.stdout)
    assert result.stdout.split()[1] == interp.__version__


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_output_of_another_encoding_costs_no_result(encoding: str):
    script = (
        "from interp.cli import _print_in_any_encoding as prepare; prepare(); "
        "print('at least ≥ 3, κ² … │ done')"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )  # fmt: skip
    text = result.stdout.decode(encoding)
    assert "at least >= 3, kappa" in text
    assert text.rstrip().endswith("done")


@pytest.mark.parametrize(
    "arguments",
    [("match", "gpt2-d6"), ("match", "gpt2-d5", "--prompts", "5"), ("conditions", "nowhere/x.pt")],
)
def test_a_wrong_name_or_bound_is_refused_before_torch_is_imported(arguments: tuple[str, ...]):
    script = (
        "import sys\nfrom interp.cli import main\ntry:\n    main(sys.argv[1:])\n"
        "except SystemExit as ending:\n    print(ending.code, 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert result.stdout.split() == ["2", "False"]
    assert arguments[1] in result.stderr or "--prompts" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["tarin"], "Did you mean 'train'?"),
        (["train"], "Missing argument"),
        (["train", "x", "--jobs", "0"], "--jobs"),
        (["zoo", "--jsn"], "No such option"),
    ],
)
def test_a_mistyped_command_line_ends_with_code_2(tmp_path: Path, arguments: list[str], part: str):
    ending = run(*arguments, folder=tmp_path)
    assert ending.code == 2
    assert part in ending.stderr


def test_recipes_as_table_and_as_json(tmp_path: Path):
    table = run("recipes", folder=tmp_path).stdout
    listed = [
        recipe["name"] for recipe in json.loads(run("recipes", "--json", folder=tmp_path).stdout)
    ]
    assert listed == recipe_names()
    assert all(name in table for name in listed)


def test_an_unknown_recipe(tmp_path: Path):
    ending = run("train", "gtp2-d5", folder=tmp_path)
    assert_one_sentence(ending, "gtp2-d5: no such file", "closest: gpt2-d5")


def test_a_recipe_that_is_wrong(tmp_path: Path):
    recipe = write_recipe(tmp_path, tiny(n_steps=-1))
    assert_one_sentence(
        run("train", recipe, folder=tmp_path),
        str(recipe),
        "training.n_steps must be at least 1, got -1",
    )


@pytest.mark.parametrize("position", [0, 1, 2])
def test_debug_shows_the_traceback_wherever_it_stands(tmp_path: Path, position: int):
    arguments = ["train", "nothing"]
    arguments.insert(position, "--debug")
    ending = run(*arguments, folder=tmp_path)
    assert ending.code == 2
    assert "Traceback (most recent call last)" in ending.stderr
    assert ending.stderr.splitlines()[-1].startswith("interp: nothing: no such file")


def test_an_output_folder_that_is_a_file(tmp_path: Path):
    (tmp_path / "out").touch()
    ending = run(
        "train", write_recipe(tmp_path, tiny()), "--out", tmp_path / "out", folder=tmp_path
    )
    assert_one_sentence(ending, str(tmp_path / "out"), "not a directory")


def test_an_output_folder_without_permission(tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    ending = run(
        "train", write_recipe(tmp_path, tiny()), "--out", out,
        folder=tmp_path, prepare=give_up_capabilities,
    )  # fmt: skip
    assert_one_sentence(ending, str(out), "permission denied")
    assert not list(out.iterdir())


def give_up_capabilities() -> None:
    """Makes root, too, obey the permissions of files."""
    if os.getuid() == 0:
        version_3, this_process = 0x20080522, 0
        header = (ctypes.c_uint32 * 2)(version_3, this_process)
        nothing = (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(header, nothing) == 0


def test_a_disk_that_fills_up_while_a_checkpoint_is_written(tmp_path: Path):
    recipe = write_recipe(tmp_path, tiny())
    ending = run(
        "train", recipe, "--out", tmp_path,
        folder=tmp_path, prepare=limit_file_size, prepare_with=(5000,),
    )  # fmt: skip
    state = tmp_path / "tiny" / "training.safetensors"
    assert_one_sentence(ending, str(state), "file too large")
    assert not state.exists()
    assert not half_written(tmp_path)
    assert run("train", recipe, "--out", tmp_path, folder=tmp_path).code == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 kB."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = tmp_path / "disk"
    folder.mkdir()
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, b"size=32k"):
        pytest.skip(f"cannot mount a small disk ({os.strerror(ctypes.get_errno())})")
    yield folder
    libc.umount2(bytes(folder), 2)


def test_a_disk_that_is_full_keeps_the_last_checkpoint(tmp_path: Path, small_disk: Path):
    recipe = write_recipe(tmp_path, tiny(n_steps=400, checkpoint_every=1))
    ending = run("train", recipe, "--out", small_disk, folder=tmp_path)
    assert_one_sentence(ending, str(small_disk), os.strerror(errno.ENOSPC).lower())
    assert not half_written(small_disk)
    for file in small_disk.rglob("model.safetensors"):
        load_checkpoint(file)


def test_ctrl_c_at_random_instants(tmp_path: Path):
    recipe = write_recipe(tmp_path, tiny(n_steps=10**6, checkpoint_every=1))
    for attempt in range(6):
        out = tmp_path / str(attempt)
        command = Command("train", recipe, "--out", out, folder=tmp_path)
        wait_for(out / "tiny" / "model.safetensors")
        time.sleep(random.uniform(0, 0.2))
        os.kill(command.process.pid, random.choice([signal.SIGINT, signal.SIGTERM]))
        ending = command.end()
        line = f"interp train {recipe} --out {out}"
        said = f"interp: saved in {out}; this goes on from there: {line}\ninterp: interrupted\n"
        assert (ending.code, ending.stderr) == (130, said)
        assert not half_written(out)
        load_checkpoint(out / "tiny" / "model.safetensors")


def test_what_was_interrupted_between_checkpoints_goes_on_where_it_was(tmp_path: Path):
    recipe = write_recipe(tmp_path, tiny(n_steps=10**6, checkpoint_every=10**6))
    command = Command("train", recipe, "--threads", 1, "--out", tmp_path / "out", folder=tmp_path)
    wait_for(tmp_path / "out" / "tiny" / "training.log")
    os.kill(command.process.pid, signal.SIGTERM)
    assert "--out" in command.end().stderr
    step = load_checkpoint(tmp_path / "out" / "tiny" / "model.safetensors").provenance["step"]
    assert step >= 1
    torch.set_num_threads(1)  # as the command
    again, whole = (
        train(Recipe.read(recipe), folder, stop_after=step + 2).state_dict()
        for folder in (tmp_path / "out" / "tiny", tmp_path / "whole")
    )
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_ctrl_c_in_a_terminal_ends_a_queue_and_all_its_workers(tmp_path: Path):
    recipes = [write_recipe(tmp_path, tiny(name, n_steps=10**6)) for name in ("a", "b", "c")]
    queue = subprocess.Popen(
        [sys.executable, "-m", "interp.cli", "train", *recipes, "--jobs", "2", "--out", tmp_path],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    for name in ("a", "b"):
        wait_for(tmp_path / name / "model.safetensors")
    os.killpg(queue.pid, signal.SIGINT)
    _, stderr = queue.communicate(timeout=300)
    assert queue.returncode == 130
    assert re.fullmatch(
        r"interp: saved in .*: interp train .* --jobs 2\ninterp: interrupted\n", stderr.decode()
    )
    assert not half_written(tmp_path)
    assert not (tmp_path / "c").exists()
    with pytest.raises(ProcessLookupError):
        wait_until_gone(queue.pid)


def wait_for(file: Path, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} never came"
        time.sleep(0.01)


def wait_until_gone(group: int, seconds: float = 300) -> None:
    """Raises a `ProcessLookupError` once a process group has no members."""
    for _ in range(int(seconds / 0.05)):
        os.killpg(group, 0)
        time.sleep(0.05)


def test_a_reader_that_leaves_early_is_no_error():
    result = subprocess.run(
        f"'{sys.executable}' -m interp.cli recipes --json | head -c 1",
        shell=True, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (result.stdout, result.stderr) == ("[", "")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("a\n  b"), "a b"),
        (ValueError(), "ValueError"),
        (OSError(28, "No space left on device"), "no space left on device"),
        (OSError(28, "No space left on device", "x.nc"), "x.nc: no space left on device"),
        (OSError("odd"), "odd"),
    ],
)
def test_an_error_becomes_one_line(error: Exception, sentence: str):
    assert describe_error(error) == sentence
