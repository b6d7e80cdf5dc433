"""Grades of verdicts on known models, counted, and what a count says of a share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

Grade = Literal["right", "undecided", "wrong"]


@dataclass(frozen=True)
class Tally:
    """Verdicts on known models, counted by grade."""

    right: int = 0
    undecided: int = 0
    wrong: int = 0

    @classmethod
    def of(cls, grades: Iterable[Grade]) -> Tally:
        found = list(grades)
        return cls(*(found.count(grade) for grade in get_args(Grade)))

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
