"""The match curve: best-matching step against layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from plotly.graph_objects import Figure, Scatter

from interp.plots.marks import placed_line
from interp.plots.panel import Panel, StepAxis, draw, layer_axis
from interp.plots.style import MEASURE_LABELS, reference_look
from interp.results.result import MatchResult
from interp.results.selection import (
    AT_LEAST,
    Measure,
    Steps,
    choose_site,
    choose_stepping,
    evidence_by,
    is_measured,
    leading_measure,
    steps_of,
)
from probes.verdict import Evidence

UNCHANGED = 1e-4
"""A layer that changes the residual stream by less, relatively, does nothing."""


def curve(
    result: MatchResult,
    references: Sequence[str] | None = None,
    *,
    measure: Measure | None = None,
    site: str | None = None,
) -> Figure:
    """Best-matching step against layer, with bootstrap intervals and the constant rate.

    References matched on a linear and on a logarithmic grid of steps get a panel each. Markers
    are filled over the layers that the verdict fitted a rate to, and hollow elsewhere; the line is
    that constant rate, which bends on a logarithmic axis.

    Args:
        result: What `match` found.
        references: Names of references with steps; by default all.
        measure: What steps are matched by; by default what the verdict quotes.
        site: Kind of site; by default the first, which alone has a rate.

    Raises:
        ValueError: A reference or a site that the result does not hold.
    """
    kind = choose_site(result, site)
    chosen = measure or leading_measure(result)
    is_judged = kind == choose_site(result, None)
    drawn = _Curve(result, chosen, kind, evidence_by(result, chosen) if is_judged else {})
    names = [
        name
        for name in choose_stepping(result, references)
        if is_measured(result.reference(name), chosen)
    ]
    axes = {name: StepAxis.of(result, name) for name in names}
    groups = [[name for name in names if axes[name].is_log is is_log] for is_log in (False, True)]
    return draw(*(drawn.panel(group, axes) for group in groups if group))


@dataclass(frozen=True)
class _Curve:
    result: MatchResult
    measure: Measure
    kind: str
    evidence: dict[str, Evidence]

    def panel(self, names: Sequence[str], axes: dict[str, StepAxis]) -> Panel:
        axis = max((axes[name] for name in names), key=lambda axis: axis.largest)
        return Panel(
            title=(
                f"Best step {MEASURE_LABELS[self.measure]}, "
                f"{'log' if axis.is_log else 'linear'} axis"
            ),
            traces=[trace for name in names for trace in self.traces(name, axes[name])],
            x=layer_axis(self.result),
            y=axis.properties("best-matching step"),
            bands=self.bands(),
        )

    def traces(self, name: str, axis: StepAxis) -> list[Scatter]:
        """Filled markers, hollow markers, and the constant rate, under one entry of the legend."""
        found = steps_of(self.result.reference(name).sel(site=self.kind), self.measure)
        label = reference_look(name).label
        item = self.evidence.get(name)
        if item is None:
            everywhere = np.ones(len(found.layers), dtype=bool)
            return [self.markers(name, label, found, everywhere, axis)]
        inside = (found.layers >= item.first_layer) & (found.layers <= item.last_layer)
        label = f"{label}: {_rate(item.rate.value)} a layer"
        outside = self.markers(name, label, found, ~inside, axis)
        outside.update(marker_symbol=f"{reference_look(name).symbol}-open", showlegend=False)
        return [
            self.rate_line(item, found, inside, axis),
            self.markers(name, label, found, inside, axis),
            outside,
        ]

    def markers(
        self, name: str, label: str, found: Steps, shown: np.ndarray, axis: StepAxis
    ) -> Scatter:
        unit = "similarity" if self.measure == "similarity" else "R²"
        step, bounds, score = found.step[shown], found.bounds[shown], found.score[shown]
        return placed_line(
            found.layers[shown],
            step,
            bounds,
            reference_look(name),
            place=axis.place,
            digits=",.3~f",
            hover="layer %{x}: step %{text}",
            more_hover=f"<br>{unit} %{{customdata[3]:.3f}}",
            mode="markers",
            name=label,
            legendgroup=name,
            customdata=np.column_stack([step, bounds, score]),
            text=np.where(found.is_last[shown], f"{AT_LEAST} ", ""),
        )

    def rate_line(
        self, item: Evidence, found: Steps, inside: np.ndarray, axis: StepAxis
    ) -> Scatter:
        """The line of slope `rate` through the middle of the ramp: the least-squares fit to it."""
        depth = np.cumsum(self.change > UNCHANGED)
        seen = inside & np.isfinite(found.step)
        along = np.linspace(item.first_layer, item.last_layer, 64)
        line = np.full(len(along), np.nan)
        if seen.any():
            depths = np.interp(along, found.layers, depth) - depth[seen].mean()
            line = found.step[seen].mean() + item.rate.value * depths
        look = reference_look(item.name)
        return Scatter(
            x=along,
            y=np.where(line >= 0, axis.place(line), np.nan),
            mode="lines",
            line={**look.line, "width": 1.5},
            name=f"{look.label}: constant rate",
            legendgroup=item.name,
            showlegend=False,
            hoverinfo="skip",
        )

    @property
    def change(self) -> np.ndarray:
        return self.result.layers.change.sel(site=self.kind).values

    def bands(self) -> list[tuple[float, float, str]]:
        """Layers before any ramp, and layers that do nothing."""
        layers = self.result.layers.layer.values
        bands = []
        if self.evidence:
            first = min(item.first_layer for item in self.evidence.values())
            if first > layers[0]:
                bands.append((layers[0] - 0.5, first - 0.5, "not started"))
        bands += [
            (layer - 0.5, layer + 0.5, "does nothing")
            for layer, amount in zip(layers, self.change, strict=True)
            if amount <= UNCHANGED
        ]
        return bands


def _rate(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
