"""Independent pieces of work: where they run, and what becomes of them when a process dies.

Nothing here knows what the work is: sweeps and calibrations run on it.
"""

from __future__ import annotations

from interp.jobs.outcome import Failure
from interp.jobs.pool import Pool

__all__ = ["Failure", "Pool"]
