"""Ctrl-C and SIGTERM, held back until a step of a training is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Yields what says whether SIGINT or SIGTERM came, and raises `KeyboardInterrupt` at the end.

    A second signal interrupts at once. Signals that are ignored stay so, and outside of the main
    thread, where Python takes no handlers, they act as before.
    """
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    held = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    if threading.current_thread() is not threading.main_thread():
        held = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)
        for other in held:
            signal.signal(other, signal.default_int_handler)

    for number in held:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number in held:
            signal.signal(number, before[number])
    if came:
        raise KeyboardInterrupt
