"""The answer to which references the evidence leaves standing, and all that it rests on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from textwrap import fill

from probes.duel import Duel
from probes.estimate import Estimate
from probes.growth_law import CurveLaw
from probes.misfit import Misfit
from probes.stepless import Stepless

PARAGRAPH_BREAK = "\n\n"


@dataclass(frozen=True)
class Evidence:
    """What one jury finds about one reference."""

    name: str
    family: str
    constant_rate: Estimate
    """Mean similarity over layers along the best ramp."""
    behind: Estimate
    """Highest constant-rate similarity of any reference minus this one's."""
    constraint_loss: Estimate
    """What a constant rate costs against the best step of every layer."""
    growth_gain: Estimate
    """What growth gains over the best single step for all layers."""
    rate: Estimate
    """Steps a layer: slope of the match curve from `first_layer` to `last_layer`."""
    first_layer: int
    last_layer: int
    law: CurveLaw
    """Which law the match curve follows over the layers where the best reference grows."""
    evidence_ratio: float
    """Likelihood that its steps grow linearly with depth over that their logarithms do."""
    stands: bool
    reason: str
    """In words, why it stands or falls."""
    layers: tuple[int, ...] = ()
    """The layers looked at, …"""
    steps: tuple[float, ...] = ()
    """… and the steps of each along the best ramp."""


@dataclass(frozen=True)
class Finding:
    """What one jury finds."""

    measure: str
    """What was compared, in words."""
    evidence: tuple[Evidence, ...]

    @property
    def standing(self) -> tuple[str, ...]:
        """Families with a reference that stands, best first."""
        ranked = sorted(
            (item for item in self.evidence if item.stands), key=lambda item: item.behind.value
        )
        return tuple(dict.fromkeys(item.family for item in ranked))

    def best(self, family: str) -> Evidence:
        """The family's member that stays least behind."""
        members = [item for item in self.evidence if item.family == family]
        return min(members, key=lambda item: item.behind.value)

    def representative(self, family: str) -> Evidence:
        """The family's namesake if it stands, else its best member."""
        for item in self.evidence:
            if item.name == family and item.stands:
                return item
        return self.best(family)


@dataclass(frozen=True)
class Verdict:
    """The answer: which algorithm, how fast, how sure, and why."""

    standing: tuple[str, ...]
    """References left standing; none means "none", several mean "undecided"."""
    steps_per_layer: float | None
    interval: tuple[float, float] | None
    text: str
    """In words: paragraphs with a blank line between them."""
    findings: tuple[Finding, ...] = ()
    duels: tuple[Duel, ...] = ()
    """Comparisons of references that no jury could tell apart on all prompts together."""
    error_rate: str = ""
    """How often such verdicts were right where the truth is known, in a sentence."""
    stepless: tuple[Stepless, ...] = ()
    """References without steps, such as online gradient descent, the most similar first."""
    misfit: Misfit | None = None
    """What the layers say beyond the reference that stands first, if one stands."""

    @property
    def answer(self) -> str:
        """The one reference left standing, "none" or "undecided"."""
        if not self.standing:
            return "none"
        return self.standing[0] if len(self.standing) == 1 else "undecided"

    @property
    def is_nearest_only(self) -> bool:
        """Whether what stands is the nearest reference, but does not describe the layers."""
        return self.has_large_misfit or self.grows_otherwise

    @property
    def has_large_misfit(self) -> bool:
        """Whether the layers say more than what stands first does, beyond noise."""
        return self.misfit is not None and self.misfit.is_large

    @property
    def grows_otherwise(self) -> bool:
        """Whether the steps of what stands first do not grow linearly with depth."""
        return self.quoted is not None and self.quoted[1].law != "linear"

    def quoting(self, error_rate: str) -> Verdict:
        """With a sentence on how often such verdicts are right, as field and at the text's end."""
        return replace(self, error_rate=error_rate, text=paragraphs(self.text, error_rate))

    def __str__(self) -> str:
        """The text in lines of up to 100 characters, for `print`."""
        text = self.text.replace(" %", "\N{NO-BREAK SPACE}%")
        lines = (fill(part, 100, break_on_hyphens=False) for part in text.split(PARAGRAPH_BREAK))
        return paragraphs(*lines).replace("\N{NO-BREAK SPACE}", " ")

    @property
    def quoted(self) -> tuple[Finding, Evidence] | None:
        """Where `steps_per_layer` comes from; None if nothing stands, or nothing that has steps.

        Variants of an algorithm count steps of different size, so the family's namesake, which
        publications mean, is preferred over a variant that fits a little better, before the first
        jury that lets it stand. Where it stands nowhere, the best variant before the first jury.
        """
        if not self.standing:
            return None
        family = self.standing[0]
        heard = [finding for finding in self.findings if family in finding.standing]
        items = [(finding, finding.representative(family)) for finding in heard]
        first = items[0] if items else None
        return next((pair for pair in items if pair[1].name == family), first)

    @property
    def ruled_out(self) -> tuple[Evidence, ...]:
        """One member of each family that fell, before the first jury that lets none stand."""
        families = dict.fromkeys(
            item.family for finding in self.findings for item in finding.evidence
        )
        return tuple(
            next(
                finding.best(family)
                for finding in self.findings
                if finding.evidence and family not in finding.standing
            )
            for family in families
            if family not in self.standing
        )


def paragraphs(*texts: str) -> str:
    """Texts below each other, a blank line between them; empty ones leave none."""
    return PARAGRAPH_BREAK.join(filter(None, texts))
