"""Which exceptions are bad input rather than a defect, and what they say in one line."""

from __future__ import annotations

import os
import unicodedata

EXPECTED_ERRORS = (ValueError, OSError, FloatingPointError)
"""What bad input, files and numbers raise; anything else is a defect and keeps its traceback."""
LONGEST = 300
"""Letters of a sentence; from the middle of a longer one, a part is left out."""
SIGNS = {"Cc", "Cf", "Cs", "Co"}
"""Categories of signs that a terminal would obey, or not show."""


def describe_error(error: Exception) -> str:
    """One line that says what went wrong, with the file where there is one.

    Lines of code that a message offers after an empty line are kept as they are.
    """
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[0].lower() + error.strerror[1:]
        text = f"{os.fsdecode(error.filename)}: {reason}" if error.filename else reason
    else:
        text = str(error)
    sentence, gap, code = text.partition("\n\n")
    sentence = printable(" ".join(sentence.split()) or type(error).__name__)
    if len(sentence) > LONGEST:
        half = LONGEST // 2 - 2
        sentence = f"{sentence[:half]} … {sentence[-half:]}"
    return sentence + gap + "\n".join(map(printable, code.split("\n")))


def printable(text: str) -> str:
    r"""A text with escapes in place of control characters.

    >>> printable("a name" + chr(27))
    'a name\\x1b'
    """
    return "".join(
        sign.encode("unicode_escape").decode() if unicodedata.category(sign) in SIGNS else sign
        for sign in text
    )
