"""The calibration as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Sequence

from plotly.graph_objects import Figure

from interp.calibration.figures import Picture
from interp.report.picture import script_json
from interp.report.templating import render_page
from interp.report.text_table import TextTable
from interp.versions import library_versions, versions_text


def calibration_html(
    *, headline: str, command: str, tables: Sequence[TextTable], pictures: Sequence[Picture]
) -> str:
    """The report's page, in the style of the report on a model."""
    return render_page(
        "calibration.html",
        "interp.calibration",
        headline=headline,
        command=command,
        versions=versions_text(library_versions()),
        tables=tables,
        pictures=[(picture, script_json(_untitled(picture.figure))) for picture in pictures],
    )


def _untitled(figure: Figure) -> str:
    return str(Figure(figure).update_layout(title=None).to_json())
