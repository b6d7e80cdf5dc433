"""Says where a best step is the last that was compared, and so means "at least"."""

from __future__ import annotations

from collections.abc import Sequence

from interp.last_step import AT_LEAST
from interp.plots.choice import choose_site, stepping
from interp.plots.measure import WORDS, Measure, is_measured, steps_of
from interp.plots.style import reference_label
from interp.result import MatchResult


def last_steps_note(result: MatchResult, measures: Sequence[Measure]) -> str | None:
    """A sentence for every measure by which a layer is most like the end of a grid of steps."""
    parts = [
        f"The best step {WORDS[measure]} is the last that was compared, and so at least that, for: "
        f"{'; '.join(places)}."
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
