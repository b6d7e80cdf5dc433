"""Points of prompts that an analysis is restricted to."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence

POINTS = r"(\d+|\d*-\d*)(,(\d+|\d*-\d*))*"
"""Points as text, such as "3-10", "3-", "-10" or "2,5,8-10"; both ends belong to a range."""


def check_points(points: Sequence[int] | str | None) -> tuple[int, ...] | str | None:
    """Points as a text without spaces, or as numbers.

    Raises:
        ValueError: They are neither numbers nor a text as `POINTS` describes.
    """
    if points is None:
        return None
    if isinstance(points, str):
        text = points.replace(" ", "")
        if not re.fullmatch(POINTS, text):
            raise ValueError(f'points must be such as "3-10", "3-" or "2,5,8", got {points!r}')
        return text
    try:
        return tuple(operator.index(point) for point in points)
    except TypeError:
        raise ValueError(
            f'points must be whole numbers, or a text such as "3-10", got {points!r}'
        ) from None


def points_to_read(
    points: Sequence[int] | str | None, n_points: int, first_point: int = 0
) -> Sequence[int]:
    """The points that are asked for, in ascending order; all that can be read without any.

    Args:
        points: Their numbers, or a text as `POINTS` describes; the point t follows t pairs.
        n_points: Of the prompts.
        first_point: First point that the model can be read at.

    Raises:
        ValueError: As `check_points`; a point that there is not, one twice, or fewer than two that
            follow a pair.
    """
    checked = check_points(points)
    if checked is None:
        found: Sequence[int] = range(first_point, n_points)
    elif isinstance(checked, str):
        found = [
            point for part in checked.split(",") for point in _of_part(part, first_point, n_points)
        ]
    else:
        found = checked
    if len(set(found)) < len(found):
        raise ValueError(f"points must each be given once, got {points!r}")
    if beyond := [point for point in found if not first_point <= point < n_points]:
        raise ValueError(
            f"points must be from {first_point} to {n_points - 1}, those that can be read of "
            f"{n_points}, got {beyond[0]}"
        )
    if sum(point > 0 for point in found) < 2 and (points is not None or first_point):
        raise ValueError(f"points must be at least two that follow a pair, got {list(found)}")
    return found if isinstance(found, range) else sorted(found)


def _of_part(part: str, first_point: int, n_points: int) -> range:
    start, dash, stop = part.partition("-")
    low = int(start or first_point)
    high = int(stop or n_points - 1) if dash else low
    if low > high:
        raise ValueError(f"points {part} end before they begin; the last point is {n_points - 1}")
    return range(low, high + 1)


def points_words(points: Sequence[int] | None, n_points: int) -> str:
    """Points in a few words, such as "points 3 to 10"; nothing for all of them."""
    if points is None or len(points) == n_points:
        return ""
    if len(points) == points[-1] - points[0] + 1:
        return f"points {points[0]} to {points[-1]}"
    return f"points {', '.join(map(str, points))}"
