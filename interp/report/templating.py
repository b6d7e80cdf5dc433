"""Pages of studies that have a template of their own; `interp.report.page` is to replace it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, PackageLoader
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from interp.report.page import environment


def render_page(template: str, package: str = "interp.report", **values: Any) -> str:
    """A page that opens offline, from a template that extends `base.html`.

    Args:
        template: Name of the template.
        package: The package whose `templates` folder has it; `interp.report` has the rest.
        **values: What the template asks for.
    """
    templates = files("interp.report") / "templates"
    loader = ChoiceLoader([PackageLoader(package), PackageLoader("interp.report")])
    return (
        environment()
        .overlay(loader=loader)
        .get_template(template)
        .render(
            style=Markup((templates / "page.css").read_text(encoding="utf-8")),
            script=Markup((templates / "page.js").read_text(encoding="utf-8")),
            plotly=Markup(get_plotlyjs()),
            **values,
        )
    )
