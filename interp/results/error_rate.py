"""How often verdicts are right where the truth is known: the content of a `rates.json`.

`interp calibrate` writes such a file; the one beside this module ships with the package.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec

Z2 = 1.959963984540054**2
"""The squared quantile of the normal distribution for intervals of 95 %."""


@dataclass(frozen=True)
class Counts:
    """Verdicts on models of known algorithm, counted by whether they are right."""

    right: int = 0
    undecided: int = 0
    wrong: int = 0
    n_prompts: int = 0
    """Prompts of each run; the most of them in a sum."""
    noise: float | None = None
    """Of the stream, in standard deviations of it, where runs are counted by noise."""
    control: str | None = None
    """Which control, where these are controls."""
    kind: str | None = None
    """`probes.verdict.Verdict.kind`, where verdicts are counted by kind."""

    @property
    def n(self) -> int:
        """The runs."""
        return self.right + self.undecided + self.wrong


@dataclass(frozen=True)
class ErrorRates:
    """What a calibration counted."""

    planted: tuple[Counts, ...]
    """Models that run a reference, by noise and number of prompts."""
    controls: tuple[Counts, ...] = ()
    """Models in which there is nothing to find, by control and number of prompts."""
    withheld: tuple[Counts, ...] = ()
    """Models whose own reference was left out, by noise and number of prompts."""
    kinds: tuple[Counts, ...] = ()
    """All of these by kind of verdict and number of prompts: whether what the verdict says is true.

    A family is the model's own, or among those that stay undecided; "nearest" and "none" are right
    where the model runs none of the references.
    """


@cache
def shipped_rates() -> ErrorRates:
    """The rates of the calibration that ships with the package."""
    content = (files("interp.results") / "rates.json").read_bytes()
    return msgspec.json.decode(content, type=ErrorRates)


def total(rows: Iterable[Counts]) -> Counts:
    """The sum of some counts."""
    rows = tuple(rows)
    right, undecided, wrong = (
        sum(getattr(row, grade) for row in rows) for grade in ("right", "undecided", "wrong")
    )
    return Counts(right, undecided, wrong, max((row.n_prompts for row in rows), default=0))


def wilson(count: int, n: int) -> tuple[float, float]:
    """The 95 % confidence interval of the share count / n (Wilson 1927).

    With z the normal quantile: (count + z²/2 ± z √(count (n - count) / n + z²/4)) / (n + z²). It is
    `scipy.stats.binomtest(count, n).proportion_ci(method="wilson")`, which takes half a second to
    import.

    Raises:
        ValueError: Not 0 <= count <= n with n at least 1.
    """
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"count must be between 0 and n, and n at least 1, got {count} of {n}")
    reach = math.sqrt(Z2 * (count * (n - count) / n + Z2 / 4))
    low, high = ((count + Z2 / 2 + side * reach) / (n + Z2) for side in (-1, 1))
    return max(0.0, low), min(1.0, high)
