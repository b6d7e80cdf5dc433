"""Constants that make a fixed step size safe for practically every standard normal prompt."""

from __future__ import annotations

import math


def largest_singular_value(n_dims: int, n_points: int) -> float:
    """A bound on the largest singular value of X for x ~ N(0, I), at the last point of a prompt.

    sqrt(n_points - 1) + sqrt(n_dims) is the edge of the spectrum (Davidson and Szarek 2001), and
    2.6 the margin: none of 2 million prompts at d = 5 and 11 points, and none of 100,000 at d = 20
    and 41 points, went beyond.
    """
    return math.sqrt(n_points - 1) + math.sqrt(n_dims) + 2.6


def power_of_two_below(bound: float) -> float:
    """The largest power of two that is not above `bound`: exact in any floating-point format."""
    return 2.0 ** math.floor(math.log2(bound))
