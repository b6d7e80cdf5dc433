"""What becomes of a piece of work: its result, or why there is none."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hooks.atomic import write_text
from interp.errors import EXPECTED_ERRORS, describe_error


@dataclass(frozen=True)
class Failure:
    """Why a piece of work has no result."""

    reason: str
    """One sentence."""
    traceback: str = ""
    """Of a defect; empty where the sentence says it all."""


def outcome_of(index: int, work: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """Index and result of one piece of work; an exception becomes a `Failure`."""
    try:
        return index, work(*arguments)
    except EXPECTED_ERRORS as error:
        return index, Failure(describe_error(error))
    except Exception as error:
        return index, Failure(
            f"{type(error).__name__}: {describe_error(error)}", traceback.format_exc()
        )


def keep_tracebacks(file: Path, failures: Sequence[tuple[str, Failure]]) -> None:
    """Writes where defects happened, under what failed; a file of an earlier run is removed."""
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
