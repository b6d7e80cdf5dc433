"""Writes what a calibration found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hooks.atomic import atomic_write
from interp.calibration.coverage import coverage
from interp.calibration.dataset import calibration_dataset
from interp.calibration.document import write_document
from interp.calibration.figures import pictures
from interp.calibration.large_sample import LargeSample
from interp.calibration.outcome import Outcome
from interp.calibration.page import calibration_html
from interp.calibration.protocols import ProtocolSteps
from interp.calibration.rates import write_rates
from interp.calibration.tables import headline, tables


def write_calibration(
    outcomes: Sequence[Outcome],
    directory: str | Path,
    *,
    command: str,
    protocols: Sequence[ProtocolSteps] = (),
    samples: Sequence[LargeSample] = (),
    n_planned: int | None = None,
    document: str | Path | None = None,
) -> None:
    """Writes `calibration.nc`, `calibration.html` and `rates.json`, each atomically.

    Args:
        outcomes: Of all cells.
        directory: Where to.
        command: What was typed.
        protocols: What three protocols found on noise-free models, for the picture of them.
        samples: What many prompts say of the noisy models, for the coverage of the intervals.
        n_planned: Cells of the grid, where some of them were not run.
        document: Path of a Markdown page to write as well, see `write_document`.

    Raises:
        ValueError: No outcomes.
        OSError: A folder cannot be written.
    """
    directory = Path(directory)
    covered = coverage(outcomes, samples)
    with atomic_write(directory / "calibration.nc") as temporary:
        calibration_dataset(outcomes, covered).to_netcdf(temporary, engine="netcdf4")
    write_rates(outcomes, directory / "rates.json")
    parts: dict[str, Any] = {
        "headline": headline(outcomes, n_planned),
        "command": command,
        "tables": tables(outcomes, protocols, covered),
        "pictures": pictures(outcomes, protocols, covered),
    }
    with atomic_write(directory / "calibration.html") as temporary:
        temporary.write_text(calibration_html(**parts), encoding="utf-8")
    if document is not None:
        write_document(document, **parts)
