"""How often the verdict was right, as `rates.json` keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any

from hooks.atomic import write_text
from interp.calibration.cell import FORMAT
from interp.calibration.outcome import Outcome
from interp.calibration.tally import Tally


def tally_by(
    outcomes: Iterable[Outcome], *keys: Callable[[Outcome], Any]
) -> dict[tuple[Any, ...], Tally]:
    """Counts grades within groups, in increasing order of their keys."""
    groups: dict[tuple[Any, ...], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(tuple(key(outcome) for key in keys), []).append(outcome)
    return {key: Tally.of(outcome.grade for outcome in groups[key]) for key in sorted(groups)}


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The content of `rates.json`: grades of planted models, controls and withheld references."""
    models = [o for o in outcomes if o.cell.expected != "none"]
    controls = [o for o in outcomes if o.cell.is_control]
    return {
        "format": FORMAT,
        "version": version("icl-interp"),
        "n_cells": len(outcomes),
        "planted": _by_noise(models),
        "controls": [
            {"control": control, "n_prompts": n_prompts, **vars(tally)}
            for (control, n_prompts), tally in tally_by(
                controls, lambda o: o.cell.control, lambda o: o.cell.n_prompts
            ).items()
        ],
        "withheld": _by_noise(o for o in outcomes if o.cell.withheld),
    }


def _by_noise(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    tallies = tally_by(outcomes, lambda o: o.cell.noise, lambda o: o.cell.n_prompts)
    return [
        {"noise": noise, "n_prompts": n_prompts, **vars(tally)}
        for (noise, n_prompts), tally in tallies.items()
    ]


def write_rates(outcomes: Sequence[Outcome], path: Any) -> None:
    """Writes `summarise(outcomes)` as JSON, atomically."""
    write_text(path, json.dumps(summarise(outcomes), indent=1) + "\n")
