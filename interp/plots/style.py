"""How references, kinds of site and ordered series look, in colour and in black and white.

Colours are Okabe and Ito's, which colour-blind readers tell apart; a symbol and a dash pattern
repeat every distinction for those who print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from plotly.colors import sample_colorscale  # type: ignore[attr-defined]

from interp.results.selection import Measure
from probes.references import legend_of

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"
INK = "#1f2328"
MUTED = "#57606a"
GRID = "#e4e7eb"
SHADE = "#eef0f3"
SEQUENTIAL = "Cividis"
"""Rises evenly in lightness, so it reads in grey, and for every kind of colour vision."""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")
DASHES = ("solid", "dash", "dot", "longdash", "dashdot", "longdashdot")


@dataclass(frozen=True)
class Look:
    """How one series is drawn and called."""

    label: str
    """Escaped: plotly reads a subset of HTML."""
    colour: str
    dash: str
    symbol: str

    @property
    def line(self) -> dict[str, Any]:
        return {"color": self.colour, "dash": self.dash, "width": 2}

    @property
    def marker(self) -> dict[str, Any]:
        return {
            "color": self.colour,
            "symbol": self.symbol,
            "size": 8,
            "line": {"color": self.colour, "width": 1.5},
        }


REFERENCE_MARKS: dict[str, tuple[str, str, str]] = {
    "newton": ("#0072b2", "solid", "circle"),
    "newton-fixed": ("#56b4e9", "dot", "triangle-up"),
    "newton-identity": ("#332288", "dashdot", "star"),
    "gd": ("#d55e00", "solid", "square"),
    "gd-adaptive": ("#b87a00", "dash", "triangle-down"),
    "gd++": ("#a0527f", "dashdot", "cross"),
    "ridge": ("#007a5a", "longdash", "diamond"),
    "cg": ("#882255", "dashdot", "pentagon"),
    "bfgs": ("#117733", "dash", "hourglass"),
    "l-bfgs": ("#999933", "longdash", "x"),
    "ols": (MUTED, "dot", "x-thin"),
}
"""Colour, dash and symbol of the references that are drawn most; others get spare ones."""
SITE_LOOKS: dict[str, Look] = {
    "resid_post": Look("residual stream (resid_post)", INK, "solid", "circle"),
    "resid_pre": Look("residual stream (resid_pre)", MUTED, "dashdot", "triangle-up"),
    "resid_mid": Look("residual stream (resid_mid)", "#007a5a", "longdashdot", "triangle-down"),
    "attn_out": Look("attention output (attn_out)", "#0072b2", "dash", "square"),
    "mlp_out": Look("MLP output (mlp_out)", "#d55e00", "dot", "diamond"),
    "z": Look("attention heads (z)", "#cc79a7", "longdash", "cross"),
}
MEASURE_LABELS: dict[Measure, str] = {
    "similarity": "by similarity of errors",
    "prediction": "by R² of the prediction",
    "weights": "by R² of the weight vector",
    "filtered_query": "by R² of the filtered query",
}
MODEL_COLOURS = (
    "#0072b2", "#d55e00", "#007a5a", "#cc79a7", "#1f2328",
    "#56b4e9", "#b87a00", "#332288", "#882255", "#999933",
)  # fmt: skip
"""Okabe and Ito's, darkened where they are too light for lines, and further ones."""
SPARE_COLOURS = ("#cc79a7", "#332288", "#882255", "#117733", "#999933")


def reference_look(name: str) -> Look:
    """The look of a reference; one without marks of its own gets spare ones."""
    look = _spare_look(legend_of(name))
    return Look(look.label, *REFERENCE_MARKS[name]) if name in REFERENCE_MARKS else look


def site_look(kind: str) -> Look:
    """The look of a kind of site."""
    return SITE_LOOKS.get(kind) or _spare_look(kind)


def ordered_looks(labels: Sequence[str]) -> list[Look]:
    """Looks of an ordered series: colours from dark to light, symbols and dashes in turn."""
    last = max(1, len(labels) - 1)
    colours = sample_colorscale(SEQUENTIAL, [0.82 * index / last for index in range(len(labels))])
    return [
        Look(escape(label), colour, DASHES[index % len(DASHES)], SYMBOLS[index % len(SYMBOLS)])
        for index, (label, colour) in enumerate(zip(labels, colours, strict=True))
    ]


def model_looks(names: Sequence[str]) -> Mapping[str, Look]:
    """A colour, a dash and a symbol for every model; all three repeat only after 120 models."""
    return {
        name: Look(
            escape(name),
            MODEL_COLOURS[index % len(MODEL_COLOURS)],
            DASHES[index % len(DASHES)],
            SYMBOLS[index % len(SYMBOLS)],
        )
        for index, name in enumerate(names)
    }


def _spare_look(name: str) -> Look:
    index = sum(name.encode())
    return Look(
        escape(name),
        SPARE_COLOURS[index % len(SPARE_COLOURS)],
        DASHES[index % len(DASHES)],
        SYMBOLS[index % len(SYMBOLS)],
    )
