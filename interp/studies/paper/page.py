"""The reproduction as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Sequence

from interp.report.page import script_json
from interp.report.templating import render_page
from interp.studies.paper.claims import describe_outcomes
from interp.studies.paper.reproduction import RowResult
from interp.versions import library_versions, versions_text


def reproduction_html(results: Sequence[RowResult], command: str, facts: str) -> str:
    """The page, in the style of the report on a model.

    Args:
        results: What came out of every row.
        command: What was typed.
        facts: How many prompts, and their seed.
    """
    outcomes = [claim.outcome for result in results for claim in result.claims]
    return render_page(
        "reproduction.html",
        "interp.studies.paper",
        results=results,
        drawn={
            result.row.key: [
                script_json(str(drawing.figure.to_json())) for drawing in result.drawings
            ]
            for result in results
        },
        summary=describe_outcomes(outcomes),
        n_claims=len(outcomes),
        command=command,
        facts=facts,
        versions=versions_text(library_versions()),
    )
