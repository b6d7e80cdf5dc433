"""Claims about how matching steps grow from layer to layer, and how fast errors fall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp.paper.finding import Check, Outcome
from interp.paper.layer_predictions import LayerPredictions
from interp.paper.settings import N_GROUPS, N_REPLICATES
from probes.controls.bootstrap import bootstrap_weights, interval
from probes.convergence import convergence_order
from probes.growth_law import growth_law

Law = Literal["linear", "exponential"]
"""Of matching steps against depth. A line explains the steps, or their logarithm."""

CLEAR = 2.0
"""How many times less of the variance the expected law leaves unexplained, to be preferred."""
NEGLIGIBLE = 1e-4
"""Share of the variance below which a law describes the steps for all purposes."""
FIRST_STEP = 1.0
"""A law is asked of layers from the first that matches a whole step on."""
STARTED = 0.95
"""A layer works once its error is below this share of that of predicting 0 …"""
CONVERGED = 0.01
"""… and the last to work is the first whose excess over the limit is below this share of it."""
LAW_CRITERION = (
    "a straight line through the layers at work, from the first matching step of 1 on, leaves "
    "unexplained at most half as large a share of the variance of the {expected} as of the "
    "{other}; disagrees if at least twice as large"
)
SCALES = {"linear": "steps", "exponential": "logarithm of the steps"}
ORDER_CRITERION = (
    "95 % interval of the order of convergence (slope of log e_{l+1} on log e_l, e_l the excess "
    "error of layer or step l) lies above 1; disagrees if below 1"
)


def working_layers(
    errors: Float[Tensor, " layer"], zero: float, limit: float
) -> tuple[int, int] | None:
    """First and last layer that bring the error down from that of predicting 0 to its limit.

    Args:
        errors: Error of each layer, the embedding first.
        zero: Error of predicting 0.
        limit: What errors converge to: that of the best predictor known, or of the last layer.

    Returns:
        None where no layer works, as with random weights.
    """
    has_started = (errors < STARTED * zero).nonzero()
    if not len(has_started):
        return None
    first = int(has_started[0])
    has_converged = (errors - limit <= CONVERGED * (zero - limit)).nonzero()
    return first, int(has_converged[0]) if len(has_converged) else len(errors) - 1


def layers_at_work(layers: LayerPredictions) -> tuple[int, int] | None:
    """`working_layers` of a model, its last layer's error being the limit."""
    errors = layers.errors.mean((1, 2))
    zero = layers.ys.square().mean().item() / layers.task.n_dims
    return working_layers(errors, zero, errors[-1].item())


def law_check(
    claim: str,
    steps: Float[Tensor, " layer"],
    depth: Sequence[int | float],
    expected: Law,
    *,
    about: str,
    published: str = "–",
    unit: str = "layer",
) -> Check:
    """Decides whether matching steps grow linearly or exponentially with depth.

    Args:
        claim: What the paper says.
        steps: Best-matching steps of the layers that work.
        depth: Their depth.
        expected: The law that the paper's claim amounts to.
        about: Which model and prompts.
        published: The numbers that the paper prints.
        unit: Of depth.
    """
    other = "exponential" if expected == "linear" else "linear"
    criterion = LAW_CRITERION.format(expected=SCALES[expected], other=SCALES[other])
    found = f"steps {numbers(steps)}"
    begun = (steps >= FIRST_STEP).nonzero()
    first = int(begun[0]) if len(begun) else len(steps)
    if len(steps) - first < 3:
        found += f"; fewer than three of them at step {FIRST_STEP:.0f} or beyond"
        return Check(claim, found, criterion, "cannot be told", published, about)
    law = growth_law(steps[first:], torch.tensor(depth[first:], dtype=torch.float64))
    left = {"linear": law.linear_misfit**2, "exponential": law.log_linear_misfit**2}
    ratio = max(left[other], NEGLIGIBLE) / max(left[expected], NEGLIGIBLE)
    found += f"; left unexplained by the {expected} law {left[expected]:.1%}, by the {other} one "
    found += f"{left[other]:.1%}; "
    if expected == "linear":
        found += f"{law.linear_rate:.2f} steps a {unit}"
    else:
        found += f"a factor of {2**law.doubling_rate:.2f} a {unit}"
    outcome: Outcome = "cannot be told"
    if ratio >= CLEAR:
        outcome = "agrees"
    elif ratio <= 1 / CLEAR:
        outcome = "disagrees"
    return Check(claim, found, criterion, outcome, published, about)


def order_check(claim: str, layers: LayerPredictions, limit: Tensor, *, about: str) -> Check:
    """Decides whether errors of the layers that work fall superlinearly.

    Args:
        claim: What the paper says.
        layers: Predictions of the layers.
        limit: What the best predictor known says [prompt, point]; the excess is over its error.
        about: Which model and prompts.
    """
    span = layers_at_work(layers)
    if span is None:
        found = "no layer predicts y"
        return Check(claim, found, ORDER_CRITERION, "cannot be told", about=about)
    best = (limit - layers.ys).square() / layers.task.n_dims
    excess = (layers.errors - best).mean(-1)[max(0, span[0] - 1) : span[1] + 1]
    order, low, high = order_of(excess)
    return order_verdict(claim, order, low, high, f"layers {span[0]} to {span[1]}", about=about)


def order_of(excess: Float[Tensor, "layer prompt"]) -> tuple[float, float, float]:
    """Order of convergence with its 95 % bootstrap interval; NaN where too few are above 0."""
    n_prompts = excess.shape[1] // N_GROUPS * N_GROUPS
    groups = excess[:, :n_prompts].unflatten(1, (N_GROUPS, -1)).mean(-1)
    weights = bootstrap_weights(N_GROUPS, N_REPLICATES, 0, with_original=True)
    orders = convergence_order(weights @ groups.T / N_GROUPS)
    defined = orders[1:][orders[1:].isfinite()]
    if not orders[0].isfinite() or len(defined) < N_REPLICATES / 2:
        return (orders[0].item(), float("nan"), float("nan"))
    low, high = interval(defined, n_groups=N_GROUPS).tolist()
    return orders[0].item(), low, high


def order_verdict(
    claim: str, order: float, low: float, high: float, where: str, *, about: str
) -> Check:
    """The check that an order with its interval amounts to."""
    found = f"order {order:.2f} ({low:.2f} to {high:.2f}) over {where}"
    outcome: Outcome = "cannot be told"
    if low > 1:
        outcome = "agrees"
    elif high < 1:
        outcome = "disagrees"
    return Check(claim, found, ORDER_CRITERION, outcome, about=about)


def numbers(values: Sequence[int | float] | Tensor) -> str:
    """Step counts as text: whole ones as they are, others with a digit after the point."""
    plain = [float(value) for value in values]
    is_whole = all(value.is_integer() for value in plain)
    return ", ".join(
        f"{value:,.0f}" if is_whole or value >= 99.95 else f"{value:.1f}" for value in plain
    )
