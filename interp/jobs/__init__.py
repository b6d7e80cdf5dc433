"""Independent pieces of work: where they run, and what becomes of them when a process dies.

Nothing here knows what the work is: sweeps and calibrations run on it.
"""

from __future__ import annotations

from interp.jobs.failure import Failure
from interp.jobs.pool import Pool
from interp.jobs.running import Keyed, Store, run_missing

__all__ = ["Failure", "Keyed", "Pool", "Store", "run_missing"]
