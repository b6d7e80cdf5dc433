"""NaN and infinite values are reported, never averaged away."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class NonFiniteError(ValueError):
    """A model, a file or a prompt holds NaN or infinite values; the message says where."""


def check_finite(
    values: Float[Tensor, "prompt ..."],
    where: str,
    first_prompt: int = 0,
    *,
    points: Sequence[int] | None = None,
    axis: str = "point",
    opener: str = "",
    in_match: bool = True,
) -> None:
    """Raises if a value is not finite.

    Args:
        values: Values to check; the second axis, if there is one, is that of the points.
        where: What they are, to begin the message with.
        first_prompt: Index of the first of these prompts among all.
        points: Those to check, in ascending order; None for all.
        axis: What the second axis is called in the message.
        opener: The function that takes `points_from`, to be named where the same first points are
            bad in every prompt.
        in_match: Whether a match can leave bad points out by its `points`, which are named too.

    Raises:
        NonFiniteError: The message names the first bad prompt and its points, how many more
            prompts there are, and the remedy where the values show one.
    """
    if points is not None:
        values = values[:, index_of(points)]
    # A sum is one cheap pass; only what it cannot clear is looked at number by number.
    if values.sum().isfinite():
        return
    n_points = values.shape[1] if values.ndim > 1 else 1
    places = (~values.isfinite()).reshape(len(values), n_points, -1).any(2)
    bad = places.any(1).nonzero().flatten()
    if not len(bad):
        return
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    message = f"{where}: NaN or infinite values at prompt {first_prompt + int(bad[0])}{more}"
    if values.ndim > 1:
        numbers = range(n_points) if points is None else points
        of_prompt = [numbers[int(place)] for place in places[bad[0]].nonzero()]
        last = f" to {of_prompt[-1]}" if len(of_prompt) > 1 else ""
        message += f" ({axis}{'s' if last else ''} {of_prompt[0]}{last})"
        if opener:
            message += _remedy(places, numbers, opener, in_match)
    if values.dtype == torch.float16:
        message += "; float16 ends at 65504: run the model in float32"
    raise NonFiniteError(message)


def index_of(points: Sequence[int]) -> slice | list[int]:
    """Ascending points as an index: a slice, which copies nothing, where they follow each other."""
    first, last = points[0], points[-1]
    return slice(first, last + 1) if len(points) == last - first + 1 else list(points)


def _remedy(
    places: Bool[Tensor, "prompt point"], points: Sequence[int], opener: str, in_match: bool
) -> str:
    """How to leave out the first or last points, if they are bad in every prompt."""
    is_bad = places.any(0)
    good = (~is_bad).nonzero().flatten().tolist()
    if not good or not places[:, is_bad].all() or len(good) <= good[-1] - good[0]:
        return ""
    start, stop = points[good[0]], points[good[-1]]
    if good[-1] < len(points) - 1:
        remedies = [f'points="{start}-{stop}" in a match (--points {start}-{stop})'] * in_match
    else:
        remedies = [f"{opener}(…, points_from={start})"]
        remedies += [f'points="{start}-" in a match (--points {start}-)'] * in_match
    return f"; {' or '.join(remedies)} leaves these points out" if remedies else ""
