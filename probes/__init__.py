"""Everything between activations and a score: references, read-outs, similarities, verdicts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from probes.candidate import Candidate
from probes.converged_readout import fit_converged_readout
from probes.convergence import (
    OrderOfConvergence,
    convergence_order,
    order_of_convergence,
)
from probes.disagreement import RivalSimilarity, similarity_by_disagreement
from probes.matching import Match, StepGrid, best_match
from probes.readout import Readout, Readouts
from probes.readout_fitter import ReadoutFitter
from probes.references import REFERENCES, Prefixes, Reference, build_reference
from probes.similarity import error_cosines, error_directions, similarity_of_errors, weight_cosines
from probes.statistics import RegressionStatistics
from probes.verdict import Criteria, Evidence, LayerScores, Measure, Verdict, conclude, judge
from probes.verdict.constant_rate_fit import ConstantRateFit, fit_constant_rate
from probes.verdict.constant_rates import Contender, compare_constant_rates
from probes.verdict.growth_law import GrowthLaw, growth_law

if TYPE_CHECKING:
    from probes.ridge_probe import RidgeProbe
    from probes.separating_prompts import SeparatingPrompts, separating_prompts

__all__ = [
    "REFERENCES",
    "Candidate",
    "ConstantRateFit",
    "Contender",
    "Criteria",
    "Evidence",
    "GrowthLaw",
    "LayerScores",
    "Match",
    "Measure",
    "OrderOfConvergence",
    "Prefixes",
    "Readout",
    "ReadoutFitter",
    "Readouts",
    "Reference",
    "RegressionStatistics",
    "RidgeProbe",
    "RivalSimilarity",
    "SeparatingPrompts",
    "StepGrid",
    "Verdict",
    "best_match",
    "build_reference",
    "compare_constant_rates",
    "conclude",
    "convergence_order",
    "error_cosines",
    "error_directions",
    "fit_constant_rate",
    "fit_converged_readout",
    "growth_law",
    "judge",
    "order_of_convergence",
    "separating_prompts",
    "similarity_by_disagreement",
    "similarity_of_errors",
    "weight_cosines",
]


LATE = {
    "RidgeProbe": "probes.ridge_probe",
    "SeparatingPrompts": "probes.separating_prompts",
    "separating_prompts": "probes.separating_prompts",
}
"""Names whose modules need scikit-learn or SciPy's optimisers: imported on first use."""


def __getattr__(name: str) -> Any:
    if name in LATE:
        return getattr(import_module(LATE[name]), name)
    raise AttributeError(f"module 'probes' has no {name!r}")
