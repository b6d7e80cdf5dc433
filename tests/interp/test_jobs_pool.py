"""Work on processes that fail and die."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import jobs_work
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.jobs.outcome import Failure
from interp.jobs.pool import Pool


@pytest.fixture(params=["loky", "dask"])
def pool(request: pytest.FixtureRequest) -> Pool:
    if request.param == "loky":
        return Pool(n_jobs=2)
    return Pool(dask_address=request.getfixturevalue("cluster"))


def run(pool: Pool, work: Any, n: int, *more: Any) -> dict[int, Any]:
    found = list(pool.run(work, [(number, *more) for number in range(n)]))
    assert len(found) == n, "a piece was answered twice or not at all"
    return dict(found)


@given(st.integers(0, 20), st.integers(0, 30), st.integers(0, 30))
def test_an_error_costs_its_own_piece_alone(n: int, bad: int, worse: int):
    found = run(Pool(), jobs_work.square_but, n, bad, worse)
    for number, result in found.items():
        if number == bad:
            assert result == Failure(f"{number} is bad")
        elif number == worse:
            assert result.reason == f"RuntimeError: {number} is worse"
            assert "square_but" in result.traceback
        else:
            assert result == number**2


def test_processes_find_what_one_finds(pool: Pool):
    one, several = (run(p, jobs_work.square_but, 12, 3, 7) for p in (Pool(), pool))
    assert {number: getattr(r, "reason", r) for number, r in one.items()} == {
        number: getattr(r, "reason", r) for number, r in several.items()
    }


def test_a_process_that_dies_once_costs_nothing(pool: Pool, tmp_path: Path):
    mark = tmp_path / "mark"
    found = run(pool, jobs_work.square_and_die_once, 12, 5, mark)
    assert mark.exists(), "no process was killed"
    assert found == {number: number**2 for number in range(12)}


def test_what_always_kills_its_process_fails_alone(pool: Pool):
    found = run(pool, jobs_work.square_or_die, 9, 4)
    assert isinstance(found.pop(4), Failure)
    assert found == {number: number**2 for number in range(9) if number != 4}


def test_files_reach_the_workers_of_a_cluster(cluster: str, tmp_path: Path):
    (tmp_path / "a").write_text("content")
    pool = Pool(dask_address=cluster)
    found = dict(pool.run(jobs_work.read_shipped, [("x",), ("y",)], {"x": tmp_path / "a"}))
    assert found == {0: "content", 1: None}
    assert jobs_work.read_shipped("x") is None


def test_a_cluster_that_is_lost_is_said_to_be():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster:
        pool = Pool(dask_address=cluster.scheduler_address)
        results = pool.run(jobs_work.square_or_die, [(number, -1) for number in range(100)])
        number, square = next(results)  # whichever of two threads was first
        assert square == number**2
        cluster.close()
        with pytest.raises(OSError, match="cluster was lost"):
            list(results)


def test_no_processes_are_no_pool():
    with pytest.raises(ValueError, match="n_jobs must be at least 1"):
        Pool(n_jobs=0)


PARENT = """
import sys
from pathlib import Path
import jobs_work
from interp.jobs.pool import Pool
work = [(number, Path(sys.argv[1])) for number in range(2)]
list(Pool(n_jobs=2).run(jobs_work.note_and_sleep, work))
"""


def is_running(process: int) -> bool:
    with suppress(FileNotFoundError):
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return state[0] not in "ZX"
    return False


def test_workers_end_within_two_seconds_of_the_one_that_started_them(tmp_path: Path):
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {here!r})\n{PARENT}"]
    with subprocess.Popen([*command, str(tmp_path)]) as parent:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        parent.kill()
    workers = [int(file.name) for file in tmp_path.iterdir()]
    assert len(workers) == 2
    deadline = time.monotonic() + 2
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))
