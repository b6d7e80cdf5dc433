"""Residuals of iterations with momentum, at any whole step in closed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Residual = Callable[[float], Tensor]


def two_term_recurrence(
    trace: Float[Tensor, "prompt point direction"],
    product: Float[Tensor, "prompt point direction"],
    discriminant: Float[Tensor, "prompt point direction"],
) -> Residual:
    """Solves p_{k+1} = trace p_k - product p_{k-1} with p_0 = 1, p_1 = trace - product.

    Args:
        trace: Sum of the roots of z^2 - trace z + product.
        product: Product of the roots; negative where they are real and of opposite sign.
        discriminant: trace^2 - 4 product, from a form that keeps its digits near 0.

    Returns:
        p_k as a function of a whole k.
    """
    # a negative trace turns the sign of every other term of the recurrence of |trace|
    sign = torch.where(trace < 0, -1.0, 1.0)
    first = sign * (trace - product)
    any_negative = bool((sign < 0).any())
    is_complex = discriminant <= 0
    of_complex = torch.nonzero(is_complex.flatten())[:, 0]
    of_real = torch.nonzero(~is_complex.flatten())[:, 0]

    sums, distances = trace.abs().flatten(), discriminant.abs().sqrt().flatten()
    firsts, products = first.flatten(), product.flatten()
    complex_roots = _complex_roots(
        sums[of_complex], products[of_complex], distances[of_complex], firsts[of_complex]
    )
    real_roots = _real_roots(sums[of_real], distances[of_real], firsts[of_real])

    def residual(k: float) -> Tensor:
        if not len(of_real):
            values = complex_roots(k).reshape(trace.shape)
        else:
            values = torch.empty_like(trace)
            values.view(-1)[of_complex] = complex_roots(k)
            values.view(-1)[of_real] = real_roots(k)
        return sign * values if any_negative and k % 2 else values

    return residual


def _complex_roots(trace: Tensor, product: Tensor, distance: Tensor, first: Tensor) -> Residual:
    """|r|^k (cos(k angle) + tilt sin(k angle)); a double root is a vanishing angle."""
    modulus = product.sqrt().clamp(min=1e-100)
    angle = torch.atan2(distance, trace).clamp(min=1e-150)
    log_modulus = modulus.log()
    tilt = (first / modulus - angle.cos()) / angle.sin()

    def residual(k: float) -> Tensor:
        turned = k * angle
        return (k * log_modulus).exp_() * turned.cos().addcmul_(tilt, turned.sin())

    return residual


def _real_roots(trace: Tensor, distance: Tensor, first: Tensor) -> Residual:
    """r^k (1 + slope (1 - (s / r)^k)) with r the larger root and s / r from -1 to 1."""
    larger = (trace + distance) / 2
    gap = distance / larger  # 1 - s / r, from 0 to 2
    alternates = gap > 1
    log_larger = larger.log()
    log_ratio = torch.log1p(torch.where(alternates, gap - 2, -gap).clamp(min=-1))
    log_ratio.clamp_(min=torch.finfo(trace.dtype).min)
    slope = (first / larger - 1) / gap
    any_alternates = bool(alternates.any())

    def residual(k: float) -> Tensor:
        vanished = (k * log_ratio).expm1_().neg_()
        if any_alternates and k % 2:
            vanished = torch.where(alternates, 2 - vanished, vanished)
        return (k * log_larger).exp_() * vanished.mul_(slope).add_(1)

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
