"""The error for leaking answers; apart from the check, which needs TransformerLens."""

from __future__ import annotations


class WiringError(ValueError):
    """A model sees its own answers, or is read where they are; the message says what to pass."""
