"""Pictures as members of a result: `result.plot.curve()` is `interp.plots.curve(result)`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import Any

from plotly.graph_objects import Figure

from interp import plots
from interp.results.result import MatchResult

OF_RESULT = (
    *("controls", "curve", "direct", "disagreement", "error", "halves"),
    *("heatmap", "points", "selectivity", "sites", "unique_variance"),
)
OF_VIEW = {
    "filters": "anatomy",
    "heads": "heads",
    "influence": "influence",
    "looked_at": "patterns",
    "mixtures": "anatomy",
    "patterns": "patterns",
    "resolved": "anatomy",
    "shares": "anatomy",
    "span": "weights",
    "weights": "weights",
    "weights_by_examples": "weights",
}
"""Pictures of what `interp.match(…, show=…)` adds to a result, by the view that they show."""


@dataclass(frozen=True)
class PlotAccessor:
    """The functions of `interp.plots` that show a match, called without their first argument."""

    result: MatchResult

    def __getattr__(self, name: str) -> Callable[..., Figure]:
        if name in OF_RESULT:
            data: Any = self.result
        elif name in OF_VIEW:
            data = self.result.view(OF_VIEW[name])
        else:
            raise AttributeError(f"a match has no picture {name!r}; it has {', '.join(dir(self))}")
        function: Callable[..., Figure] = getattr(plots, name)
        return update_wrapper(partial(function, data), function)

    def __dir__(self) -> list[str]:
        return sorted(
            [*OF_RESULT, *(name for name in OF_VIEW if OF_VIEW[name] in self.result.views)]
        )


def __getattr__(name: str) -> Callable[..., Figure]:
    """The deprecated `result.plot_curve(...)` of 0.1, and likewise for every other picture."""
    picture = name.removeprefix("plot_")
    if picture == name or picture not in (*OF_RESULT, *OF_VIEW):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def deprecated(result: MatchResult, *arguments: Any, **options: Any) -> Figure:
        words = f"result.{name}() is deprecated; call result.plot.{picture}() instead"
        warnings.warn(words, DeprecationWarning, stacklevel=2)
        return getattr(PlotAccessor(result), picture)(*arguments, **options)

    return deprecated
