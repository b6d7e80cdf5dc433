"""The calibration as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from jinja2 import PackageLoader
from markupsafe import Markup
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from interp.calibration.figures import Picture
from interp.calibration.tables import Table
from interp.report.templating import environment
from interp.versions import library_versions


def calibration_html(
    *, headline: str, command: str, tables: Sequence[Table], pictures: Sequence[Picture]
) -> str:
    """The report's page, in the style of the report on a model."""
    templates = files("interp.report") / "templates"
    pages = environment().overlay(loader=PackageLoader("interp.calibration"))
    return pages.get_template("calibration.html").render(
        headline=headline,
        command=command,
        versions=", ".join(f"{name} {number}" for name, number in library_versions().items()),
        tables=tables,
        pictures=[(picture, _json(picture.figure)) for picture in pictures],
        style=Markup((templates / "report.css").read_text(encoding="utf-8")),
        script=Markup((templates / "report.js").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs()),
    )


def _json(figure: Figure) -> Markup:
    """JSON that no HTML parser sees an end of its element in."""
    text = Figure(figure).update_layout(title=None).to_json()
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
