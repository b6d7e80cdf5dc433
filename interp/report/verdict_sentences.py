"""The sentences of a verdict: how fast, how well it fits, and what else was found."""

from __future__ import annotations

import xarray

from interp.report.anatomy_text import described_layers, layers_phrase
from interp.report.evidence_text import (
    capital,
    growth_text,
    join,
    measure_text,
    number,
    reason_text,
    unit_text,
)
from interp.results.result import MatchResult
from interp.results.selection import AT_LEAST
from probes.references import family_phrase, legend_of
from probes.verdict import LackOfFit, Verdict


def rate_text(rate: float, *, at_least: bool) -> str:
    """A rate, with ≥ where it is a lower bound."""
    return f"{AT_LEAST} {number(rate)}" if at_least else number(rate)


def fitted_text(result: MatchResult) -> str:
    """Which parameters of the quoted reference were fitted, in a sentence; "" for none."""
    quoted = result.verdict.quoted
    fitted = result.provenance.get("fitted", {}).get(quoted[1].name, {}) if quoted else {}
    return f" Its {join(list(fitted), 'and')} was fitted to the layers." if fitted else ""


def pace_text(verdict: Verdict, *, at_least: bool) -> str:
    """How fast, at which layers and by which measure; what came closest where nothing has steps."""
    if verdict.quoted is None:
        return _pace_without_steps(verdict)
    finding, item = verdict.quoted
    name = capital(family_phrase(item.family))
    variant = "" if item.name == item.family else f" ({legend_of(item.name)})"
    verb = "takes" if len(verdict.retained) == 1 else "would take"
    low, high = number(item.rate.low), number(item.rate.high)
    rate, unit = rate_text(item.rate.value, at_least=at_least), unit_text(item)
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
            f"{capital(family_phrase(best.family))} has no steps that could grow from layer to "
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
        f"{capital(legend_of(item.name))} comes closest, but {reason_text(verdict, finding, item)}."
    )


def nearness_text(verdict: Verdict, shares: xarray.Dataset | None) -> str:
    """What a nearest reference is of the layers, once they were taken apart."""
    described, heard = (
        described_layers(shares, verdict.retained[0]) if shares is not None else ([], [])
    )
    if not described:
        return "which does not describe them"
    if described == heard:
        return "which describes them as far as any algorithm of its kind could"
    return f"which describes {layers_phrase(described)} as far as any algorithm of its kind could"


def fit_text(verdict: Verdict, *, is_taken_apart: bool) -> str:
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


def details_text(verdict: Verdict) -> str:
    """The law of growth and what other measures find."""
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
                f" {capital(measure_text(verdict, finding))} finds the same algorithm, at "
                f"{number(best.rate.value)} steps a layer{variant}."
            )
    return text
