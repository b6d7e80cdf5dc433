"""Many models, tasks, seeds and analyses: every combination, each computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.lazy import lazy_names

if TYPE_CHECKING:
    from interp.jobs.pool import Pool as Pool
    from interp.sweep.grid import Grid as Grid
    from interp.sweep.grid import read_grid as read_grid
    from interp.sweep.sweeping import Sweep as Sweep
    from interp.sweep.sweeping import run_sweep as run_sweep

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Grid": "interp.sweep.grid",
        "Pool": "interp.jobs.pool",
        "Sweep": "interp.sweep.sweeping",
        "read_grid": "interp.sweep.grid",
        "run_sweep": "interp.sweep.sweeping",
    },
)
