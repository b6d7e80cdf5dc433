"""One piece of work, done in whichever process it is: its result, or why there is none."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from interp.errors import EXPECTED_ERRORS, describe_error
from interp.jobs.failure import Failure


def report(index: int, work: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """Does one piece of work, in whichever process; an exception becomes a `Failure`."""
    try:
        return index, work(*arguments)
    except EXPECTED_ERRORS as error:
        return index, Failure(describe_error(error))
    except Exception as error:
        return index, Failure(
            f"{type(error).__name__}: {describe_error(error)}", traceback.format_exc()
        )
