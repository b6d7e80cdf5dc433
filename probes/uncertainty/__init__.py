"""Uncertainty of scores: bootstrap replicates, intervals, and numbers with an interval."""

from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights, jackknife_weights
from probes.uncertainty.estimate import Estimate

__all__ = ["Estimate", "bootstrap_interval", "bootstrap_weights", "jackknife_weights"]
