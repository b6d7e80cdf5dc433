"""Errors of layers and references, and what controls reach."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Literal

import numpy as np
from plotly.graph_objects import Figure, Scatter

from interp.plots.marks import line
from interp.plots.panel import EXAMPLES_AXIS, R2_AXIS, Panel, StepAxis, draw, layer_axis, log_axis
from interp.plots.style import INK, Look, ordered_looks, reference_look
from interp.results.result import MatchResult
from interp.results.selection import choose_reference, choose_site, stepping

Abscissa = Literal["layer", "step", "examples"]
SHOWN_POINTS = (0.2, 0.4, 0.5, 0.75, 1.0)
"""Numbers of examples shown against layer, as shares of the most there are."""
N_SHOWN_LAYERS = 6
CONTROL_LOOKS = (
    ("#d55e00", "dash", "square-open"),
    ("#0072b2", "dot", "diamond-open"),
    ("#007a5a", "longdash", "triangle-up-open"),
    ("#cc79a7", "dashdot", "cross-open"),
)


def error(
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


def controls(
    result: MatchResult,
    value: Literal["error", "r2"] = "error",
    *,
    site: str | None = None,
) -> Figure:
    """The model beside its controls, layer by layer.

    Args:
        result: What `match` found.
        value: "error" for the read-outs' error over that of predicting 0, "r2" for the highest
            R^2 with which any iterate's prediction can be read.
        site: Kind of site; by default the first.

    Raises:
        ValueError: A site that the result does not hold, or an unknown value.
    """
    kind = choose_site(result, site)
    root = result.layers
    if value == "error":
        title, variable = "Error, relative to predicting 0", "relative_error"
        y: dict[str, Any] = {
            "title": {"text": "error / error of predicting 0"},
            "rangemode": "tozero",
        }
        model = root.mean_error.sel(site=kind).values / float(root.zero_error.mean())
    elif value == "r2":
        title, variable = "Best R² of any iterate's prediction", "prediction_r2"
        y = R2_AXIS
        model = _best_r2(result, kind)
    else:
        raise ValueError(f"value must be 'error' or 'r2', got {value!r}")
    layers, hover = root.layer.values, "layer %{x}: %{y:.3f}"
    traces = [line(layers, model, Look("trained model", INK, "solid", "circle"), hover)]
    for index, (name, control) in enumerate(result.data["controls"].children.items()):
        values = control.to_dataset()[variable].sel(site=kind).values
        if np.isfinite(values).any():
            look = Look(escape(name), *CONTROL_LOOKS[index % len(CONTROL_LOOKS)])
            traces.append(line(layers, values, look, hover))
    return draw(Panel(title, traces, layer_axis(result), y))


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
        line(
            places,
            _positive(error[:, point]),
            look,
            f"{what} %{{customdata:,.4~r}}: error %{{y:.3~g}}",
            mode="lines+markers" if steps is None else "lines",
            customdata=places if steps is None else steps,
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
        x=EXAMPLES_AXIS,
        y=_error_axis(result, kind),
    )


def _against_point(points: np.ndarray, error: np.ndarray, look: Look, width: int = 2) -> Scatter:
    stroke = {**look.line, "width": width}
    return line(points, _positive(error), look, "%{x} examples: error %{y:.3~g}", line=stroke)


def _examples(n: int) -> str:
    return f"{n} example{'' if n == 1 else 's'}"


def _positive(error: np.ndarray) -> np.ndarray:
    """An exact 0 has no place on a logarithmic axis; it is drawn far below it."""
    return np.where(error <= 0, 1e-300, error)


def _error_axis(result: MatchResult, kind: str) -> dict[str, Any]:
    root = result.layers
    return log_axis("squared error / d", root.error.sel(site=kind).values, root.model_error.values)


def _best_r2(result: MatchResult, kind: str) -> np.ndarray:
    tables = [
        result.reference(name).prediction_best_r2.sel(site=kind).values
        for name in stepping(result)
        if "prediction_best_r2" in result.reference(name)
    ]
    if not tables:
        return np.full(result.layers.sizes["layer"], np.nan)
    return np.maximum(np.max(tables, axis=0), 0)
