"""Induced weights: similarity with those of references, and how much the examples span."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter

from interp.plots.heatmap import similarity_panel
from interp.plots.marks import line
from interp.plots.panel import EXAMPLES_AXIS, Panel, StepAxis, axis_of_layers, draw
from interp.plots.style import MUTED, Look, ordered_looks, reference_look

N_SHOWN_LAYERS = 6


def weights(weights: xarray.DataTree, reference: str = "newton") -> Figure:
    """SimW by step and layer, best match marked, as in Fig. 9 of Fu et al. 2024.

    Args:
        weights: What `interp.analyses.induced_weights.compare_induced_weights` found.
        reference: Name of a reference with steps.

    Raises:
        ValueError: A reference that was not compared, or has no steps.
    """
    scores, axis = _stepping(weights, reference)
    steps, layers = scores.step.values, scores.layer.values
    panel = similarity_panel(
        f"{reference_look(reference).label}: similarity of induced weights (SimW)",
        axis,
        steps,
        layers,
        scores.similarity.values,
        scores.best_step.values,
        unit="SimW",
        y=axis_of_layers(layers),
    )
    return draw(panel)


def weights_by_examples(weights: xarray.DataTree, reference: str = "newton") -> Figure:
    """SimW at each layer's best step against the number of examples (Fig. 13 and 14).

    Args:
        weights: What `interp.analyses.induced_weights.compare_induced_weights` found.
        reference: Name of a reference; one without steps is compared as it is.

    Raises:
        ValueError: A reference that was not compared.
    """
    scores, axis = _scores(weights, reference)
    places = axis.place(scores.step.values)
    best = axis.place(scores.best_step.values)
    shown = _shown(scores.layer.values)
    traces = []
    for layer, look in zip(shown, ordered_looks([f"layer {i}" for i in shown]), strict=True):
        index = int(np.abs(places - best[layer]).argmin())
        step = scores.step.values[index]
        traces.append(
            line(
                scores.point.values,
                scores.point_similarity.sel(layer=layer).values[index],
                look,
                f"%{{x}} examples, step {step:,.4g}: SimW %{{y:.3f}}",
            )
        )
    at = "" if len(places) == 1 else ", each layer at its best step"
    panel = Panel(
        title=f"{reference_look(reference).label}: SimW by number of examples{at}",
        traces=traces,
        x=EXAMPLES_AXIS,
        y={"title": {"text": "SimW (mean cosine)"}, "range": [min(-0.05, _lowest(traces)), 1.05]},
    )
    return draw(panel)


def span(weights: xarray.DataTree) -> Figure:
    """How much of the induced weights the examples span, as in Fig. 27 of Fu et al. 2024.

    Args:
        weights: What `interp.analyses.induced_weights.compare_induced_weights` found.
    """
    root = weights.to_dataset(inherit=False)
    shown = _shown(root.layer.values)
    hover = "%{x} examples: %{y:.3f}"
    chance = Look("a random direction", MUTED, "dash", "circle")
    traces = [line(root.point.values, root.random_in_span.values, chance, hover, mode="lines")]
    for layer, look in zip(shown, ordered_looks([f"layer {i}" for i in shown]), strict=True):
        here = root.sel(layer=layer)
        bounds = here.in_span_interval.values.T
        traces.append(line(root.point.values, here.in_span.values, look, hover, bounds))
    panel = Panel(
        title="Share of the induced weights that lies in the span of the examples",
        traces=traces,
        x=EXAMPLES_AXIS,
        y={"title": {"text": "share of squared length"}, "range": [0, 1.05]},
    )
    return draw(panel)


def references_of(weights: xarray.DataTree) -> tuple[str, ...]:
    """Names of the references that weights were compared with."""
    return tuple(weights.children)


def _scores(weights: xarray.DataTree, reference: str) -> tuple[xarray.Dataset, StepAxis]:
    if reference not in weights.children:
        known = ", ".join(references_of(weights))
        raise ValueError(f"reference {reference!r} was not compared; compared were {known}")
    scores = weights.children[reference].to_dataset()
    return scores, StepAxis(scores.attrs["spacing"] == "log", float(scores.step.values[-1]))


def _stepping(weights: xarray.DataTree, reference: str) -> tuple[xarray.Dataset, StepAxis]:
    scores, axis = _scores(weights, reference)
    if scores.sizes["step"] < 2:
        raise ValueError(f"reference {reference!r} has no steps")
    return scores, axis


def _shown(layers: np.ndarray) -> list[int]:
    """A few layers from the first to the last."""
    indices = np.linspace(0, len(layers) - 1, N_SHOWN_LAYERS).round()
    return sorted({int(layers[int(index)]) for index in indices})


def _lowest(traces: Sequence[Scatter]) -> float:
    return float(min(np.min(trace.y) for trace in traces)) - 0.05
