"""Templates of reports, whose every value is escaped, and the pages made of them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs


@cache
def environment() -> Environment:
    """Jinja2 over `interp/report/templates`, escaping all that is not marked safe."""
    return Environment(
        loader=PackageLoader("interp.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


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
            style=Markup((templates / "report.css").read_text(encoding="utf-8")),
            script=Markup((templates / "report.js").read_text(encoding="utf-8")),
            plotly=Markup(get_plotlyjs()),
            **values,
        )
    )
