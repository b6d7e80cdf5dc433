"""What tests of the user's side share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import ARGUMENTS, find_chromium
from playwright.sync_api import Browser, sync_playwright
from processes import CONTEXT, PRELOAD


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium, started once."""
    path = find_chromium()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """A Dask cluster of two worker processes that gives up on a task after one death.

    Workers are forked from the server of `processes`, which has imported torch.
    """
    dask = pytest.importorskip("dask")
    from distributed import LocalCluster
    from distributed.utils import get_mp_context

    options = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.worker.multiprocessing-method": "forkserver",
    }
    with dask.config.set(options):
        get_mp_context()  # names what the server is to import, the first time it is called
        CONTEXT.set_forkserver_preload([*PRELOAD, "distributed"])
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as running:
            yield running.scheduler_address
