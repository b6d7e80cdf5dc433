"""Error against layer, against a reference's step, and against the number of examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from plotly.graph_objects import Figure, Scatter

from interp.plots.panel import Panel, draw, layer_axis
from interp.plots.step_axis import StepAxis
from interp.plots.style import INK, Look, ordered_looks, reference_look
from interp.results.result import MatchResult
from interp.results.selection import choose_reference, choose_site

Abscissa = Literal["layer", "step", "examples"]
SHOWN_POINTS = (0.2, 0.4, 0.5, 0.75, 1.0)
"""Numbers of examples shown against layer, as shares of the most there are."""
N_SHOWN_LAYERS = 6


def plot_error(
    result: MatchResult,
    against: Abscissa | Sequence[Abscissa] = ("layer", "examples"),
    *,
    reference: str | None = None,
    site: str | None = None,
) -> Figure:
    """Squared error / d on a logarithmic axis, as in Fig. 2 and 7 of Fu et al. 2024.

    The axis covers the layers and the model; references that become exact, as OLS does once it
    has d examples without noise, leave the picture below.

    Args:
        result: What `match` found.
        against: What is on the x axis, one panel each: "layer", a reference's "step", or the
            number of "examples".
        reference: The reference shown against its own steps; by default the one that the
            verdict quotes.
        site: Kind of site; by default the first.

    Raises:
        ValueError: A reference or site that the result does not hold, or an unknown x axis.
    """
    kind = choose_site(result, site)
    panels = []
    for which in (against,) if isinstance(against, str) else against:
        if which == "layer":
            panels.append(_against_layer(result, kind))
        elif which == "step":
            panels.append(_against_step(result, choose_reference(result, reference), kind))
        elif which == "examples":
            panels.append(_against_examples(result, kind))
        else:
            raise ValueError(f"against must be 'layer', 'step' or 'examples', got {which!r}")
    return draw(*panels)


def _against_layer(result: MatchResult, kind: str) -> Panel:
    error = result.layers.error.sel(site=kind)
    return Panel(
        title="Error of each layer's read-out",
        traces=_by_examples(error.layer.values, error.values, "layer"),
        x=layer_axis(result),
        y=_error_axis(result, kind),
    )


def _against_step(result: MatchResult, name: str, kind: str) -> Panel:
    scores = result.reference(name)
    axis = StepAxis.of(result, name)
    steps = scores.step.values
    return Panel(
        title=f"Error of {reference_look(name).label} at each step",
        traces=_by_examples(axis.place(steps), scores.error.values, "step", steps),
        x=axis.properties("step"),
        y=_error_axis(result, kind),
    )


def _by_examples(
    places: np.ndarray, error: np.ndarray, what: str, steps: np.ndarray | None = None
) -> list[Scatter]:
    """One line for each of a few numbers of examples; `error` is [place, point]."""
    last = error.shape[1] - 1
    points = sorted({max(1, round(share * last)) for share in SHOWN_POINTS})
    looks = ordered_looks([_examples(point) for point in points])
    return [
        Scatter(
            x=places,
            y=_positive(error[:, point]),
            mode="lines+markers" if steps is None else "lines",
            line=look.line,
            marker=look.marker,
            name=look.label,
            customdata=places if steps is None else steps,
            hovertemplate=f"{what} %{{customdata:,.4~r}}: error %{{y:.3~g}}",
        )
        for point, look in zip(points, looks, strict=True)
    ]


def _against_examples(result: MatchResult, kind: str) -> Panel:
    root = result.layers
    error = root.error.sel(site=kind)
    layers = error.layer.values
    shown = sorted({int(i) for i in np.linspace(0, len(layers) - 1, N_SHOWN_LAYERS).round()})
    looks = ordered_looks([f"layer {layers[index]}" for index in shown])
    traces = [
        _against_point(root.point.values, error.values[index], look)
        for index, look in zip(shown, looks, strict=True)
    ]
    model = Look("model", INK, "solid", "star")
    traces.append(_against_point(root.point.values, root.model_error.values, model, width=3))
    for name in result.references:
        scores = result.reference(name)
        look = reference_look(name)
        step = float(scores.whole_best_step.sel(site=kind).values[-1])
        label = look.label
        if scores.sizes["step"] > 1:
            if name not in ("newton", "gd") or not np.isfinite(step):
                continue
            label = f"{label.split(',')[0]}, {step:,.0f} steps"
        values = scores.error.sel(step=step, method="nearest").values
        look = Look(label, look.colour, look.dash, look.symbol)
        traces.append(_against_point(scores.point.values, values, look))
    return Panel(
        title="Error against the number of examples",
        traces=traces,
        x={"title": {"text": "number of examples seen"}},
        y=_error_axis(result, kind),
    )


def _against_point(points: np.ndarray, error: np.ndarray, look: Look, width: int = 2) -> Scatter:
    return Scatter(
        x=points,
        y=_positive(error),
        mode="lines+markers",
        line={**look.line, "width": width},
        marker=look.marker,
        name=look.label,
        hovertemplate="%{x} examples: error %{y:.3~g}",
    )


def _examples(n: int) -> str:
    return f"{n} example{'' if n == 1 else 's'}"


def _positive(error: np.ndarray) -> np.ndarray:
    """An exact 0 has no place on a logarithmic axis; it is drawn far below it."""
    return np.where(error <= 0, 1e-300, error)


def _error_axis(result: MatchResult, kind: str) -> dict[str, Any]:
    root = result.layers
    shown = np.concatenate([root.error.sel(site=kind).values.ravel(), root.model_error.values])
    shown = shown[np.isfinite(shown) & (shown > 0)]
    low, high = (shown.min(), shown.max()) if len(shown) else (0.1, 1.0)
    return {
        "title": {"text": "squared error / d"},
        "type": "log",
        "tickformat": "~g",
        "dtick": 1,
        "range": [float(np.log10(low)) - 0.3, float(np.log10(high)) + 0.2],
    }
