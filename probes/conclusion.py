"""From what juries find to a verdict, and the verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from probes.misfit import LARGEST_MISFIT, Misfit
from probes.stepless import Stepless
from probes.verdict import PARAGRAPH_BREAK, Evidence, Finding, Verdict, paragraphs

CLEAR_RATIO = 3.0
"""Evidence ratio from which on one law of growth is clearly better than the other."""


def conclude(findings: Sequence[Finding], labels: Mapping[str, str] | None = None) -> Verdict:
    """Joins the juries: what stands before all that found anything.

    Where they contradict each other, every reference that any of them lets stand is left
    standing, which reads "undecided".

    Args:
        findings: The juries' findings, the one whose rate is quoted first.
        labels: Names of families for the text, e.g. {"newton": "Iterative Newton"}.
    """
    labels = labels or {}
    voiced = [finding for finding in findings if finding.standing]
    if not voiced:
        return Verdict((), None, None, _explain_none(findings), tuple(findings))
    common = [
        family
        for family in voiced[0].standing
        if all(family in finding.standing for finding in voiced)
    ]
    every = dict.fromkeys(family for finding in voiced for family in finding.standing)
    standing = tuple(common) if common else tuple(every)
    verdict = Verdict(standing, None, None, "", tuple(findings))
    assert verdict.quoted is not None
    rate = verdict.quoted[1].rate
    verdict = replace(verdict, steps_per_layer=rate.value, interval=(rate.low, rate.high))
    return replace(verdict, text=_explain(verdict, labels, contradicting=not common))


def conclude_stepless(
    verdict: Verdict, stepless: Sequence[Stepless], labels: Mapping[str, str] | None = None
) -> Verdict:
    """Adds what was found about references without steps; where some stand, they alone do.

    Args:
        verdict: From references with steps.
        stepless: What `probes.stepless.weigh_stepless` found.
        labels: As for `conclude`.
    """
    labels = labels or {}
    verdict = replace(verdict, stepless=tuple(stepless))
    standing = tuple(dict.fromkeys(item.family for item in stepless if item.stands))
    if not standing:
        return verdict
    names = " or ".join(labels.get(family, family) for family in standing)
    best = next(item for item in stepless if item.stands)
    reason = f"stays {best.ahead.value:.4f} behind {best.name}, whatever the steps of every layer"
    start = _capitalised(names) if len(standing) == 1 else f"Undecided: {names}"
    text = (
        f"{start}, which has no steps that could grow from layer to layer: similarity of errors "
        f"{best.similarity.value:.3f}, {best.ahead.value:.3f} ahead of {best.rival}, the nearest "
        "of the references with steps, at its best step for every layer."
    )
    return Verdict(
        standing,
        None,
        None,
        text,
        tuple(_without_standing(finding, reason) for finding in verdict.findings),
        verdict.duels,
        stepless=verdict.stepless,
    )


def _without_standing(finding: Finding, reason: str) -> Finding:
    evidence = [
        replace(item, stands=False, reason=reason) if item.stands else item
        for item in finding.evidence
    ]
    return replace(finding, evidence=tuple(evidence))


def conclude_misfit(
    verdict: Verdict, misfit: Misfit, labels: Mapping[str, str] | None = None
) -> Verdict:
    """Adds how much of what the layers say the reference that stands first leaves unexplained.

    Where that is much, or where the steps of that reference do not grow linearly with depth, it is
    the nearest reference and no description, and the text begins with why. Elsewhere the first
    paragraph ends with how little it is, if one reference stands.

    Args:
        verdict: With something left standing.
        misfit: Of the first reference that stands.
        labels: As for `conclude`.
    """
    verdict = replace(verdict, misfit=misfit)
    if verdict.is_nearest_only:
        name = (labels or {}).get(verdict.standing[0], verdict.standing[0])
        return replace(verdict, text=paragraphs(explain_nearest(verdict, name), verdict.text))
    if len(verdict.standing) == 1:
        first, *more = verdict.text.split(PARAGRAPH_BREAK)
        return replace(verdict, text=paragraphs(f"{first} {explain_fit(misfit)}", *more))
    return verdict


def explain_nearest(verdict: Verdict, name: str) -> str:
    """In a sentence, why what stands first, a reference of this name, is the nearest only."""
    reasons = []
    if verdict.grows_otherwise:
        assert verdict.quoted is not None
        how = "unevenly" if verdict.quoted[1].law == "neither" else "exponentially"
        reasons.append(f"the steps of {name} grow {how} with depth, not by a constant number")
    if verdict.has_large_misfit:
        assert verdict.misfit is not None
        reasons.append(
            f"of the layers' squared errors {100 * verdict.misfit.unshared.value:.0f} % is beyond "
            f"{name}, at its best step for every layer, and "
            f"{100 * verdict.misfit.systematic_share:.0f} % of that is systematic (other layers "
            "and other references explain it on other prompts)"
        )
    return f"The nearest reference, not a description of the layers: {'; '.join(reasons)}."


def explain_fit(misfit: Misfit) -> str:
    """In a sentence, how little the reference that describes the layers leaves unexplained."""
    found = misfit.systematic
    share, low, high = (100 * max(0.0, part) for part in (found.value, found.low, found.high))
    return (
        f"It leaves {share:.1f} % of the layers' squared errors systematically unexplained (95 % "
        f"interval {low:.1f} to {high:.1f}; a description leaves at most "
        f"{100 * LARGEST_MISFIT:.0f} %, chance aside)."
    )


def _explain(verdict: Verdict, labels: Mapping[str, str], *, contradicting: bool) -> str:
    assert verdict.quoted is not None
    leading, item = verdict.quoted
    name = labels.get(item.family, item.family)
    variant = "" if item.name == item.family else f" (as {item.name})"
    rate = f"{item.rate.value:.2f} (95 % interval {item.rate.low:.2f} to {item.rate.high:.2f})"
    where = f"steps a layer, from layer {item.first_layer} to layer {item.last_layer}"
    if len(verdict.standing) == 1:
        others = [f for f in verdict.findings if f is not leading and f.standing]
        measures = " and by ".join(finding.measure for finding in (leading, *others))
        text = f"{_capitalised(name)}{variant} at {rate} {where}, by {measures}"
        for best in (other.best(item.family) for other in others):
            if best.name != item.name:
                text += f" (the latter as {best.name}, {best.rate.value:.2f} steps a layer)"
        growth = f"Its matching step {_explain_growth(item)}"
    else:
        names = ", ".join(labels.get(family, family) for family in verdict.standing)
        reason = (
            "are each favoured by one measure"
            if contradicting
            else "explain the layers equally well"
        )
        text = f"Undecided: {names} {reason}; {name}{variant} would run at {rate} {where}"
        growth = f"The matching step of {name} {_explain_growth(item)}"
    return paragraphs(f"{text}. {growth}.", _explain_fallen(verdict, labels))


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _explain_growth(item: Evidence) -> str:
    is_linear = item.evidence_ratio >= 1
    ratio = item.evidence_ratio if is_linear else 1 / item.evidence_ratio
    if ratio < CLEAR_RATIO:
        return "grows with depth, linearly or exponentially about equally well"
    amount = f"{ratio:.2g}" if ratio < 100 else "above 100"
    rival = "exponential" if is_linear else "linear"
    evidence = f"evidence ratio {amount} over {rival} growth"
    if item.law == "neither":
        nearer = "linear" if is_linear else "exponential"
        return f"grows unevenly with depth, nearer to {nearer} growth ({evidence})"
    return f"grows {'linearly' if is_linear else 'exponentially'} with depth ({evidence})"


def _explain_fallen(verdict: Verdict, labels: Mapping[str, str]) -> str:
    parts = []
    for item in verdict.ruled_out:
        part = f"{labels.get(item.family, item.family)}: {item.reason}"
        if item.law == "log-linear" and item.evidence_ratio < 1 / CLEAR_RATIO:
            part += ", and it would need exponentially growing steps"
        parts.append(part)
    return f"Ruled out: {'; '.join(parts)}." if parts else ""


def _explain_none(findings: Sequence[Finding]) -> str:
    seen = [item for finding in findings for item in finding.evidence]
    if not seen:
        return (
            "None: fewer than three layers predict the targets better than the first, too few to "
            "tell an algorithm by."
        )
    best = max(seen, key=lambda item: item.constant_rate.value)
    return f"None: of the references tried {best.name} comes closest, but {best.reason}."
