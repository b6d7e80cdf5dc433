"""What a verdict says of each reference, in words."""

from __future__ import annotations

from collections.abc import Sequence

from probes.references import family_phrase, legend_of
from probes.verdict import Evidence, Measure, MeasureFinding, Reason, Verdict

MEASURES = {
    Measure.PREDICTION: "R² of the iterate's prediction",
    Measure.WEIGHTS: "R² of the iterate's weight vector w_k",
    Measure.FILTERED_QUERY: "R² of the filtered query φ_k(S) x",
}


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


def rejection_text(verdict: Verdict, finding: MeasureFinding, item: Evidence) -> str:
    """Why a family is rejected, and whether its steps would grow exponentially."""
    reason = reason_text(verdict, finding, item)
    if item.law == "log-linear" and item.evidence_ratio < 1 / verdict.criteria.clear_ratio:
        reason += ", and its steps would have to grow exponentially"
    return reason


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
                f"the layers are less likely under it than under {legend_of(test.winner)} "
                f"({test.bits:.2g} bits a prompt)"
            )
    return "the layers are less likely under it"


def number(value: float) -> str:
    """A rate or step count with as many digits as it deserves."""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def join(words: Sequence[str], last: str) -> str:
    """A list in a sentence."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def unit_text(item: Evidence) -> str:
    """The unit of a reference's steps, and their product with a step size; "" where a rule sets it.

    For example "eta = 0.0233, eta × steps = 0.0983 a layer".
    """
    parts = [f"{name} = {value:.3g}" for name, value in item.scale.items()]
    if "eta" in item.scale:
        parts.append(f"eta × steps = {item.rate.value * item.scale['eta']:.3g} a layer")
    return ", ".join(parts)


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
