"""The verdict in words: made here, once, from its keys and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interp.calibration.quoting import quoted_error_rate
from interp.plots.style import reference_label
from interp.results.result import MatchResult
from probes.references import family_phrase
from probes.verdict import Evidence, LackOfFit, Measure, MeasureFinding, Reason, Verdict

MEASURES = {
    Measure.PREDICTION: "R² of the iterate's prediction",
    Measure.WEIGHTS: "R² of the iterate's weight vector w_k",
    Measure.FILTERED_QUERY: "R² of the filtered query φ_k(S) x",
}


@dataclass(frozen=True)
class VerdictText:
    """A verdict's sentences."""

    headline: str
    """What the layers run."""
    pace: str
    """How fast, at which layers and by which measure; for "none", what came closest."""
    fit: str
    """How well that describes the layers; empty where there is nothing to describe."""
    details: str
    """The law of growth and what other measures find."""
    rejected: tuple[tuple[str, str], ...]
    """Families and why they were rejected; none where several are retained."""
    error_rate: str
    """How often such verdicts are right where the truth is known."""
    rate: str | None
    """Steps a layer …"""
    rate_of: str | None
    """… of this family, where several are retained."""
    interval: str | None
    is_open: bool
    """Whether it names no single reference with a rate."""

    @property
    def lines(self) -> tuple[str, ...]:
        """At most five lines: what, how fast, how well it fits, what was rejected, how sure."""
        rejected = "; ".join(f"{name} ({reason})" for name, reason in self.rejected)
        lines = (
            f"{self.headline}.",
            self.pace,
            self.fit,
            f"Rejected: {rejected}." if rejected else "",
            self.error_rate,
        )
        return tuple(line for line in lines if line)

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """What stands below the headline in a report."""
        return tuple(text for text in (self.pace, self.details, self.fit) if text)


def verdict_text(result: MatchResult) -> VerdictText:
    """Puts the verdict of a result into words."""
    verdict, provenance = result.verdict, result.provenance
    names = [family_phrase(family) for family in verdict.retained]
    if verdict.answer == "none":
        headline = "None of the references describes the layers"
    elif verdict.answer == "undecided":
        headline = f"Undecided between {join(names, 'and')}"
    elif verdict.is_nearest_only:
        headline = f"The layers come nearest to {names[0]}, which does not describe them"
    else:
        headline = f"The layers follow {names[0]}"
    rate = verdict.steps_per_layer
    rejected = verdict.rejected if len(names) < 2 else ()
    return VerdictText(
        headline=headline,
        pace=_pace(verdict),
        fit=_fit(verdict),
        details=_details(verdict),
        rejected=tuple(
            (_capital(family_phrase(item.family)), _rejection(verdict, finding, item))
            for finding, item in rejected
        ),
        error_rate=error_rate(provenance.get("readout", "matched"), provenance["prompts"]),
        rate=None if rate is None else number(rate),
        rate_of=names[0] if len(names) > 1 else None,
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


def summary(result: MatchResult) -> dict[str, Any]:
    """The content of `summary.json`: the numbers of a result, and its verdict in words."""
    text = verdict_text(result)
    plain = result.numbers()
    words = {"text": "\n\n".join(text.lines[:-1]), "error_rate": text.error_rate}
    return {**plain, "verdict": {**plain["verdict"], **words}}


def text(result: MatchResult) -> str:
    """The verdict in at most five lines."""
    return "\n".join(verdict_text(result).lines)


def error_rate(readout: str, n_prompts: int) -> str:
    """How often such verdicts are right, in a sentence."""
    if readout != "matched":
        return "How often verdicts from raw read-outs are right is not known."
    return quoted_error_rate(n_prompts)


def measure_text(verdict: Verdict, finding: MeasureFinding) -> str:
    """What a measure is called."""
    if finding.measure == Measure.SIMILARITY:
        return f"similarity of errors ({verdict.readout} read-outs)"
    return MEASURES[finding.measure]


def reason_text(verdict: Verdict, finding: MeasureFinding, item: Evidence) -> str:
    """Why a reference is retained or rejected."""
    score = f"similarity {item.constant_rate.value:.3f}"
    match item.reason:
        case Reason.RETAINED:
            return f"a constant rate reaches {score}"
        case Reason.UNLIKE:
            return f"{score} is below {verdict.criteria.min_similarity}"
        case Reason.LIKE_CONTROL:
            return f"{score} is no better than the control's {finding.control:.3f}"
        case Reason.NO_GROWTH:
            return f"its steps need not grow with depth (gain {item.growth_gain.value:.4f})"
        case Reason.COSTLY_RATE:
            return (
                f"a constant rate costs it {item.extra_loss.value:.4f} more similarity than it "
                "costs the best"
            )
        case Reason.BEHIND:
            return f"{item.behind.value:.4f} behind the best at a constant rate"
        case Reason.LESS_LIKELY:
            return _less_likely(verdict, item.family)
        case Reason.BEHIND_NON_ITERATIVE:
            best = next((fit for fit in verdict.non_iterative if fit.is_retained), None)
            if best is None:
                return "behind a reference without steps"
            return (
                f"{best.ahead.value:.4f} behind {family_phrase(best.family)}, whatever the step of "
                "each layer"
            )


def number(value: float) -> str:
    """A rate or step count with as many digits as it deserves."""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def join(words: Sequence[str], last: str) -> str:
    """A list in a sentence."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _rejection(verdict: Verdict, finding: MeasureFinding, item: Evidence) -> str:
    reason = reason_text(verdict, finding, item)
    if item.law == "log-linear" and item.evidence_ratio < 1 / verdict.criteria.clear_ratio:
        reason += ", and its steps would have to grow exponentially"
    return reason


def _pace(verdict: Verdict) -> str:
    if verdict.quoted is None:
        return _pace_without_steps(verdict)
    finding, item = verdict.quoted
    name = _capital(family_phrase(item.family))
    variant = "" if item.name == item.family else f" ({reference_label(item.name)})"
    verb = "takes" if len(verdict.retained) == 1 else "would take"
    low, high = number(item.rate.low), number(item.rate.high)
    why = ""
    if len(verdict.retained) > 1:
        why = (
            " Each is favoured by one measure."
            if verdict.is_contradictory
            else " They explain the layers equally well."
        )
    return (
        f"{name}{variant} {verb} {number(item.rate.value)} steps a layer (95 % interval {low} to "
        f"{high}), from layer {item.first_layer} to layer {item.last_layer}, by "
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
            f"ahead of {reference_label(best.rival)}, the nearest of the references with steps, at "
            "its best step for every layer."
        )
    if verdict.closest is None:
        return (
            "Fewer than three layers predict the targets better than the first, too few to tell an "
            "algorithm by."
        )
    finding, item = verdict.closest
    return (
        f"{_capital(reference_label(item.name))} comes closest, but "
        f"{reason_text(verdict, finding, item)}."
    )


def _fit(verdict: Verdict) -> str:
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
    return f"Not a description of the layers: {'; '.join(reasons)}."


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
            variant = "" if best.name == item.name else f" as {reference_label(best.name)}"
            text += (
                f" {_capital(measure_text(verdict, finding))} finds the same algorithm, at "
                f"{number(best.rate.value)} steps a layer{variant}."
            )
    return text


def growth_text(verdict: Verdict, item: Evidence) -> str:
    """How the steps of a reference grow with depth."""
    is_linear = item.evidence_ratio >= 1
    ratio = item.evidence_ratio if is_linear else 1 / max(item.evidence_ratio, 1e-300)
    if ratio < verdict.criteria.clear_ratio:
        return "grows with depth, linearly or exponentially about equally well"
    amount = f"{ratio:.2g}" if ratio < 100 else "above 100"
    nearer, other = ("linear", "exponential") if is_linear else ("exponential", "linear")
    evidence = f"evidence ratio {amount} over {other} growth"
    if item.law == "neither":
        return f"grows unevenly with depth, nearer to {nearer} growth ({evidence})"
    return f"grows {'linearly' if is_linear else 'exponentially'} with depth ({evidence})"


def _less_likely(verdict: Verdict, family: str) -> str:
    every = [item for finding in verdict.findings for item in finding.evidence]
    members = {item.name for item in every if item.family == family}
    for test in verdict.pairwise_tests:
        if test.loser in members and test.winner is not None:
            return (
                f"the layers are less likely under it than under {reference_label(test.winner)} "
                f"({test.bits:.2g} bits a prompt)"
            )
    return "the layers are less likely under it"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
