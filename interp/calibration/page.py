"""The calibration as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Sequence

from plotly.graph_objects import Figure

from interp.calibration.figures import Picture
from interp.calibration.tables import Table
from interp.report.picture import script_json
from interp.report.templating import render_page
from interp.versions import library_versions


def calibration_html(
    *, headline: str, command: str, tables: Sequence[Table], pictures: Sequence[Picture]
) -> str:
    """The report's page, in the style of the report on a model."""
    return render_page(
        "calibration.html",
        "interp.calibration",
        headline=headline,
        command=command,
        versions=", ".join(f"{name} {number}" for name, number in library_versions().items()),
        tables=tables,
        pictures=[(picture, script_json(_untitled(picture.figure))) for picture in pictures],
    )


def _untitled(figure: Figure) -> str:
    return str(Figure(figure).update_layout(title=None).to_json())
