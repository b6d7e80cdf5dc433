"""The calibration as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Sequence

from interp.calibration.figures import Picture
from interp.report.picture import picture_of
from interp.report.templating import render_page
from interp.report.text_table import TextTable
from interp.versions import library_versions, versions_text


def calibration_html(
    *,
    conclusions: Sequence[str],
    command: str,
    tables: Sequence[TextTable],
    pictures: Sequence[Picture],
) -> str:
    """The report's page, in the style of the report on a model."""
    return render_page(
        "calibration.html",
        "interp.calibration",
        conclusions=conclusions,
        command=command,
        versions=versions_text(library_versions()),
        tables=tables,
        pictures=[(picture, picture_of(picture.figure)) for picture in pictures],
    )
