"""Processes that run the command line, forked from a server that has imported torch once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
PRELOAD = ["interp.cli", "interp.training.display", "interp.training.train", "torch._dynamo"]
CONTEXT.set_forkserver_preload(PRELOAD)


@dataclass(frozen=True)
class Ending:
    code: int
    stdout: str
    stderr: str


class Command:
    """`interp ARGUMENTS…` in a process of its own, as a shell would start it."""

    def __init__(
        self,
        *arguments: object,
        folder: Path,
        prepare: Callable[..., None] | None = None,
        prepare_with: tuple[Any, ...] = (),
    ) -> None:
        self.files = (folder / "stdout", folder / "stderr")
        for file in self.files:
            file.unlink(missing_ok=True)
        self.process: BaseProcess = CONTEXT.Process(
            target=_run, args=([str(a) for a in arguments], self.files, prepare, prepare_with)
        )
        self.process.start()

    def end(self, timeout: float = 300) -> Ending:
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            raise TimeoutError(f"still running after {timeout} s")
        code = self.process.exitcode
        assert code is not None
        out, err = (file.read_text() if file.exists() else "" for file in self.files)
        return Ending(code, out, err)


def _run(
    arguments: list[str],
    files: tuple[Path, Path],
    prepare: Callable[..., None] | None,
    prepare_with: tuple[Any, ...],
) -> None:
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if prepare:
        prepare(*prepare_with)
    from interp.cli import main

    main(arguments)


def die_before_write(n: int) -> None:
    """SIGKILLs this process just before its n-th sync or rename."""
    calls = 0

    def mortal(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == n:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **keywords)

        return call

    os.fsync = mortal(os.fsync)
    os.replace = mortal(os.replace)


def limit_file_size(n_bytes: int) -> None:
    """Makes every write past a file's first bytes fail, as on a disk that is full."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


def join_group(rank: int, n_processes: int, port: int) -> None:
    """Sets what `accelerate launch --cpu` sets in each of the processes it starts."""
    os.environ |= {
        "ACCELERATE_USE_CPU": "true",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(n_processes),
        "LOCAL_WORLD_SIZE": str(n_processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
