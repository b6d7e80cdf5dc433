"""Which algorithm the layers run, how fast, and how sure that is; numbers in, keys out."""

from __future__ import annotations

from probes.verdict.criteria import DEFAULT_CRITERIA, Criteria
from probes.verdict.evidence import TARGETS, Evidence, Measure, MeasureFinding, Reason
from probes.verdict.judge import LayerScores, best_read_target, beyond_first, judge
from probes.verdict.lack_of_fit import LackOfFit
from probes.verdict.non_iterative import NonIterativeFit
from probes.verdict.pairwise_test import PairwiseTest
from probes.verdict.verdict import Verdict, conclude

__all__ = [
    "DEFAULT_CRITERIA",
    "TARGETS",
    "Criteria",
    "Evidence",
    "LackOfFit",
    "LayerScores",
    "Measure",
    "MeasureFinding",
    "NonIterativeFit",
    "PairwiseTest",
    "Reason",
    "Verdict",
    "best_read_target",
    "beyond_first",
    "conclude",
    "judge",
]
