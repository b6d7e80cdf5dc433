"""The command `interp`, and `python -m interp`."""

from __future__ import annotations

import signal
import sys
from types import FrameType

EXIT_INTERRUPTED = 130


def main() -> None:
    """Runs one command and ends the process; Ctrl-C at any instant is one sentence and code 130.

    Libraries that are interrupted while they are imported raise errors of their own in place of
    `KeyboardInterrupt`; once the signal came, these are not shown.
    """
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        from interp.cli import main as run

        run()
    except SystemExit as ending:
        if not came or ending.code == EXIT_INTERRUPTED:
            raise
        _end()
    except BaseException:
        if not came:
            raise
        _end()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt


def _end() -> None:
    print("interp: interrupted", file=sys.stderr)
    sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
