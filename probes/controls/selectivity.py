"""How much a score exceeds those of its controls."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def selectivity(
    real: Float[Tensor, "*score"], control: Float[Tensor, "*score"]
) -> Float[Tensor, "*score"]:
    """Score of the real targets minus that of a control (Hewitt and Liang 2019, Section 2).

    Bootstrap replicates of both on the same prompts give the replicates of the difference.

    Raises:
        ValueError: The two differ in shape, or a score is not finite.
    """
    if real.shape != control.shape:
        raise ValueError(
            f"real and control must agree in shape, got {list(real.shape)} and "
            f"{list(control.shape)}"
        )
    for name, score in (("real", real), ("control", control)):
        if not bool(score.isfinite().all()):
            raise ValueError(f"{name} has scores that are not finite")
    return real - control


def control_p_value(
    real: Float[Tensor, "*score"], controls: Float[Tensor, " repeat *score"]
) -> Float[Tensor, "*score"]:
    """Chance that a control scores as high as the real targets (Phipson and Smyth 2010).

    Exact for permutation controls: (1 + controls at least as high) / (1 + controls), never 0.

    Raises:
        ValueError: No controls, or of another shape than the score.
    """
    if not len(controls) or controls.shape[1:] != real.shape:
        raise ValueError(
            f"controls must be [repeat, {', '.join(map(str, real.shape))}] with at least one "
            f"repeat, got {list(controls.shape)}"
        )
    return (1 + (controls >= real).sum(dim=0)).to(real) / (1 + len(controls))
