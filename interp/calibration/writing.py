"""Writes what a calibration found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hooks.atomic import atomic_write
from interp.calibration.dataset import calibration_dataset
from interp.calibration.outcome import Outcome
from interp.calibration.rates import write_rates


def write_calibration(
    outcomes: Sequence[Outcome], directory: str | Path, *, document: str | Path | None = None
) -> None:
    """Writes `calibration.nc` and `rates.json`, atomically.

    Raises:
        OSError: A folder cannot be written.
    """
    directory = Path(directory)
    with atomic_write(directory / "calibration.nc") as temporary:
        calibration_dataset(outcomes).to_netcdf(temporary, engine="netcdf4")
    write_rates(outcomes, directory / "rates.json")
