"""The two best families against each other, where they disagree."""

from __future__ import annotations

from plotly.graph_objects import Figure

from interp.plots.layer_intervals import layer_line
from interp.plots.panel import Panel, draw, layer_axis
from interp.plots.style import ordered_looks, reference_label
from interp.results.result import MatchResult


def plot_rivals(result: MatchResult) -> Figure:
    """SimE with the best family minus that with the next, by how much the two disagree.

    Args:
        result: What `match` found.

    Raises:
        ValueError: The result compares a single family.
    """
    root = result.layers
    if "rival_margin" not in root:
        raise ValueError("the result holds no rivals: it compares a single family")
    parts = [str(part) for part in root.part.values]
    words = ["least", *[f"quarter {part}" for part in parts[1:-1]], "most"]
    looks = ordered_looks(
        [f"disagree {word}" if word in ("least", "most") else word for word in words]
    )
    traces = []
    for part, look in zip(parts, looks, strict=True):
        traces.append(
            layer_line(
                root.rival_margin.sel(part=part),
                root.rival_margin_interval.sel(part=part),
                look,
                "+.4f",
            )
        )
    first, second = (reference_label(str(name)) for name in root.rival.values)
    title = f"SimE with {first} minus SimE with {second}"
    y = {"title": {"text": "margin (positive: the first)"}, "zeroline": True}
    return draw(Panel(title, traces, layer_axis(result), y))
