"""Everything between activations and a score: references, read-outs, similarities, verdicts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from probes.conclusion import conclude
from probes.converged_readout import fit_converged_readout
from probes.convergence import (
    OrderOfConvergence,
    convergence_order,
    order_of_convergence,
)
from probes.disagreement import RivalSimilarity, similarity_by_disagreement
from probes.growth import Ramp, fit_ramp
from probes.growth_law import GrowthLaw, growth_law
from probes.matching import Match, StepGrid, best_match
from probes.readout import Readout, Readouts
from probes.readout_fitting import ReadoutFitter
from probes.references import REFERENCES, Prefixes, Reference, build_reference
from probes.similarity import error_cosines, error_directions, similarity_of_errors, weight_cosines
from probes.statistics import RegressionStatistics
from probes.verdict import Evidence, Finding, Verdict
from probes.weighing import Contender, weigh

if TYPE_CHECKING:
    from probes.ridge_probe import RidgeProbe
    from probes.separating import SeparatingPrompts, separating_prompts

__all__ = [
    "REFERENCES",
    "Contender",
    "Evidence",
    "Finding",
    "GrowthLaw",
    "Match",
    "OrderOfConvergence",
    "Prefixes",
    "Ramp",
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
    "conclude",
    "convergence_order",
    "error_cosines",
    "error_directions",
    "fit_converged_readout",
    "fit_ramp",
    "growth_law",
    "order_of_convergence",
    "separating_prompts",
    "similarity_by_disagreement",
    "similarity_of_errors",
    "weigh",
    "weight_cosines",
]


LATE = {
    "RidgeProbe": "probes.ridge_probe",
    "SeparatingPrompts": "probes.separating",
    "separating_prompts": "probes.separating",
}
"""Names whose modules need scikit-learn or SciPy's optimisers: imported when they are asked for."""


def __getattr__(name: str) -> Any:
    if name in LATE:
        return getattr(import_module(LATE[name]), name)
    raise AttributeError(f"module 'probes' has no {name!r}")
