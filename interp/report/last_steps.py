"""Says where a best step is the last that was compared, and so means "at least"."""

from __future__ import annotations

from collections.abc import Sequence

from interp.plots.style import MEASURE_LABELS, reference_label
from interp.results.result import MatchResult
from interp.results.selection import AT_LEAST, Measure, choose_site, is_measured, stepping, steps_of


def last_steps_note(result: MatchResult, measures: Sequence[Measure]) -> str | None:
    """A sentence for every measure by which a layer is most like the end of a grid of steps."""
    parts = [
        f"The best step {MEASURE_LABELS[measure]} is the last that was compared, "
        f"and so at least that, for: {'; '.join(places)}."
        for measure in measures
        if (places := _places(result, measure))
    ]
    return " ".join(parts) or None


def _places(result: MatchResult, measure: Measure) -> list[str]:
    places = []
    for name in stepping(result):
        scores = result.reference(name).sel(site=choose_site(result, None))
        if not is_measured(scores, measure):
            continue
        found = steps_of(scores, measure)
        layers = [str(layer) for layer in found.layers[found.is_last]]
        if layers:
            where = f"layer{'s' if len(layers) > 1 else ''} {', '.join(layers)}"
            last = f"{AT_LEAST} {found.step[found.is_last][0]:,.0f} steps"
            places.append(f"{reference_label(name)} ({where}: {last})")
    return places
