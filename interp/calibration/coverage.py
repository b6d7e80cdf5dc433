"""Do intervals of the steps per layer cover what a hundred times the prompts say?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp.calibration.cell import Cell
from interp.calibration.large_sample import LargeSample
from interp.calibration.outcome import Outcome


@dataclass(frozen=True)
class Coverage:
    """Intervals of one condition, against what a large sample of the same model gives."""

    condition: Cell
    large_sample_prompts: int
    large_sample_rate: float
    """Over the layers of each interval, on average."""
    n: int
    """Runs with the right answer, which have an interval, …"""
    covered: int
    """… those of them whose interval holds the large sample's rate over the same layers, …"""
    planted_covered: int
    """… and those whose interval holds the number that was planted."""


def coverage(outcomes: Sequence[Outcome], samples: Sequence[LargeSample]) -> tuple[Coverage, ...]:
    """Counts covering intervals of the models that large samples were taken of.

    Without noise every sample gives the planted rate, so there is nothing to cover or to miss.
    """
    rows = []
    for sample in samples:
        members = [
            outcome
            for outcome in outcomes
            if outcome.cell.condition == sample.cell and outcome.grade == "right"
        ]
        pairs = [(outcome, _truth(outcome, sample)) for outcome in members]
        known = [(outcome, truth) for outcome, truth in pairs if truth is not None]
        if not known:
            continue
        planted = float(sample.cell.iterations_per_layer)
        rows.append(
            Coverage(
                condition=sample.cell,
                large_sample_prompts=sample.n_prompts,
                large_sample_rate=sum(truth for _, truth in known) / len(known),
                n=len(known),
                covered=sum(_covers(outcome, truth) for outcome, truth in known),
                planted_covered=sum(_covers(outcome, planted) for outcome, _ in known),
            )
        )
    return tuple(rows)


def _truth(outcome: Outcome, sample: LargeSample) -> float | None:
    """The large sample's rate by the measure and over the layers that the verdict quoted."""
    for reading in outcome.readings:
        if reading.rate == outcome.rate:
            return sample.rate(reading.measure, reading.first_layer, reading.last_layer)
    return None


def _covers(outcome: Outcome, rate: float) -> bool:
    assert outcome.low is not None
    assert outcome.high is not None
    return outcome.low <= rate <= outcome.high
