"""What layers and references were compared by, and where a result keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray

from interp.last_step import is_last_step
from interp.result import MatchResult
from probes.verdict import Evidence, Finding

Measure = Literal["similarity", "prediction", "weights", "filtered_query"]
"""Similarity of errors (SimE), or R^2 of an iterate's prediction, weights or filtered query."""

WORDS: dict[Measure, str] = {
    "similarity": "by similarity of errors",
    "prediction": "by R² of the prediction",
    "weights": "by R² of the weight vector",
    "filtered_query": "by R² of the filtered query",
}
FINDINGS: dict[str, Measure] = {
    "R^2 of the iterate's prediction": "prediction",
    "R^2 of the iterate's weight vector w_k": "weights",
    "R^2 of the filtered query phi_k(S) x": "filtered_query",
}
"""How the verdict's findings call them, beside "similarity of errors (…)"."""
READABLE = 0.1
"""Steps have a meaning where the best R^2 is above this; below, any step is as good."""


@dataclass(frozen=True)
class Steps:
    """Best-matching steps of the layers, NaN where there is nothing to match."""

    layers: np.ndarray
    step: np.ndarray
    bounds: np.ndarray
    """[layer, (low, high)]"""
    score: np.ndarray
    """SimE or R^2 at the best step."""
    is_last: np.ndarray
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


def is_measured(scores: xarray.Dataset, measure: Measure) -> bool:
    """Whether a reference was compared by a measure."""
    return measure == "similarity" or f"{measure}_best_step" in scores


def measure_of(finding: Finding) -> Measure | None:
    """What a finding of the verdict was measured by."""
    if finding.measure.startswith("similarity of errors"):
        return "similarity"
    return FINDINGS.get(finding.measure)


def evidence_by(result: MatchResult, measure: Measure) -> dict[str, Evidence]:
    """The verdict's evidence by one measure, by name of reference; empty where it has none."""
    for finding in result.verdict.findings:
        if measure_of(finding) == measure:
            return {item.name: item for item in finding.evidence}
    return {}


def leading_finding(result: MatchResult) -> Finding | None:
    """The finding whose rate the verdict quotes, else the first that found anything."""
    verdict = result.verdict
    if verdict.quoted:
        return verdict.quoted[0]
    return next((finding for finding in verdict.findings if finding.evidence), None)


def leading_measure(result: MatchResult) -> Measure:
    """The measure that the verdict quotes; similarity of errors where it quotes none."""
    finding = leading_finding(result)
    return (finding and measure_of(finding)) or "similarity"
