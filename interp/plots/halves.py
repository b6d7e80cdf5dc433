"""Which half of a layer does the work: attention, or the MLP behind it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from plotly.graph_objects import Bar, Figure

from interp.plots.panel import Panel, draw
from interp.plots.step_axis import StepAxis
from interp.plots.style import reference_look, site_look
from interp.results.result import MatchResult
from interp.results.selection import choose_reference

STREAMS = ("resid_post", "resid_mid")
HALVES = (("attention", "attn_out", ""), ("MLP", "mlp_out", "/"))
"""A half's name, the kind of site whose colour it has, and its hatching."""


def has_halves(result: MatchResult) -> bool:
    """Whether the residual stream was read between attention and MLP as well."""
    return all(kind in result.layers.site.values for kind in STREAMS)


def plot_halves(
    result: MatchResult, value: Literal["step", "error"] = "step", reference: str | None = None
) -> Figure:
    """What attention and MLP of each layer add: steps of a reference, or a fall of the error.

    The residual stream is read before the layer, between its halves and behind it, each time by a
    read-out of its own; a half's part is the difference of the two readings around it.

    Args:
        result: What `match` found on `resid_post` and `resid_mid`, such as with `show="sites"`.
        value: "step" of the best match, or mean "error" of the read-outs.
        reference: Whose steps; by default the one that the verdict quotes.

    Raises:
        ValueError: The stream was not read between the halves, an unknown value, or a reference
            that was not compared or has no steps.
    """
    if not has_halves(result):
        raise ValueError("halves need the sites resid_post and resid_mid; show='sites' reads them")
    if value == "error":
        table = result.layers.mean_error
        title, unit, sign = "Fall of the error by half of a layer", "fall of squared error / d", -1
        places = {kind: table.sel(site=kind).values for kind in STREAMS}
    elif value == "step":
        name = choose_reference(result, reference)
        axis = StepAxis.of(result, name)
        table = result.reference(name).best_step
        title = f"{reference_look(name).label}: steps done by each half of a layer"
        unit, sign = ("doublings of the step" if axis.is_log else "steps (iterations)"), 1
        places = {kind: axis.place(table.sel(site=kind).values) for kind in STREAMS}
    else:
        raise ValueError(f"value must be 'step' or 'error', got {value!r}")
    before, between, behind = (
        places["resid_post"][:-1], places["resid_mid"][1:], places["resid_post"][1:],
    )  # fmt: skip
    gains = (sign * (between - before), sign * (behind - between))
    traces = [
        Bar(
            x=result.layers.layer.values[1:],
            y=gain,
            name=half,
            marker={
                "color": site_look(kind).colour,
                "pattern": {"shape": hatching, "fgcolor": "white", "solidity": 0.3},
            },
            hovertemplate=f"{half} of layer %{{x}}: %{{y:+.3~g}}<extra></extra>",
        )
        for (half, kind, hatching), gain in zip(HALVES, gains, strict=True)
        if np.isfinite(gain).any()
    ]
    panel = Panel(
        title=title,
        traces=traces,
        x={"title": {"text": "layer"}, "dtick": 1 + len(before) // 14, "showgrid": False},
        y={"title": {"text": unit}, "zeroline": True},
        layout={"barmode": "group", "bargap": 0.25},
    )
    return draw(panel)
