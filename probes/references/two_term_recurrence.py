"""Residuals of iterations with momentum, at any whole step in closed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def two_term_recurrence(
    trace: Float[Tensor, "prompt point direction"],
    product: Float[Tensor, "prompt point direction"],
    discriminant: Float[Tensor, "prompt point direction"],
) -> Callable[[float], Float[Tensor, "prompt point direction"]]:
    """Solves p_{k+1} = trace p_k - product p_{k-1} with p_0 = 1, p_1 = trace - product.

    p_k = p_1 h_k - product h_{k-1} with h_k = (r^k - s^k) / (r - s) and r, s the roots of
    z^2 - trace z + product. h is computed from the ratio of the roots where they are real and from
    their angle where they are complex, so a double root needs no special case.

    Args:
        trace: Sum of the roots.
        product: Their product; negative where they are real and of opposite sign.
        discriminant: trace^2 - 4 product, from a form that keeps its digits near 0.

    Returns:
        p_k as a function of a whole k.
    """
    is_real = discriminant >= 0
    distance = discriminant.abs().sqrt()
    tiny = torch.finfo(trace.dtype).tiny
    modulus = torch.where(is_real, (trace.abs() + distance) / 2, product.abs().sqrt())
    log_modulus = modulus.clamp(min=tiny).log()
    sign = torch.where(trace < 0, -1.0, 1.0)
    # real roots: the smaller over the larger is 1 - gap, from -1 to 1
    gap = torch.where(is_real, distance / modulus.clamp(min=tiny), 0.0)
    alternates = gap > 1
    log_ratio = torch.log1p(torch.where(alternates, gap - 2, -gap).clamp(min=-1))
    log_ratio.clamp_(min=torch.finfo(trace.dtype).min)
    angle = torch.where(is_real, 0.0, torch.atan2(distance, trace.abs()))

    def geometric_sum(k: float) -> Tensor:
        """h_k / r^(k-1) for real roots, h_k / |r|^(k-1) for complex ones, up to sign^(k-1)."""
        of_real = torch.expm1(k * log_ratio).neg()
        if k % 2:
            of_real = torch.where(alternates, 2 - of_real, of_real)
        of_real = torch.where(gap > 0, of_real / gap, k)
        of_complex = torch.where(angle > 0, (k * angle).sin() / angle.sin(), k)
        return torch.where(is_real, of_real, of_complex)

    def h(k: float) -> Tensor:
        parity = 1.0 if k % 2 else sign
        return parity * ((k - 1) * log_modulus).exp() * geometric_sum(k)

    def residual(k: float) -> Tensor:
        if k == 0:
            return torch.ones_like(trace)
        return (trace - product) * h(k) - product * h(k - 1) if k > 1 else trace - product

    return residual


def momentum_at_zero(
    eta: Float[Tensor, "prompt point"], beta: Float[Tensor, "prompt point"], step: float
) -> Float[Tensor, "prompt point"]:
    """What v <- beta v + eta, w <- w + v reaches from 0, by doubling and without a subtraction."""
    decay, push, carry, drift = beta, eta, beta, eta
    reached, velocity = torch.zeros_like(eta), torch.zeros_like(eta)
    remaining = int(step)
    while remaining:
        if remaining & 1:
            reached = reached + carry * velocity + drift
            velocity = decay * velocity + push
        drift = 2 * drift + carry * push
        carry = carry * (1 + decay)
        push = push * (1 + decay)
        decay = decay.square()
        remaining >>= 1
    return reached
