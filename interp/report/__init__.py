"""The report: one HTML file that says what was found, shows it, and opens offline."""

from __future__ import annotations

from interp.report.match import verdict_html, write_report

__all__ = ["verdict_html", "write_report"]
