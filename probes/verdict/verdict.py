"""The answer to which references the evidence retains, and all that it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from probes.verdict.criteria import DEFAULT_CRITERIA, Criteria
from probes.verdict.evidence import Evidence, MeasureFinding, Reason
from probes.verdict.lack_of_fit import LackOfFit
from probes.verdict.non_iterative import NonIterativeFit
from probes.verdict.pairwise_test import PairwiseTest

Kind = Literal["retained", "nearest", "undecided", "none"]
Answer = str
"""Key of a family, "none" or "undecided"."""


@dataclass(frozen=True)
class Verdict:
    """Which algorithm, how fast, how sure, and by what evidence; keys and numbers only."""

    retained: tuple[str, ...]
    """Families that are retained; none means "none", several mean "undecided"."""
    steps_per_layer: float | None
    """Of the first family, if it has steps."""
    interval: tuple[float, float] | None
    findings: tuple[MeasureFinding, ...] = ()
    """By measure, the one whose rate is quoted first."""
    pairwise_tests: tuple[PairwiseTest, ...] = ()
    """Of references that no measure tells apart on all prompts together."""
    non_iterative: tuple[NonIterativeFit, ...] = ()
    """References without steps, such as online gradient descent, the most similar first."""
    lack_of_fit: LackOfFit | None = None
    """What the layers say beyond the family retained first."""
    readout: Literal["matched", "raw"] = "matched"
    """Whether iterates got read-outs of their own for the similarity of errors."""
    criteria: Criteria = DEFAULT_CRITERIA

    @property
    def answer(self) -> Answer:
        """The one family that is retained, "none" or "undecided"."""
        if not self.retained:
            return "none"
        return self.retained[0] if len(self.retained) == 1 else "undecided"

    @property
    def kind(self) -> Kind:
        """Whether one family is retained or the nearest only, several are retained, or none."""
        if len(self.retained) != 1:
            return "undecided" if self.retained else "none"
        return "nearest" if self.is_nearest_only else "retained"

    @property
    def is_nearest_only(self) -> bool:
        """Whether what is retained is the nearest reference, but does not describe the layers."""
        return self.has_large_misfit or self.grows_otherwise

    @property
    def has_large_misfit(self) -> bool:
        """Whether the layers say more than the family retained first does, beyond noise."""
        fit = self.lack_of_fit
        return fit is not None and fit.systematic.low > self.criteria.largest_misfit

    @property
    def grows_otherwise(self) -> bool:
        """Whether the steps of the family retained first do not grow linearly with depth."""
        return self.quoted is not None and self.quoted[1].law != "linear"

    @property
    def is_contradictory(self) -> bool:
        """Whether no family is retained by all measures that retain any."""
        heard = [finding.retained for finding in self.findings if finding.retained]
        return bool(heard) and not set(heard[0]).intersection(*heard[1:])

    @property
    def quoted(self) -> tuple[MeasureFinding, Evidence] | None:
        """Where `steps_per_layer` comes from; None if nothing with steps is retained.

        Variants of an algorithm count steps of different size, so the family's namesake, which
        publications mean, is preferred over a variant that fits a little better, by the first
        measure that retains it. Where none does, the best variant by the first measure.
        """
        if not self.retained:
            return None
        family = self.retained[0]
        heard = [finding for finding in self.findings if family in finding.retained]
        items = [(finding, finding.representative(family)) for finding in heard]
        first = items[0] if items else None
        return next((pair for pair in items if pair[1].name == family), first)

    @property
    def rejected(self) -> tuple[tuple[MeasureFinding, Evidence], ...]:
        """One member of each rejected family, by the first measure that retains none of it."""
        families = dict.fromkeys(
            item.family for finding in self.findings for item in finding.evidence
        )
        return tuple(
            next(
                (finding, finding.best(family))
                for finding in self.findings
                if finding.evidence and family not in finding.retained
            )
            for family in families
            if family not in self.retained
        )

    @property
    def closest(self) -> tuple[MeasureFinding, Evidence] | None:
        """The reference with the highest similarity at a constant rate, retained or not."""
        every = [(finding, item) for finding in self.findings for item in finding.evidence]
        return max(every, key=lambda pair: pair[1].constant_rate.value, default=None)

    def __str__(self) -> str:
        """One line of keys and numbers; sentences are made by `interp.report.verdict_text`."""
        nearest = "nearest: " if self.is_nearest_only else ""
        among = f" ({', '.join(self.retained)})" if len(self.retained) > 1 else ""
        if self.quoted is None or self.interval is None or self.steps_per_layer is None:
            return f"{nearest}{self.answer}{among}"
        finding, item = self.quoted
        low, high = self.interval
        return (
            f"{nearest}{self.answer}{among}, {item.name}: {self.steps_per_layer:.4g} steps a layer "
            f"({low:.4g} to {high:.4g}), layers {item.first_layer} to {item.last_layer}, "
            f"by {finding.measure}"
        )

    def __repr__(self) -> str:
        """The line of `str`, as notebooks show it; `dataclasses.asdict` has everything."""
        return f"<Verdict: {self}>"


def conclude(
    findings: Sequence[MeasureFinding],
    *,
    readout: Literal["matched", "raw"] = "matched",
    criteria: Criteria = DEFAULT_CRITERIA,
) -> Verdict:
    """Joins the measures: retains what all that retain anything have in common.

    Where they contradict each other, every family that any of them retains is retained, which
    reads "undecided".

    Args:
        findings: What each measure found, the one whose rate is quoted first.
        readout: See `Verdict`.
        criteria: The thresholds by which the findings were made.
    """
    heard = [finding.retained for finding in findings if finding.retained]
    every = dict.fromkeys(family for families in heard for family in families)
    common = tuple(family for family in every if all(family in families for families in heard))
    verdict = Verdict(
        common or tuple(every), None, None, tuple(findings), readout=readout, criteria=criteria
    )
    if verdict.quoted is None:
        return verdict
    rate = verdict.quoted[1].rate
    return replace(verdict, steps_per_layer=rate.value, interval=(rate.low, rate.high))


def with_non_iterative(verdict: Verdict, fits: Sequence[NonIterativeFit]) -> Verdict:
    """Adds references without steps; where some are retained, they alone are.

    Args:
        verdict: From references with steps.
        fits: What `probes.verdict.non_iterative.compare_non_iterative` found.
    """
    verdict = replace(verdict, non_iterative=tuple(fits))
    retained = tuple(dict.fromkeys(item.family for item in fits if item.is_retained))
    if not retained:
        return verdict
    families = {item.family for finding in verdict.findings for item in finding.evidence}
    return replace(
        verdict,
        retained=retained,
        steps_per_layer=None,
        interval=None,
        findings=tuple(
            without(finding, dict.fromkeys(families, Reason.BEHIND_NON_ITERATIVE))
            for finding in verdict.findings
        ),
    )


def without(finding: MeasureFinding, reasons: Mapping[str, Reason]) -> MeasureFinding:
    """Returns the finding with retained members of some families rejected for these reasons."""
    evidence = [
        replace(item, reason=reasons[item.family])
        if item.is_retained and item.family in reasons
        else item
        for item in finding.evidence
    ]
    return replace(finding, evidence=tuple(evidence))
