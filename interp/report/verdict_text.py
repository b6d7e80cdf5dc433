"""The verdict in words: made here, once, from its keys and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from interp.report.anatomy_text import (
    AnatomyText,
    anatomy_text,
)
from interp.report.error_rate_text import error_rate
from interp.report.error_text import error_text
from interp.report.evidence_text import (
    capital,
    join,
    number,
    rejection_text,
    unit_text,
)
from interp.report.verdict_sentences import (
    details_text,
    fit_text,
    fitted_text,
    nearness_text,
    pace_text,
    rate_text,
)
from interp.results.result import MatchResult
from interp.results.selection import steps_of
from probes.references import family_phrase, legend_of
from probes.verdict import Verdict


@dataclass(frozen=True)
class VerdictText:
    """A verdict's sentences."""

    headline: str
    """What the layers run."""
    pace: str
    """How fast, at which layers and by which measure; for "none", what came closest."""
    fit: str
    """How well that describes the layers; empty where there is nothing to describe."""
    anatomy: AnatomyText | None
    """What the layers are made of, where that was measured."""
    error: str
    """The model's own error beside those of least squares and of predicting 0."""
    details: str
    """The law of growth and what other measures find."""
    rejected: tuple[tuple[str, str], ...]
    """Families and why they were rejected; none where several are retained."""
    error_rate: str
    """How often such verdicts are right where the truth is known."""
    rate: str | None
    """Steps a layer …"""
    rate_of: str
    """… and of what."""
    interval: str | None
    is_open: bool
    """Whether it names no single reference with a rate."""

    @property
    def lines(self) -> tuple[str, ...]:
        """At most five lines: what, how fast, how well it fits, what was rejected, how sure."""
        rejected = "; ".join(f"{name} ({reason})" for name, reason in self.rejected)
        lines = (
            f"{self.headline}.",
            " ".join(filter(None, (self.pace, self.anatomy and self.anatomy.pace))),
            " ".join(filter(None, (self.fit, self.anatomy and self.anatomy.kind, self.error))),
            f"Rejected: {rejected}." if rejected else "",
            self.error_rate,
        )
        return tuple(line for line in lines if line)

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """What stands below the headline in a report."""
        found = self.anatomy or AnatomyText("", "", "")
        fit = " ".join(filter(None, (self.fit, found.kind, found.filter)))
        return tuple(text for text in (self.pace, self.details, found.pace, fit) if text)


def verdict_text(result: MatchResult) -> VerdictText:
    """Puts the verdict of a result into words."""
    verdict, provenance = result.verdict, result.provenance
    shares = result.view("anatomy").to_dataset() if "anatomy" in result.views else None
    names = [family_phrase(family) for family in verdict.retained]
    if verdict.answer == "none":
        headline = "None of the references describes the layers"
    elif verdict.answer == "undecided":
        headline = f"Undecided between {join(names, 'and')}"
    elif verdict.is_nearest_only:
        headline = f"The layers come nearest to {names[0]}, {nearness_text(verdict, shares)}"
    else:
        headline = f"The layers follow {names[0]}"
    rate = verdict.steps_per_layer
    rejected = verdict.rejected if len(names) < 2 else ()
    return VerdictText(
        headline=headline,
        pace=pace_text(verdict, at_least=is_at_least(result)) + fitted_text(result),
        fit=fit_text(verdict, is_taken_apart=shares is not None),
        anatomy=None if shares is None else anatomy_text(shares),
        error=error_text(result) or "",
        details=details_text(verdict),
        rejected=tuple(
            (capital(family_phrase(item.family)), rejection_text(verdict, finding, item))
            for finding, item in rejected
        ),
        error_rate=error_rate(verdict, provenance.get("readout", "matched"), provenance["prompts"]),
        rate=None if rate is None else rate_text(rate, at_least=is_at_least(result)),
        rate_of=rate_of(verdict),
        interval=" to ".join(map(number, verdict.interval)) if verdict.interval else None,
        is_open=rate is None or len(names) != 1,
    )


def short_answer(verdict: Verdict) -> str:
    """The verdict in a few words, for a cell of a table."""
    names = [family_phrase(family) for family in verdict.retained]
    if not names:
        return "none"
    if len(names) > 1:
        return f"undecided: {' or '.join(names)}"
    return f"nearest: {names[0]}" if verdict.is_nearest_only else names[0]


def rate_of(verdict: Verdict) -> str:
    """What the quoted steps a layer are steps of, in a few words; "" where none are quoted.

    For example "of GD, eta = 0.0233, eta × steps = 0.0983 a layer"; "if Newton" where undecided.
    """
    if verdict.quoted is None:
        return ""
    item = verdict.quoted[1]
    name = f"{'if' if len(verdict.retained) > 1 else 'of'} {legend_of(item.name)}"
    return ", ".join(filter(None, (name, unit_text(item))))


def is_at_least(result: MatchResult) -> bool:
    """Whether the quoted rate ends at the last step that was compared, and so is a lower bound."""
    if result.verdict.quoted is None:
        return False
    finding, item = result.verdict.quoted
    found = steps_of(result.reference(item.name).isel(site=0), finding.measure.value)
    return bool(found.is_last[found.layers == item.last_layer].any())


def summary(result: MatchResult) -> dict[str, Any]:
    """The content of `summary.json`: the numbers of a result, and its verdict in words."""
    text = verdict_text(result)
    plain, verdict = result.numbers(), result.verdict
    scale = dict(verdict.quoted[1].scale) if verdict.quoted else {}
    if "eta" in scale and verdict.steps_per_layer is not None:
        scale["eta_times_steps_per_layer"] = scale["eta"] * verdict.steps_per_layer
    words = {"text": "\n\n".join(text.lines[:-1]), "error_rate": text.error_rate}
    layers = result.layers
    errors: dict[str, float | None] = {
        "model": float(layers.model_error.mean()),
        "zero": float(layers.zero_error.mean()),
    }
    if "ols" in result.references:
        errors["least_squares"] = float(result.reference("ols").error.isel(step=-1).mean())
    errors = {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in errors.items()
    }
    answer = {
        **plain["verdict"],
        **words,
        "scale": scale,
        "fitted": result.provenance.get("fitted", {}),
    }
    return {**plain, "errors": errors, "verdict": answer}


def text(result: MatchResult) -> str:
    """The verdict in at most five lines."""
    return "\n".join(verdict_text(result).lines)
