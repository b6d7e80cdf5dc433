"""The sentence on how often the verdict is right that a verdict can quote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from interp.calibration.tally import Tally, wilson


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
        rates: The content of a `rates.json`; by default the shipped calibration.

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
