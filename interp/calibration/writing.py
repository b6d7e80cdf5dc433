"""Writes what a calibration found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hooks.atomic import write_text
from interp.calibration.coverage import coverage
from interp.calibration.dataset import calibration_dataset
from interp.calibration.document import write_document
from interp.calibration.figures import pictures
from interp.calibration.large_sample import LargeSample
from interp.calibration.outcome import Outcome
from interp.calibration.page import calibration_html
from interp.calibration.protocols import ProtocolSteps
from interp.calibration.rates import write_rates
from interp.calibration.tables import conclusions, tables
from interp.results.netcdf import save_netcdf


def write_calibration(
    outcomes: Sequence[Outcome],
    directory: str | Path,
    *,
    command: str,
    protocols: Sequence[ProtocolSteps] = (),
    samples: Sequence[LargeSample] = (),
    n_planned: int | None = None,
    document: str | Path | None = None,
) -> tuple[str, ...]:
    """Writes `calibration.nc`, `calibration.html` and `rates.json`, each atomically.

    Args:
        outcomes: Of all cells.
        directory: Where to.
        command: What was typed.
        protocols: What three protocols found on noise-free models, for the picture of them.
        samples: What many prompts say of the noisy models, for the coverage of the intervals.
        n_planned: Cells of the grid, where some of them were not run.
        document: Path of a Markdown page to write as well, see `write_document`.

    Returns:
        What a reader should take away, in sentences.

    Raises:
        ValueError: No outcomes.
        OSError: A folder cannot be written.
    """
    directory = Path(directory)
    covered = coverage(outcomes, samples)
    save_netcdf(calibration_dataset(outcomes, covered), directory / "calibration.nc")
    write_rates(outcomes, directory / "rates.json")
    taken_away = conclusions(outcomes, covered, n_planned)
    parts: dict[str, Any] = {
        "conclusions": taken_away,
        "command": command,
        "tables": tables(outcomes, protocols, covered),
        "pictures": pictures(outcomes, protocols, covered),
    }
    write_text(directory / "calibration.html", calibration_html(**parts))
    if document is not None:
        write_document(document, **parts)
    return taken_away
