"""Analyses of a sweep, one a file. A new one is a new file and one line in `ANALYSES`."""

from __future__ import annotations

from interp.sweep.analyses.analysis import Analysis
from interp.sweep.analyses.conditions import ConditionsAnalysis
from interp.sweep.analyses.error import ErrorAnalysis
from interp.sweep.analyses.match import MatchAnalysis
from interp.sweep.analyses.readouts import ReadoutAnalysis

ANALYSES: dict[str, type[Analysis]] = {
    analysis.name: analysis
    for analysis in (ErrorAnalysis, MatchAnalysis, ReadoutAnalysis, ConditionsAnalysis)
}

__all__ = ["ANALYSES", "Analysis"]
