"""How far a score may be off: bootstrap replicates, their intervals, and numbers that carry one."""

from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights, jackknife_weights
from probes.uncertainty.estimate import Estimate

__all__ = ["Estimate", "bootstrap_interval", "bootstrap_weights", "jackknife_weights"]
