"""Which exceptions are bad input rather than a defect, and what they say in one line."""

from __future__ import annotations

import os

EXPECTED_ERRORS = (ValueError, OSError, FloatingPointError)
"""What bad input, files and numbers raise; anything else is a defect and keeps its traceback."""


def describe_error(error: Exception) -> str:
    """One line that says what went wrong, with the file where there is one.

    Lines of code that a message offers after an empty line are kept as they are.
    """
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[0].lower() + error.strerror[1:]
        return f"{os.fsdecode(error.filename)}: {reason}" if error.filename else reason
    sentence, gap, code = str(error).partition("\n\n")
    return (" ".join(sentence.split()) or type(error).__name__) + gap + code
