"""The verdict of a match, shown as a card."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from interp.results.accessors import Extensible
from probes.verdict import Verdict


class MatchVerdict(Verdict, Extensible):
    """A verdict that knows the result it is of, so that it can be put into words.

    `text` is at most five lines: what the layers run, how fast, how well that fits, what was
    rejected, and how often such verdicts are right.
    """

    @classmethod
    def of(cls, verdict: Verdict, result: object) -> MatchVerdict:
        """The same verdict, of a `MatchResult`."""
        own = cls(**{field.name: getattr(verdict, field.name) for field in fields(verdict)})
        object.__setattr__(own, "result", result)
        return own

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Verdict):
            return NotImplemented
        return all(getattr(self, one.name) == getattr(other, one.name) for one in fields(Verdict))

    __hash__ = Verdict.__hash__

    def __repr__(self) -> str:
        return self.text if "result" in vars(self) else super().__repr__()
