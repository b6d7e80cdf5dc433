"""Writes what a calibration found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hooks.atomic import atomic_write
from interp.calibration.dataset import calibration_dataset
from interp.calibration.document import write_document
from interp.calibration.figures import pictures
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
    document: str | Path | None = None,
) -> None:
    """Writes `calibration.nc`, `calibration.html` and `rates.json`, each atomically.

    Args:
        outcomes: Of all cells.
        directory: Where to.
        command: What was typed.
        protocols: What three protocols found on noise-free models, for the picture of them.
        document: Path of a Markdown page to write as well, see `write_document`.

    Raises:
        ValueError: No outcomes.
        OSError: A folder cannot be written.
    """
    directory = Path(directory)
    with atomic_write(directory / "calibration.nc") as temporary:
        calibration_dataset(outcomes).to_netcdf(temporary, engine="netcdf4")
    write_rates(outcomes, directory / "rates.json")
    parts: dict[str, Any] = {
        "headline": headline(outcomes),
        "command": command,
        "tables": tables(outcomes, protocols),
        "pictures": pictures(outcomes, protocols),
    }
    with atomic_write(directory / "calibration.html") as temporary:
        temporary.write_text(calibration_html(**parts), encoding="utf-8")
    if document is not None:
        write_document(document, **parts)
