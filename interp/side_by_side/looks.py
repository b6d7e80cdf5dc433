"""How each model is drawn, the same in every picture of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from markupsafe import Markup

from interp.plots.style import DASHES, SYMBOLS, Look

COLOURS = (
    "#0072b2", "#d55e00", "#007a5a", "#cc79a7", "#1f2328",
    "#56b4e9", "#b87a00", "#332288", "#882255", "#999933",
)  # fmt: skip
"""Okabe and Ito's, darkened where they are too light for lines, and further ones."""
DASH_ARRAYS = {
    "solid": "",
    "dash": "6 3",
    "dot": "2 2",
    "longdash": "9 3",
    "dashdot": "6 2 2 2",
    "longdashdot": "9 2 2 2",
}
OUTLINES = {
    "square": "M-4-4H4V4H-4Z",
    "diamond": "M0-5L5 0L0 5L-5 0Z",
    "triangle-up": "M0-5L5 4H-5Z",
    "triangle-down": "M0 5L5-4H-5Z",
    "cross": "M-5-2H-2V-5H2V-2H5V2H2V5H-2V2H-5Z",
    "x": "M-5-3L-3-5L0-2L3-5L5-3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0Z",
    "star": "M0-6L2-2L6-2L3 1L4 5L0 3L-4 5L-3 1L-6-2L-2-2Z",
}
"""SVG paths of symbols, about 0; the circle is an element of its own."""


def model_looks(names: Sequence[str]) -> Mapping[str, Look]:
    """A colour, a dash and a symbol for every model; all three repeat only after 120 models."""
    return {
        name: Look(
            escape(name),
            COLOURS[index % len(COLOURS)],
            DASHES[index % len(DASHES)],
            SYMBOLS[index % len(SYMBOLS)],
        )
        for index, name in enumerate(names)
    }


def swatch(look: Look) -> Markup:
    """A line and a marker as they are in the pictures, as inline SVG."""
    shape = (
        f'<path d="{OUTLINES[look.symbol]}" fill="{look.colour}"/>'
        if look.symbol in OUTLINES
        else f'<circle r="4.5" fill="{look.colour}"/>'
    )
    return Markup(
        '<svg class="swatch" viewBox="-17 -8 34 16" width="34" height="16" aria-hidden="true">'
        f'<path d="M-17 0H17" stroke="{look.colour}" stroke-width="2" '
        f'stroke-dasharray="{DASH_ARRAYS[look.dash]}"/>{shape}</svg>'
    )
