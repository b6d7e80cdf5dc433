"""Work that has no result, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hooks.atomic import write_text


@dataclass(frozen=True)
class Failure:
    """Why a piece of work has no result."""

    reason: str
    """One sentence."""
    traceback: str = ""
    """Of a defect; empty where the sentence says it all."""


def keep_tracebacks(file: Path, failures: Sequence[tuple[str, Failure]]) -> None:
    """Writes down where defects happened, under what failed; a file of an earlier run goes."""
    parts = [f"{what}\n{failure.traceback}" for what, failure in failures if failure.traceback]
    if parts:
        write_text(file, "\n".join(parts))
    else:
        file.unlink(missing_ok=True)


def sentences(failures: Sequence[tuple[str, Failure]]) -> tuple[str, ...]:
    """What failed and why, a sentence each."""
    return tuple(f"{what}: {failure.reason}" for what, failure in failures)


def without_result(failures: Sequence[str], remedy: str) -> str:
    """One sentence on what failed, of a sentence for each, with what to do about it."""
    more = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f"without result: {failures[0]}{more}; {remedy}"
