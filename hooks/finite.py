"""NaN and infinite values are reported, never averaged away."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


class NonFiniteError(ValueError):
    """A model, a file or a prompt holds NaN or infinite values; the message says where."""


def check_finite(values: Float[Tensor, "prompt ..."], where: str, first_prompt: int = 0) -> None:
    """Raises if a value is not finite.

    Args:
        values: What to look at.
        where: What it is, to begin the message with.
        first_prompt: Index of the first of these prompts among all.

    Raises:
        NonFiniteError: The message names the first bad prompt, and how many more there are.
    """
    # A sum is one cheap pass; only what it cannot clear is looked at number by number.
    if values.sum().isfinite():
        return
    bad = (~values.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise NonFiniteError(
            f"{where}: NaN or infinite values at prompt {first_prompt + int(bad[0])}{more}"
        )
