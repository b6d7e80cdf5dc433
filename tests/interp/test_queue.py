from __future__ import annotations

import io
import os
import re
import signal
from pathlib import Path

import psutil
import pytest
from processes import CONTEXT
from rich.console import Console
from test_training import same_bits
from tiny import tiny, write_recipe

from interp.cli import main
from interp.training.display import TrainingTable
from interp.training.queue import Job, run_here, run_queue
from interp.training.recipe import Recipe


class Diary:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.entries: list[tuple[object, ...]] = []
        self.steps: dict[int, int] = {}
        self.on_progress = lambda index: None

    def started(self, index: int) -> None:
        self.entries.append(("started", index))

    def progressed(self, index: int, step: int, numbers: dict[str, int | float]) -> None:
        self.steps[index] = step
        self.on_progress(index)

    def finished(self, index: int) -> None:
        self.entries.append(("finished", index))

    def failed(self, index: int, reason: str) -> None:
        self.entries.append(("failed", index, reason))


def jobs(folder: Path, *recipes: dict[str, object]) -> list[Job]:
    return [Job(Recipe.from_mapping(recipe), folder / str(recipe["name"])) for recipe in recipes]


def test_a_queue_trains_what_single_trainings_do_and_survives_failures(tmp_path: Path):
    diverging = {**tiny("diverging"), "optimiser": {"learning_rate": 1e25, "clip_norm": "none"}}
    queue = jobs(tmp_path, tiny("a"), diverging, tiny("b"), tiny("c"))
    diary = Diary()
    run_here(queue[0], diary, n_threads=1, stop_after=7)
    (tmp_path / "c").touch()
    failures = run_queue(queue, diary, n_workers=2, n_threads=1)
    assert sorted(failures) == [1, 3]
    assert "became" in failures[1]
    assert "File exists" in failures[3]
    assert (diary.steps[0], diary.steps[2]) == (12, 12), "the last step was not shown"
    run_here(jobs(tmp_path / "single", tiny("a"))[0], diary, n_threads=1)
    for name in ("a", "b"):
        assert same_bits(tmp_path / "single" / "a", tmp_path / name)
    starts = [entry[1] for entry in diary.entries[2:] if entry[0] == "started"]
    assert starts == [0, 1, 2, 3, 0]
    assert {entry[1] for entry in diary.entries if entry[0] == "failed"} == {1, 3}


def test_a_worker_that_is_killed_costs_its_own_job_alone(tmp_path: Path):
    long, short = tiny("long", n_steps=10**6), tiny("short")
    diary = Diary()
    victims: list[int] = []

    def kill_once(index: int) -> None:
        if index == 0 and not victims:
            victims.append(newest_worker())
            os.kill(victims[0], signal.SIGKILL)

    diary.on_progress = kill_once
    failures = run_queue(jobs(tmp_path, long, short), diary, n_workers=1, n_threads=1)
    assert failures == {0: "its process ended by signal SIGKILL"}
    assert ("finished", 1) in diary.entries


def newest_worker() -> int:
    """The process that trains: the youngest child of the server that forks workers."""
    family = psutil.Process().children(recursive=True)
    return max(family, key=lambda process: process.create_time()).pid


def test_workers_end_when_their_queue_is_killed(tmp_path: Path):
    recipes = [str(write_recipe(tmp_path, tiny(name, n_steps=10**6))) for name in ("a", "b")]
    queue = CONTEXT.Process(
        target=main, args=(["train", *recipes, "--jobs", "2", "--out", str(tmp_path)],)
    )
    queue.start()
    while not all((tmp_path / name / "model.safetensors").exists() for name in ("a", "b")):
        assert queue.exitcode is None
    family = psutil.Process(queue.pid).children(recursive=True)
    assert len(family) >= 2
    queue.kill()
    queue.join()
    _, alive = psutil.wait_procs(family, timeout=300)
    assert not alive
    for name in ("a", "b"):
        assert not list((tmp_path / name).glob(".*.part"))


def test_two_trainings_never_share_a_folder(tmp_path: Path):
    with pytest.raises(ValueError, match="two trainings would write to this folder"):
        run_queue(jobs(tmp_path, tiny(), tiny()), Diary(), n_workers=1, n_threads=1)


@pytest.mark.parametrize(
    "counts", [{"n_workers": 0, "n_threads": 1}, {"n_workers": 1, "n_threads": 0}]
)
def test_counts_below_one_are_refused(tmp_path: Path, counts: dict[str, int]):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        run_queue(jobs(tmp_path, tiny()), Diary(), **counts)


NUMBERS = {"step": 6, "loss": 0.5, "error": 0.4, "baseline_error": 0.3, "excess": 0.1, "seconds": 2}


def test_the_table_shows_every_training_on_a_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, no_color=True)
    recipes = [Recipe.from_mapping(tiny(name)) for name in ("a", "b", "[c]")]
    with TrainingTable(recipes, console) as table:
        table.started(0)
        table.progressed(0, 6, {})
        table.progressed(0, 9, {**NUMBERS, "step_loss": 0.45})
        table.started(1)
        table.failed(1, "because")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    a, b, c = text.rstrip().splitlines()[-3:]
    for part in ("training", "9/12", "loss 0.4500", "excess +0.1000", "left"):
        assert part in a
    assert "failed" in b
    assert "[c]" in c
    assert "waiting" in c


def test_elsewhere_it_prints_a_line_per_checkpoint():
    screen = io.StringIO()
    with TrainingTable([Recipe.from_mapping(tiny())], Console(file=screen)) as table:
        table.started(0)
        for step in (6, 7, 8):
            table.progressed(0, step, {**NUMBERS, "step_loss": 0.45})
        table.finished(0)
    assert screen.getvalue().splitlines() == [
        "tiny: starting",
        "tiny: step  6 of 12: loss 0.50000, error 0.40000, baseline 0.30000, excess +0.10000, 2 s",
        "tiny: done",
    ]
