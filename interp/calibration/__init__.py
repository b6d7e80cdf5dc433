"""How often the verdict is right, found out on models whose algorithm is known."""

from __future__ import annotations

from interp.calibration.cell import Cell
from interp.calibration.grid import Grid, read_grid
from interp.calibration.quoting import quoted_error_rate

__all__ = ["Cell", "Grid", "quoted_error_rate", "read_grid"]
