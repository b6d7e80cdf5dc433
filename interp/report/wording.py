"""The verdict in words and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from interp.plots.style import FAMILY_LABELS, reference_label
from interp.results.result import MatchResult
from probes.conclusion import explain_fit, explain_nearest
from probes.verdict import PARAGRAPH_BREAK, Evidence, Verdict


@dataclass(frozen=True)
class Wording:
    """The verdict as a reader meets it."""

    headline: str
    rate: str | None
    """Steps per layer …"""
    rate_of: str | None
    """… of this family, where several are left standing."""
    interval: str | None
    paragraphs: tuple[str, ...]
    """What is found, and for which layers and measures."""
    ruled_out: tuple[tuple[str, str], ...]
    """Families and the reasons why they fell."""
    error_rate: str
    """How often such verdicts were right where the truth is known."""
    answer: str


def word(result: MatchResult) -> Wording:
    """Puts a verdict into words."""
    verdict = result.verdict
    names = [_family(name) for name in verdict.standing]
    if verdict.answer == "none":
        headline = "None of the references describes the layers"
    elif verdict.answer == "undecided":
        headline = f"Undecided between {_join(names, 'and')}"
    elif verdict.is_nearest_only:
        headline = f"The layers come nearest to {names[0]}, which does not describe them"
    else:
        headline = f"The layers follow {names[0]}"
    rate = verdict.steps_per_layer
    return Wording(
        headline=headline,
        rate=None if rate is None else number(rate),
        rate_of=names[0] if len(names) > 1 else None,
        interval=" to ".join(map(number, verdict.interval)) if verdict.interval else None,
        paragraphs=_where(verdict) or _own_paragraphs(verdict),
        ruled_out=tuple(
            (_capital(_family(item.family)), readable(item.reason)) for item in verdict.ruled_out
        )
        if len(names) < 2
        else (),
        error_rate=verdict.error_rate,
        answer=verdict.answer,
    )


def verdict_words(result: MatchResult) -> str:
    """The verdict in a few words."""
    verdict = result.verdict
    if verdict.answer == "none":
        return "none"
    names = [FAMILY_LABELS.get(name, name) for name in verdict.standing]
    if len(names) == 1:
        return f"nearest: {names[0]}" if verdict.is_nearest_only else names[0]
    return f"undecided: {' or '.join(names)}"


def number(value: float) -> str:
    """A rate or step count with as many digits as it deserves."""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def readable(measure: str) -> str:
    """A measure's name, typeset."""
    return measure.replace("R^2", "R²").replace("phi_k", "φ_k")


def _own_paragraphs(verdict: Verdict) -> tuple[str, ...]:
    """The verdict's text, but for how often such verdicts are right."""
    found = verdict.text.split(PARAGRAPH_BREAK)
    return tuple(paragraph for paragraph in found if paragraph != verdict.error_rate)


def _where(verdict: Verdict) -> tuple[str, ...]:
    """The layers and measures that one answer holds for; nothing without one that has steps."""
    if len(verdict.standing) != 1 or verdict.quoted is None:
        return ()
    leading, quoted = verdict.quoted
    variant = "" if quoted.name == quoted.family else f", as {reference_label(quoted.name)}"
    text = (
        f"Measured from layer {quoted.first_layer} to layer {quoted.last_layer} by "
        f"{readable(leading.measure)}{variant}"
    )
    for finding in verdict.findings:
        if finding is not leading and quoted.family in finding.standing:
            best = finding.best(quoted.family)
            rate = f"{number(best.rate.value)} steps a layer"
            if best.name != quoted.name:
                rate += f" as {reference_label(best.name)}"
            text += f"; {readable(finding.measure)} finds the same algorithm, at {rate}"
    if not verdict.grows_otherwise:
        text += f". The matching step {_growth_in_words(quoted)}"
    if verdict.is_nearest_only:
        return explain_nearest(verdict, _family(quoted.family)), f"{text}."
    return (f"{text}.", explain_fit(verdict.misfit)) if verdict.misfit else (f"{text}.",)


def _growth_in_words(item: Evidence) -> str:
    if item.law == "neither":
        nearer = "linear" if item.evidence_ratio >= 1 else "exponential"
        return f"grows unevenly with depth, nearer to {nearer} growth"
    return f"grows {'linearly' if item.law == 'linear' else 'exponentially'} with depth"


def growth_words(item: Evidence) -> tuple[str, str]:
    """Which law the matching step follows, and how much likelier it is than the other."""
    is_linear = item.evidence_ratio >= 1
    nearer = "linear" if is_linear else "exponential"
    if item.law == "neither":
        return "uneven", f"nearer to {nearer}"
    ratio = item.evidence_ratio if is_linear else 1 / max(item.evidence_ratio, 1e-300)
    return nearer, f"{ratio:.2g} : 1" if ratio < 100 else "over 100 : 1"


def _family(name: str) -> str:
    return FAMILY_LABELS.get(name, name)


def _join(words: Sequence[str], last: str) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
