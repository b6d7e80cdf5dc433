"""The reproduction as one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Sequence

from interp.paper.finding import Finding, describe_outcomes
from interp.report.page import script_json
from interp.report.templating import render_page
from interp.versions import library_versions, versions_text


def reproduction_html(findings: Sequence[Finding], command: str, facts: str) -> str:
    """The page, in the style of the report on a model.

    Args:
        findings: What came out of every row.
        command: What was typed.
        facts: How many prompts, and their seed.
    """
    outcomes = [check.outcome for finding in findings for check in finding.checks]
    return render_page(
        "reproduction.html",
        "interp.paper",
        findings=findings,
        drawn={
            finding.row.key: [
                script_json(str(drawing.figure.to_json())) for drawing in finding.drawings
            ]
            for finding in findings
        },
        summary=describe_outcomes(outcomes),
        n_claims=len(outcomes),
        command=command,
        facts=facts,
        versions=versions_text(library_versions()),
    )
