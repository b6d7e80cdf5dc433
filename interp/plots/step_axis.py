"""Axes of step counts: linear, or logarithmic with a place for 0 steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from interp.plots.style import MUTED
from interp.results.result import MatchResult


@dataclass(frozen=True)
class StepAxis:
    """Where step counts lie on an axis.

    On the logarithmic one 0 steps lie as far below 1 as 2 steps lie above it, as on the grid that
    steps were matched on.
    """

    is_log: bool
    largest: float

    @classmethod
    def of(cls, result: MatchResult, name: str) -> StepAxis:
        """The axis that suits the grid of a reference."""
        scores = result.reference(name)
        return cls(scores.attrs["spacing"] == "log", float(scores.step.values[-1]))

    def place(self, steps: np.ndarray) -> np.ndarray:
        """Coordinates of step counts."""
        return np.log2(np.maximum(steps, 0.5)) if self.is_log else steps

    def properties(self, title: str) -> dict[str, Any]:
        """Properties of a plotly axis, ticks labelled with step counts."""
        if not self.is_log:
            return {"title": {"text": f"{title} (iterations)"}}
        last = int(np.log2(max(self.largest, 1)))
        exponents = range(0, last + 1, 3)
        return {
            "title": {"text": f"{title} (log scale)"},
            "tickvals": [-1, *exponents],
            "ticktext": ["0", *(f"{2**exponent:,}" for exponent in exponents)],
            "minor": {"tickvals": list(range(last + 1)), "ticks": "outside", "tickcolor": MUTED},
        }
