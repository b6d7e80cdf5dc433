"""What the verdict said in one cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from interp.calibration.cell import FAMILIES, Cell
from interp.calibration.tally import Grade


@dataclass(frozen=True)
class Reading:
    """What one protocol says of the reference that is planted."""

    measure: str
    name: str
    stands: bool
    reason: str
    rate: float
    low: float
    high: float
    first_layer: int
    last_layer: int


@dataclass(frozen=True)
class Outcome:
    """A cell and what the verdict said in it."""

    cell: Cell
    answer: str
    """The reference left standing, "none" or "undecided"."""
    standing: tuple[str, ...]
    rate: float | None
    """Steps a layer, if anything is left standing, …"""
    low: float | None
    high: float | None
    """… and its interval."""
    readings: tuple[Reading, ...]
    """Of the planted reference, by protocol; none in controls."""
    text: str
    """The verdict in words."""
    is_nearest_only: bool = False
    """Whether the verdict says that what stands is the nearest reference and no description."""
    misfit: float | None = None
    """Systematic share of the layers' squared errors beyond what stands."""

    @property
    def grade(self) -> Grade:
        """Right, undecided, or wrong: a definite answer that is not the expected one.

        A reference that is said to be the nearest only is no definite answer. It is the right one
        where the reference that the model runs was withheld.
        """
        if self.is_nearest_only:
            return "right" if self.cell.withheld else "undecided"
        if self.answer == self.cell.expected:
            return "right"
        return "undecided" if self.answer == "undecided" else "wrong"

    @property
    def relative_error(self) -> float | None:
        """Steps a layer found over those planted, less 1, where the planted reference is found."""
        if self.rate is None or self.grade != "right" or self.cell.withheld:
            return None
        return self.rate / self.cell.iterations_per_layer - 1

    def describe(self) -> dict[str, Any]:
        """As plain values, the inverse of `from_description`."""
        return asdict(self)

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> Outcome:
        return cls(
            **{
                **values,
                "cell": Cell(**values["cell"]),
                "standing": tuple(values["standing"]),
                "readings": tuple(Reading(**reading) for reading in values["readings"]),
            }
        )


def run_cell(cell: Cell) -> Outcome:
    """Builds the cell's model, runs `match` on it and keeps what decides."""
    import numpy as np
    import torch

    from interp.analyses.examination import verdict_on
    from interp.analyses.match_settings import MatchSettings
    from interp.calibration.models import build

    torch.set_num_threads(1)
    entropy = [cell.seed, int(cell.condition.key[:15], 16)]
    prompt_seed, model_seed = map(int, np.random.SeedSequence(entropy).generate_state(2))
    settings = MatchSettings(("resid_post",), n_prompts=cell.n_prompts, seed=prompt_seed)
    model = build(cell, model_seed)
    model.is_wiring_checked = True  # its prompts are shuffled on purpose in one control
    verdict = verdict_on(model, settings, cell.withheld)
    family = FAMILIES[cell.algorithm]
    readings = []
    for finding in verdict.findings if cell.control == "planted" else ():
        if any(item.family == family for item in finding.evidence):
            item = finding.representative(family)
            readings.append(
                Reading(
                    finding.measure,
                    item.name,
                    item.is_retained,
                    item.reason,
                    item.rate.value,
                    item.rate.low,
                    item.rate.high,
                    item.first_layer,
                    item.last_layer,
                )
            )
    low, high = verdict.interval or (None, None)
    return Outcome(
        cell,
        verdict.answer,
        verdict.retained,
        verdict.steps_per_layer,
        low,
        high,
        tuple(readings),
        str(verdict),
        verdict.is_nearest_only,
        verdict.lack_of_fit.systematic.value if verdict.lack_of_fit else None,
    )
