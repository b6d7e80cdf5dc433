"""Pictures, one question a file: plotly figures that compute no score of their own.

Most show a `MatchResult`; those of views and interventions show the data of these.
"""

from __future__ import annotations

import warnings
from typing import Any

from interp.plots.ablation import ablation, head_ablation, shift
from interp.plots.algorithms import algorithms, separation
from interp.plots.anatomy import filters, resolved, shares
from interp.plots.curve import curve
from interp.plots.direct import direct, disagreement, selectivity, unique_variance
from interp.plots.errors import controls, error
from interp.plots.heads import heads
from interp.plots.heatmap import heatmap, points
from interp.plots.induced_weights import span, weights, weights_by_examples
from interp.plots.influence import influence
from interp.plots.interchange import interchange
from interp.plots.layer_order import layer_order
from interp.plots.mixtures import mixtures
from interp.plots.patterns import looked_at, patterns
from interp.plots.sites import halves, sites
from interp.plots.steering import steering

__all__ = [
    "ablation",
    "algorithms",
    "controls",
    "curve",
    "direct",
    "disagreement",
    "error",
    "filters",
    "halves",
    "head_ablation",
    "heads",
    "heatmap",
    "influence",
    "interchange",
    "layer_order",
    "looked_at",
    "mixtures",
    "patterns",
    "points",
    "resolved",
    "selectivity",
    "separation",
    "shares",
    "shift",
    "sites",
    "span",
    "steering",
    "unique_variance",
    "weights",
    "weights_by_examples",
]


def __getattr__(name: str) -> Any:
    """The deprecated `plot_curve` of 0.1 for `curve`, and likewise for every other picture."""
    picture = name.removeprefix("plot_")
    if picture == name or picture not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    words = f"interp.plots.{name} is deprecated; use interp.plots.{picture} instead"
    warnings.warn(words, DeprecationWarning, stacklevel=2)
    return globals()[picture]
