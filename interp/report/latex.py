"""Cells of tables as LaTeX prints them."""

from __future__ import annotations

from interp.results.selection import AT_LEAST

MISSING = "–"
"""What stands for a number that is not there."""
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    MISSING: "--",
    **{character: f"\\{character}" for character in "{}$&#_%"},
}


def escape_latex(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(LATEX.get(character, character) for character in text)


def latex_cell(value: str, interval: str, digits: int | None) -> str:
    """A cell of a `tabular`: text as it is, a number in math mode with its interval in brackets.

    Args:
        value: The cell for people.
        interval: Its bounds with a semicolon between them; empty for none.
        digits: Of numbers; None for text.
    """
    text = escape_latex(value).replace(AT_LEAST, r"\geq")
    if digits is None or text == LATEX[MISSING]:
        return text
    bounds = interval.replace(",", "{,}").replace(";", ", ")
    return f"${text.replace(',', '{,}')}$" + (f" $[{bounds}]$" if bounds else "")
