"""Numbers that hold at one scale only, and how models are called."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from interp.paper.cast import Cast
from interp.paper.finding import Check, Outcome


def describe(cast: Cast, role: str) -> str:
    """The model in a role, its layers and its dimension: "gpt2-d5 (8 layers, d = 5)"."""
    member = cast.find(role)
    assert member is not None
    return f"{member.name} ({member.model.n_layers} layers, d = {member.task.n_dims})"


def number_check(
    claim: str,
    found: float,
    published: float,
    tolerance: float,
    *,
    at_scale: bool,
    about: str,
    interval: Float[Tensor, " bound"] | None = None,
    digits: int = 3,
) -> Check:
    """Holds a number against the one that the paper prints.

    Args:
        claim: What the number is.
        found: Ours.
        published: The paper's.
        tolerance: Largest difference at which they agree.
        at_scale: Whether ours was measured in the paper's set-up; otherwise the two are shown side
            by side and nothing is decided.
        about: Which model and prompts.
        interval: Of ours.
        digits: Significant ones to show.
    """
    text = f"{found:,.{digits}g}"
    if interval is not None:
        text += f" ({interval[0].item():,.{digits}g} to {interval[1].item():,.{digits}g})"
    criterion = f"within {tolerance:,.3g} of the published number"
    outcome: Outcome = "agrees" if abs(found - published) <= tolerance else "disagrees"
    if not at_scale:
        criterion += " in the paper's set-up; at another scale shown beside it, not decided"
        outcome = "cannot be told"
    return Check(claim, text, criterion, outcome, f"{published:,.4g}", about)
