"""Work on a Dask cluster, whose machines need not share a disk with this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.jobs.outcome import Failure, outcome_of

if TYPE_CHECKING:
    from distributed import Client

LARGEST_SHIPPED = 2**29
"""Bytes of a file up to which it is sent to workers; larger ones must be where they see them."""
AT_ONCE = 16
"""Results that are fetched in one message."""
LOST = object()
"""In place of the result of work whose workers died."""


def run_on_dask(
    address: str,
    work: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    files: Mapping[str, Path],
) -> Iterator[tuple[int, Any]]:
    """Yields as `interp.jobs.pool.Pool.run` does.

    joblib's Dask backend waits for ever on what the scheduler has given up, so this speaks to the
    scheduler itself: a piece of work that kills its workers fails, and the others go on.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(
            "running on Dask needs the package distributed: pip install 'icl-interp[dask]'"
        ) from None
    with Client(address, set_as_default=False) as client:
        _ship(client, files)
        suspects = []
        for index, result in _gather(client, work, arguments, range(len(arguments))):
            if result is LOST:
                suspects.append(index)
            else:
                yield index, result
        for suspect in suspects:  # one at a time, so that none falls with its neighbour
            for index, result in _gather(client, work, arguments, [suspect]):
                if result is LOST:
                    result = Failure("its workers died; was there memory enough?")
                yield index, result


def _gather(
    client: Client,
    work: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    indices: Sequence[int],
) -> Iterator[tuple[int, Any]]:
    """Results as they come; `LOST` where the scheduler has given up on the workers' deaths.

    Raises:
        OSError: The scheduler is gone.
    """
    from distributed import as_completed

    calls = [(index, work, *arguments[index]) for index in indices]
    submitted = client.map(_call, calls, pure=False)  # in one message
    futures = dict(zip(submitted, indices, strict=True))
    try:
        for arrived in as_completed(submitted, loop=client.loop).batches():
            for start in range(0, len(arrived), AT_ONCE):
                batch = arrived[start : start + AT_ONCE]
                done = [future for future in batch if future.status == "finished"]
                fetched = _from(client.gather, done)
                answers = {} if fetched is LOST else dict(zip(done, fetched, strict=True))
                for future in batch:
                    answer = answers[future] if future in answers else _from(future.result)
                    yield futures.pop(future), LOST if answer is LOST else answer[1]
                    future.release()
    finally:
        client.cancel(list(futures))


def _call(values: tuple[Any, ...]) -> tuple[int, Any]:
    return outcome_of(*values)


def _from(fetch: Callable[..., Any], *arguments: Any) -> Any:
    """What a cluster answers; `LOST` where the scheduler has given up on the workers' deaths.

    Raises:
        OSError: The scheduler is gone, or cannot read what it was sent.
    """
    from concurrent.futures import CancelledError

    from distributed.scheduler import KilledWorker

    try:
        return fetch(*arguments)
    except KilledWorker:
        return LOST
    except (CancelledError, OSError):
        raise ConnectionError("the Dask cluster was lost; what is done is kept") from None
    except RuntimeError as error:
        if "deserialization of the task graph" not in str(error):
            raise
        raise ConnectionError(
            "the Dask cluster cannot read this work; install the same icl-interp on its scheduler "
            "and workers"
        ) from None


def shipped_file(name: str) -> Path | None:
    """Where a file that `Pool.run` was given lies on this worker; None outside a cluster."""
    try:
        from distributed import get_worker

        from interp.jobs.worker_files import FOLDER

        path = Path(get_worker().local_directory) / FOLDER / name
    except (ImportError, ValueError):  # no worker
        return None
    return path if path.is_file() else None


def _ship(client: Client, files: Mapping[str, Path]) -> None:
    from interp.jobs.worker_files import WorkerFile

    for name, path in files.items():
        if path.stat().st_size <= LARGEST_SHIPPED:
            client.register_plugin(WorkerFile(name, path.read_bytes()))
