"""Studies: cells, each computed once and kept, joined into one dataset; sweeps over grids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.lazy import lazy_names

if TYPE_CHECKING:
    from interp.jobs.pool import Pool as Pool
    from interp.study.grid import Grid as Grid
    from interp.study.grid import read_grid as read_grid
    from interp.study.run import Study as Study
    from interp.study.store import Store as Store
    from interp.study.sweep import Sweep as Sweep
    from interp.study.sweep import run_sweep as run_sweep

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Grid": "interp.study.grid",
        "Pool": "interp.jobs.pool",
        "Store": "interp.study.store",
        "Study": "interp.study.run",
        "Sweep": "interp.study.sweep",
        "read_grid": "interp.study.grid",
        "run_sweep": "interp.study.sweep",
    },
)
