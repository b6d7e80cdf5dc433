"""Which part of a result is meant: kinds of site, references and measures by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray
from jaxtyping import Bool, Float

from interp.results.result import MatchResult
from probes.verdict import DEFAULT_CRITERIA, Evidence, MeasureFinding

Measure = Literal["similarity", "prediction", "weights", "filtered_query"]
"""Similarity of errors (SimE), or R^2 of an iterate's prediction, weights or filtered query."""

READABLE = DEFAULT_CRITERIA.min_direct_r2
"""Steps have a meaning where the best R^2 is above this; below, any step is as good."""
AT_LEAST = "≥"


def choose_site(result: MatchResult, kind: str | None) -> str:
    """The kind of site given, or the first, which the verdict is about.

    Raises:
        ValueError: It was not read.
    """
    kinds = [str(name) for name in result.layers.site.values]
    if kind is None:
        return kinds[0]
    if kind not in kinds:
        raise ValueError(f"site {kind!r} was not read; read were {', '.join(kinds)}")
    return kind


def stepping(result: MatchResult) -> tuple[str, ...]:
    """References with a step axis, in the result's order."""
    return tuple(name for name in result.references if result.reference(name).sizes["step"] > 1)


def choose_stepping(result: MatchResult, names: Sequence[str] | None) -> tuple[str, ...]:
    """The references given, or all with a step axis.

    Raises:
        ValueError: One was not compared, or has no steps.
    """
    known = stepping(result)
    if names is None:
        return known
    for name in names:
        result.reference(name)
        if name not in known:
            raise ValueError(f"reference {name!r} has no steps; with steps: {', '.join(known)}")
    return tuple(names)


def quoted_reference(result: MatchResult) -> str | None:
    """The reference whose steps per layer the verdict quotes, else the first that has steps."""
    if result.verdict.quoted:
        return result.verdict.quoted[1].name
    return next(iter(stepping(result)), None)


def choose_reference(result: MatchResult, name: str | None) -> str:
    """The reference given, or the one that the verdict quotes.

    Raises:
        ValueError: It was not compared or has no steps, or there is none to choose.
    """
    chosen = name or quoted_reference(result)
    if chosen is None:
        raise ValueError("no reference with steps was compared")
    return choose_stepping(result, (chosen,))[0]


@dataclass(frozen=True)
class Steps:
    """Best-matching steps of the layers, NaN where there is nothing to match."""

    layers: np.ndarray
    step: Float[np.ndarray, " layer"]
    bounds: Float[np.ndarray, "layer bound"]
    """Ends of the 95 % interval, low and high."""
    score: Float[np.ndarray, " layer"]
    """SimE or R^2 at the best step."""
    is_last: Bool[np.ndarray, " layer"]
    """Whether the step is the last that was compared: the best is at least that."""


def steps_of(scores: xarray.Dataset, measure: Measure) -> Steps:
    """Best-matching steps by a measure, from the scores of one reference at one kind of site."""
    prefix = "" if measure == "similarity" else f"{measure}_"
    score = scores["best_similarity" if measure == "similarity" else f"{prefix}best_r2"].values
    is_seen = np.isfinite(score) if measure == "similarity" else score > READABLE
    return Steps(
        scores.layer.values,
        np.where(is_seen, scores[f"{prefix}best_step"].values, np.nan),
        np.where(is_seen[:, None], scores[f"{prefix}best_step_interval"].values, np.nan),
        score,
        is_seen & is_last_step(scores, f"{prefix}best_step"),
    )


def is_last_step(
    scores: xarray.Dataset, variable: str = "best_step"
) -> Bool[np.ndarray, "*site layer"]:
    """Whether the best-matching steps are the last of their grid, and so mean "at least".

    Args:
        scores: Of one reference, from `MatchResult.reference`.
        variable: Name of its best steps: "best_step", or by a regression "prediction_best_step",
            "weights_best_step" or "filtered_query_best_step".
    """
    last = float(scores[variable.replace("best_step", "step")].values[-1])
    return np.isclose(scores[variable].values, last)


def is_measured(scores: xarray.Dataset, measure: Measure) -> bool:
    """Whether a reference was compared by a measure."""
    return measure == "similarity" or f"{measure}_best_step" in scores


def evidence_by(result: MatchResult, measure: Measure) -> dict[str, Evidence]:
    """The verdict's evidence by one measure, by name of reference; empty where it has none."""
    for finding in result.verdict.findings:
        if finding.measure == measure:
            return {item.name: item for item in finding.evidence}
    return {}


def leading_measure(result: MatchResult) -> Measure:
    """The measure that the verdict quotes; similarity of errors where it quotes none."""
    verdict = result.verdict
    if verdict.quoted:
        finding: MeasureFinding | None = verdict.quoted[0]
    else:
        finding = next((finding for finding in verdict.findings if finding.evidence), None)
    return finding.measure.value if finding else "similarity"
