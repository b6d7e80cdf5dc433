"""Progress shows where somebody looks: in terminals and notebooks, and there once."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from interp import progress as module
from interp.progress import Progress, prompt_progress, shows_progress, silent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@shows_progress
def analysis(n: int, *, progress: Progress = silent) -> int:
    for done in range(n + 1):
        progress("fitting read-outs", done, n)
    return n


@shows_progress
def outer(*, progress: Progress = silent) -> int:
    progress("outer", 1, 2)
    return analysis(3)


def test_a_bar_with_time_left_shows_in_a_terminal_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert analysis(3) == 3
    shown = sys.stderr.getvalue()
    assert "fitting read-outs" in shown
    assert "left:" in shown
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert outer() == 3
    assert "outer" in sys.stderr.getvalue()
    assert "fitting" not in sys.stderr.getvalue()
    assert not module._shown


@pytest.mark.parametrize("where", ["no terminal", "a worker", "progress is given"])
def test_nothing_shows_elsewhere(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO() if where == "no terminal" else Terminal())
    if where == "a worker":
        worker = SimpleNamespace(name="LokyProcess-1")
        monkeypatch.setattr(module.multiprocessing, "current_process", lambda: worker)
    assert analysis(2, **({"progress": silent} if where == "progress is given" else {})) == 2
    assert not sys.stderr.getvalue()


def test_a_notebook_gets_a_bar_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[str] = []
    handle = SimpleNamespace(update=lambda html: states.append(html.data))
    monkeypatch.setattr("IPython.display.display", lambda html, display_id: handle)
    monkeypatch.setattr(module, "SECONDS_IN_NOTEBOOK", 0)
    with prompt_progress(Console(force_jupyter=True)) as progress:
        for done in range(3):
            progress("a < b", done, 2)
    assert '<progress value="1" max="2"></progress> a &lt; b, 0 s left' in states
    assert states[-1] == ""
