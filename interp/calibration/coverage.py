"""Do intervals of the steps per layer cover what a much larger sample says?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from interp.calibration.cell import Cell
from interp.calibration.outcome import Outcome

LARGE = 8
"""A sample is large for those with at most this fraction of its prompts (1 / 8)."""


@dataclass(frozen=True)
class Coverage:
    """Intervals of one condition, against the rate that a large sample of the same model gives."""

    condition: Cell
    large_sample_prompts: int
    large_sample_rate: float
    n: int
    """Runs with the right answer, which have an interval."""
    covered: int
    """Of them, those whose interval holds the large sample's rate …"""
    planted_covered: int
    """… and those whose interval holds the number that was planted."""


def coverage(outcomes: Sequence[Outcome]) -> tuple[Coverage, ...]:
    """Counts covering intervals of noisy planted models that a large sample was taken of too.

    Without noise every sample gives the planted rate to within what interpolation between grid
    steps costs, so there is nothing that an interval could cover or miss.
    """
    groups: dict[Cell, list[Outcome]] = {}
    for outcome in outcomes:
        cell = outcome.cell
        if cell.control == "planted" and cell.noise and outcome.grade == "right":
            groups.setdefault(cell.condition, []).append(outcome)
    rows = []
    for condition, members in groups.items():
        samples = [
            other for other in groups if replace(other, n_prompts=condition.n_prompts) == condition
        ]
        large = max(samples, key=lambda other: other.n_prompts)
        if large.n_prompts < LARGE * condition.n_prompts:
            continue
        rates = [outcome.rate for outcome in groups[large] if outcome.rate is not None]
        truth = sum(rates) / len(rates)
        planted = float(condition.iterations_per_layer)
        rows.append(
            Coverage(
                condition=condition,
                large_sample_prompts=large.n_prompts,
                large_sample_rate=truth,
                n=len(members),
                covered=sum(_covers(outcome, truth) for outcome in members),
                planted_covered=sum(_covers(outcome, planted) for outcome in members),
            )
        )
    return tuple(rows)


def _covers(outcome: Outcome, rate: float) -> bool:
    assert outcome.low is not None
    assert outcome.high is not None
    return outcome.low <= rate <= outcome.high
