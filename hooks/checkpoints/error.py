"""The error that every checkpoint format raises."""

from __future__ import annotations

from collections.abc import Sequence

N_LISTED = 4


class CheckpointError(ValueError):
    """A checkpoint cannot be read as what it claims to be; the message names the file."""


def listed(names: Sequence[str]) -> str:
    """The first few names, and whether there are more."""
    more = f" and {len(names) - N_LISTED} more" if len(names) > N_LISTED else ""
    return ", ".join(map(str, names[:N_LISTED])) + more
