"""How often the verdict was right, and the sentence that a verdict can quote."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from statistics import NormalDist
from typing import Any

from hooks.atomic import write_text
from interp.calibration.cell import FORMAT
from interp.calibration.outcome import Outcome


@dataclass(frozen=True)
class Tally:
    """Outcomes counted by grade."""

    right: int = 0
    undecided: int = 0
    wrong: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Tally:
        grades = [outcome.grade for outcome in outcomes]
        return cls(*(grades.count(grade) for grade in ("right", "undecided", "wrong")))

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.right + other.right, self.undecided + other.undecided, self.wrong + other.wrong
        )

    @property
    def n(self) -> int:
        return self.right + self.undecided + self.wrong


def wilson(count: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a share (Wilson 1927), sensible at 0 and at n too.

    Raises:
        ValueError: Not 0 <= count <= n with n at least 1.
    """
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"count must be between 0 and n, and n at least 1, got {count} of {n}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = count / n
    middle = share + z**2 / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    low, high = (middle - reach) / scale, (middle + reach) / scale
    return low if count else 0.0, high if count < n else 1.0


def tally_by(
    outcomes: Iterable[Outcome], *keys: Callable[[Outcome], Any]
) -> dict[tuple[Any, ...], Tally]:
    """Counts grades within groups, in increasing order of their keys."""
    groups: dict[tuple[Any, ...], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(tuple(key(outcome) for key in keys), []).append(outcome)
    return {key: Tally.of(groups[key]) for key in sorted(groups)}


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


@cache
def shipped_rates() -> dict[str, Any]:
    """The rates of the calibration that ships with the package."""
    return json.loads((files("interp.calibration") / "rates.json").read_text(encoding="utf-8"))


def quoted_error_rate(
    n_prompts: int, *, noise: float | None = None, rates: Mapping[str, Any] | None = None
) -> str:
    """How often the verdict was right on known models, as a sentence for a verdict to quote.

    Args:
        n_prompts: Prompts that the verdict was taken from. Quoted are the rates of all calibrated
            numbers of prompts that are not above it, since more prompts make no verdict worse.
        noise: Noise in the stream, relative to its standard deviation, where that is known: the
            rates of the smallest calibrated noise that is not below it are quoted. By default
            those of all noise levels together.
        rates: What `summarise` gave; by default the shipped calibration.

    Raises:
        ValueError: `n_prompts` or `noise` is out of range.
    """
    if n_prompts < 1:
        raise ValueError(f"n_prompts must be at least 1, got {n_prompts}")
    if noise is not None and not noise >= 0:
        raise ValueError(f"noise must be at least 0, got {noise}")
    rates = shipped_rates() if rates is None else rates
    planted = rates["planted"]
    if noise is not None:
        levels = sorted({row["noise"] for row in planted if row["noise"] >= noise})
        if not levels:
            return (
                f"The verdict is not calibrated for noise of {100 * noise:.0f} % of the stream's."
            )
        planted = [row for row in planted if row["noise"] == levels[0]]
    sizes = sorted({row["n_prompts"] for row in planted if row["n_prompts"] <= n_prompts})
    if not sizes:
        return f"The verdict is not calibrated for as few as {n_prompts:,} prompts."
    tally = _total(row for row in planted if row["n_prompts"] in sizes)
    noises = sorted({row["noise"] for row in planted if row["n_prompts"] in sizes})
    span = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    sentence = (
        f"On {tally.n} runs over models of known algorithm, with {span} prompts and "
        f"{_noise_text(noises)}, this verdict was right in {_share(tally.right, tally.n)}, "
        f"undecided in {_share(tally.undecided, tally.n)} and wrong in "
        f"{_share(tally.wrong, tally.n)} ({_interval(tally.wrong, tally.n)})"
    )
    controls = _total(rates["controls"])
    if controls.n:
        named = controls.n - controls.right
        sentence += (
            f"; on {controls.n} runs where there was nothing to find it did not say so in "
            f"{_share(named, controls.n)} ({_interval(named, controls.n)})"
        )
    withheld = _total(rates["withheld"])
    if withheld.n:
        sentence += (
            f"; on {withheld.n} whose algorithm was withheld from the references it named another "
            f"as if it were the one in {_share(withheld.wrong, withheld.n)} "
            f"({_interval(withheld.wrong, withheld.n)})"
        )
    return f"{sentence}."


def _total(rows: Iterable[Mapping[str, Any]]) -> Tally:
    tallies = (Tally(row["right"], row["undecided"], row["wrong"]) for row in rows)
    return sum(tallies, Tally())


def _noise_text(noises: Sequence[float]) -> str:
    low, high = 100 * noises[0], 100 * noises[-1]
    if low == high:
        return f"noise of {low:.0f} % of the stream's" if low else "no noise"
    return f"noise of {low:.0f} to {high:.0f} % of the stream's"


def _share(count: int, n: int) -> str:
    return f"{100 * count / n:.3g} %"


def _interval(count: int, n: int) -> str:
    low, high = wilson(count, n)
    return f"95 % interval {100 * low:.2g} to {100 * high:.2g} %"
