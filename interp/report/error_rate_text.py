"""How often such verdicts are right, in a sentence that a verdict quotes."""

from __future__ import annotations

from collections.abc import Sequence

from interp.results.error_rate import Counts, ErrorRates, shipped_rates, total, wilson
from probes.verdict import Verdict

KINDS = {
    "retained": ("verdicts that name one reference", "name the one that the model runs"),
    "nearest": (
        "verdicts that name a reference as the nearest only",
        "are of a model that runs none of the references",
    ),
    "undecided": ("undecided verdicts", "have the one that the model runs among those left"),
    "none": ("verdicts “none”", "are of a model that runs none of the references"),
}
"""For each kind of verdict what such verdicts are called, and what the right ones do."""


def error_rate(
    verdict: Verdict, readout: str, n_prompts: int, rates: ErrorRates | None = None
) -> str:
    """How often verdicts of this kind were right on models of known algorithm.

    Quoted are the runs with at most as many prompts, since more prompts make no verdict worse;
    where these are not counted by kind of verdict, the rates of all kinds together.

    Args:
        verdict: The verdict that quotes it.
        readout: Whether iterates were read out as layers are ("matched").
        n_prompts: Prompts that the verdict was taken from.
        rates: What a calibration counted; by default the one that ships with the package.
    """
    if readout != "matched":
        return "How often verdicts from raw read-outs are right is not known."
    rates = rates or shipped_rates()
    planted = _at_most(n_prompts, rates.planted)
    if not planted:
        return f"The verdict is not calibrated for as few as {n_prompts:,} prompts."
    kinds = [row for row in _at_most(n_prompts, rates.kinds) if row.kind == verdict.kind]
    return _of_kind(verdict.kind, kinds) if kinds else _of_all(planted, rates)


def _at_most(n_prompts: int, rows: Sequence[Counts]) -> list[Counts]:
    return [row for row in rows if row.n_prompts <= n_prompts]


def _of_kind(kind: str, rows: Sequence[Counts]) -> str:
    counts, (what, which) = total(rows), KINDS[kind]
    return (
        f"Of {counts.n} {what} in the calibration, with {_span(rows)} prompts, "
        f"{_share(counts.right, counts.n)} {which} ({_interval(counts.right, counts.n)})."
    )


def _of_all(planted: Sequence[Counts], rates: ErrorRates) -> str:
    counts = total(planted)
    noises = [row.noise or 0.0 for row in planted]
    sentence = (
        f"On {counts.n} runs over models of known algorithm, with {_span(planted)} prompts and "
        f"{_noise_text(noises)}, this verdict was right in {_share(counts.right, counts.n)}, "
        f"undecided in {_share(counts.undecided, counts.n)} and wrong in "
        f"{_share(counts.wrong, counts.n)} ({_interval(counts.wrong, counts.n)})"
    )
    controls = total(rates.controls)
    if controls.n:
        named = controls.n - controls.right
        sentence += (
            f"; on {controls.n} runs where there was nothing to find it did not say so in "
            f"{_share(named, controls.n)} ({_interval(named, controls.n)})"
        )
    withheld = total(rates.withheld)
    if withheld.n:
        sentence += (
            f"; on {withheld.n} whose algorithm was withheld from the references it named another "
            f"as if it were the one in {_share(withheld.wrong, withheld.n)} "
            f"({_interval(withheld.wrong, withheld.n)})"
        )
    return f"{sentence}."


def _span(rows: Sequence[Counts]) -> str:
    sizes = sorted({row.n_prompts for row in rows})
    return f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"


def _noise_text(noises: Sequence[float]) -> str:
    low, high = 100 * min(noises), 100 * max(noises)
    if low == high:
        return f"noise of {low:.0f} % of the stream's" if low else "no noise"
    return f"noise of {low:.0f} to {high:.0f} % of the stream's"


def _share(count: int, n: int) -> str:
    return f"{100 * count / n:.3g} %"


def _interval(count: int, n: int) -> str:
    low, high = wilson(count, n)
    return f"95 % interval {100 * low:.2g} to {100 * high:.2g} %"
