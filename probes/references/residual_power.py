"""Powers of a residual factor, 1 - (1 - u)^n, without loss of digits or overflow."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def one_minus_power(
    contraction: Float[Tensor, "prompt point direction"],
) -> Callable[[float, float], Float[Tensor, "prompt point direction"]]:
    """Prepares 1 - (1 - u)^n for many exponents n.

    |1 - u|^n is the exponential of n log1p(-u), or of n log1p(u - 2) where u > 1 and the factor is
    negative, so a small u keeps all its digits and a u next to 2 does as well.

    Args:
        contraction: u, at least 0.

    Returns:
        A function of the exponent n and of the sign that a negative factor's power takes (a
        number from -1 to 1).
    """
    negative = contraction > 1
    log_factor = torch.log1p(torch.where(negative, contraction - 2, -contraction))
    log_factor.clamp_(min=torch.finfo(log_factor.dtype).min)  # 0^0 is 1
    any_negative = bool(negative.any())

    def evaluate(exponent: float, sign: float) -> Tensor:
        learnt = (log_factor * exponent).expm1_().neg_()
        if any_negative and sign != 1:
            return torch.where(negative, (1 - sign) + sign * learnt, learnt)
        return learnt

    return evaluate


def alternating_sign(step: float) -> float:
    """(-1)^step for whole steps and cos(pi step), its real part, between them."""
    return math.cos(math.pi * math.fmod(step, 2.0))
