"""Everything between activations and a score: references, read-outs, similarities, verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probes.convergence import convergence_order
from probes.growth import Ramp, fit_ramp
from probes.growth_law import GrowthLaw, growth_law
from probes.matching import Match, StepGrid, best_match
from probes.readout import Readout, ReadoutFitter, Readouts
from probes.references import REFERENCES, Prefixes, Reference, build_reference
from probes.similarity import error_cosines, error_directions, similarity_of_errors, weight_cosines
from probes.statistics import RegressionStatistics
from probes.verdict import Contender, Evidence, Finding, Verdict, conclude, weigh

if TYPE_CHECKING:
    from probes.ridge_probe import RidgeProbe

__all__ = [
    "REFERENCES",
    "Contender",
    "Evidence",
    "Finding",
    "GrowthLaw",
    "Match",
    "Prefixes",
    "Ramp",
    "Readout",
    "ReadoutFitter",
    "Readouts",
    "Reference",
    "RegressionStatistics",
    "RidgeProbe",
    "StepGrid",
    "Verdict",
    "best_match",
    "build_reference",
    "conclude",
    "convergence_order",
    "error_cosines",
    "error_directions",
    "fit_ramp",
    "growth_law",
    "similarity_of_errors",
    "weigh",
    "weight_cosines",
]


def __getattr__(name: str) -> Any:
    if name == "RidgeProbe":  # scikit-learn is imported only when this is asked for
        from probes.ridge_probe import RidgeProbe

        return RidgeProbe
    raise AttributeError(f"module 'probes' has no {name!r}")
