"""NaN and infinite values are reported, never averaged away."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class NonFiniteError(ValueError):
    """A model, a file or a prompt holds NaN or infinite values; the message says where."""


def check_finite(
    values: Float[Tensor, "prompt ..."],
    where: str,
    first_prompt: int = 0,
    *,
    first_point: int = 0,
    axis: str = "point",
    skipping: str = "",
) -> None:
    """Raises if a value is not finite.

    Args:
        values: Values to check; the second axis, if there is one, is that of the points.
        where: What they are, to begin the message with.
        first_prompt: Index of the first of these prompts among all.
        first_point: Points before this one are not checked.
        axis: What the second axis is called in the message.
        skipping: The function that takes `points_from`, to be named where only the first points
            are bad, in every prompt.

    Raises:
        NonFiniteError: The message names the first bad prompt and its points, how many more
            prompts there are, and the remedy where the values show one.
    """
    if first_point:
        values = values[:, first_point:]
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
        points = places[bad[0]].nonzero().flatten() + first_point
        span = f"{axis} {points[0]}" if len(points) == 1 else f"{axis}s {points[0]} to {points[-1]}"
        message += f" ({span})"
        n_first = int(places.any(0).sum())
        if skipping and n_first < places.shape[1] and places[:, :n_first].all():
            start = first_point + n_first
            message += f"; {skipping}(…, points_from={start}) leaves out the points before {start}"
    if values.dtype == torch.float16:
        message += "; float16 ends at 65504: run the model in float32"
    raise NonFiniteError(message)
