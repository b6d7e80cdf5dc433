"""Writes what a reproduction found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hooks.atomic import write_text
from interp.paper.finding import Finding
from interp.paper.page import reproduction_html
from interp.results.netcdf import save_netcdf


def summarise(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The rows in plain values, as `--json` prints them."""
    return [
        {
            "key": finding.row.key,
            "figure": finding.row.label,
            "title": finding.row.title,
            "says": finding.row.says,
            "outcome": finding.outcome,
            "checks": [asdict(check) for check in finding.checks],
            "missing": list(finding.missing),
            "command": finding.row.command,
        }
        for finding in findings
    ]


def write_reproduction(
    findings: Sequence[Finding], directory: str | Path, *, command: str, facts: str
) -> None:
    """Writes `report.html` and the numbers of every row as `<key>.nc`, each atomically.

    Args:
        findings: What came out of every row.
        directory: Where to.
        command: What was typed.
        facts: How many prompts, and their seed.

    Raises:
        OSError: A file cannot be written.
    """
    directory = Path(directory)
    write_text(directory / "report.html", reproduction_html(findings, command, facts))
    for finding in findings:
        if finding.data.data_vars:
            save_netcdf(finding.data, directory / f"{finding.row.key}.nc")
