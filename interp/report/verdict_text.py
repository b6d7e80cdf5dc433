"""The verdict in words: made here, once, from its keys and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import xarray

from interp.report.anatomy_text import (
    AnatomyText,
    anatomy_text,
    described_layers,
    layers_phrase,
)
from interp.report.error_rate_text import error_rate
from interp.report.error_text import error_text
from interp.report.evidence_text import (
    growth_text,
    join,
    measure_text,
    number,
    reason_text,
    rejection_text,
    unit_text,
)
from interp.results.result import MatchResult
from interp.results.selection import AT_LEAST, steps_of
from probes.references import family_phrase, legend_of
from probes.verdict import LackOfFit, Verdict


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
        headline = f"The layers come nearest to {names[0]}, {_how_near(verdict, shares)}"
    else:
        headline = f"The layers follow {names[0]}"
    rate = verdict.steps_per_layer
    rejected = verdict.rejected if len(names) < 2 else ()
    return VerdictText(
        headline=headline,
        pace=_pace(verdict, at_least=is_at_least(result)) + _fitted(result),
        fit=_fit(verdict, is_taken_apart=shares is not None),
        anatomy=None if shares is None else anatomy_text(shares),
        error=error_text(result) or "",
        details=_details(verdict),
        rejected=tuple(
            (_capital(family_phrase(item.family)), rejection_text(verdict, finding, item))
            for finding, item in rejected
        ),
        error_rate=error_rate(verdict, provenance.get("readout", "matched"), provenance["prompts"]),
        rate=None if rate is None else _rate(rate, at_least=is_at_least(result)),
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


def _rate(rate: float, *, at_least: bool) -> str:
    return f"{AT_LEAST} {number(rate)}" if at_least else number(rate)


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


def _fitted(result: MatchResult) -> str:
    """Which parameters of the quoted reference were fitted, in a sentence; "" for none."""
    quoted = result.verdict.quoted
    fitted = result.provenance.get("fitted", {}).get(quoted[1].name, {}) if quoted else {}
    return f" Its {join(list(fitted), 'and')} was fitted to the layers." if fitted else ""


def _pace(verdict: Verdict, *, at_least: bool) -> str:
    if verdict.quoted is None:
        return _pace_without_steps(verdict)
    finding, item = verdict.quoted
    name = _capital(family_phrase(item.family))
    variant = "" if item.name == item.family else f" ({legend_of(item.name)})"
    verb = "takes" if len(verdict.retained) == 1 else "would take"
    low, high = number(item.rate.low), number(item.rate.high)
    rate, unit = _rate(item.rate.value, at_least=at_least), unit_text(item)
    why = ""
    if len(verdict.retained) > 1:
        why = (
            " Each is favoured by one measure."
            if verdict.is_contradictory
            else " They explain the layers equally well."
        )
    return (
        f"{name}{variant} {verb} {rate} steps a layer ({f'{unit}; ' if unit else ''}95 % "
        f"interval {low} to {high}), from layer {item.first_layer} to layer {item.last_layer}, by "
        f"{measure_text(verdict, finding)}.{why}"
    )


def _pace_without_steps(verdict: Verdict) -> str:
    if verdict.retained:
        best = next((fit for fit in verdict.non_iterative if fit.is_retained), None)
        if best is None:
            return ""
        return (
            f"{_capital(family_phrase(best.family))} has no steps that could grow from layer to "
            f"layer: similarity of errors {best.similarity.value:.3f}, {best.ahead.value:.3f} "
            f"ahead of {legend_of(best.rival)}, the nearest of the references with steps, at "
            "its best step for every layer."
        )
    if verdict.closest is None:
        return (
            "Fewer than three layers predict the targets better than the first, too few to tell an "
            "algorithm by."
        )
    finding, item = verdict.closest
    return (
        f"{_capital(legend_of(item.name))} comes closest, but "
        f"{reason_text(verdict, finding, item)}."
    )


def _how_near(verdict: Verdict, shares: xarray.Dataset | None) -> str:
    """What a nearest reference is of the layers, once they were taken apart."""
    described, heard = (
        described_layers(shares, verdict.retained[0]) if shares is not None else ([], [])
    )
    if not described:
        return "which does not describe them"
    if described == heard:
        return "which describes them as far as any algorithm of its kind could"
    return f"which describes {layers_phrase(described)} as far as any algorithm of its kind could"


def _fit(verdict: Verdict, *, is_taken_apart: bool) -> str:
    """How well the family retained first describes the layers, or why it does not."""
    if not verdict.retained or verdict.lack_of_fit is None:
        return ""
    if not verdict.is_nearest_only:
        return _small_misfit(verdict.lack_of_fit, verdict.criteria.largest_misfit)
    reasons = []
    if verdict.quoted is not None and verdict.grows_otherwise:
        how = "unevenly" if verdict.quoted[1].law == "neither" else "exponentially"
        reasons.append(f"its steps grow {how} with depth, not by a constant number")
    if verdict.has_large_misfit:
        fit = verdict.lack_of_fit
        reasons.append(
            f"{100 * fit.systematic.value:.1f} % of the layers' squared errors is systematically "
            f"beyond it at any step (a description leaves at most "
            f"{100 * verdict.criteria.largest_misfit:.0f} %)"
        )
    text = f"Not a whole description of the layers: {'; '.join(reasons)}."
    if is_taken_apart:
        return text
    return f"{text} What they do instead is measured by interp.anatomy (--show anatomy)."


def _small_misfit(fit: LackOfFit, largest: float) -> str:
    found = fit.systematic
    share, low, high = (100 * max(0.0, part) for part in (found.value, found.low, found.high))
    return (
        f"It leaves {share:.1f} % of the layers' squared errors systematically unexplained (95 % "
        f"interval {low:.1f} to {high:.1f}; a description leaves at most {100 * largest:.0f} %, "
        "chance aside)."
    )


def _details(verdict: Verdict) -> str:
    if verdict.quoted is None:
        return ""
    leading, item = verdict.quoted
    text = f"The matching step {growth_text(verdict, item)}."
    others = verdict.findings if len(verdict.retained) == 1 else ()
    for finding in others:
        if finding is not leading and item.family in finding.retained:
            best = finding.best(item.family)
            variant = "" if best.name == item.name else f" as {legend_of(best.name)}"
            text += (
                f" {_capital(measure_text(verdict, finding))} finds the same algorithm, at "
                f"{number(best.rate.value)} steps a layer{variant}."
            )
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
