"""The report: one HTML file that says what was found, shows it, and opens offline."""

from __future__ import annotations

from interp.report.match import write_report
from interp.report.wording import verdict_html

__all__ = ["verdict_html", "write_report"]
