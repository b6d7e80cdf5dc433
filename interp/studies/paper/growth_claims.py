"""Claims about how matching steps grow from layer to layer, and how fast errors fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp.studies.paper.claims import Claim, Quantity, Rule, bootstrap_means
from interp.studies.paper.models import PaperModel
from interp.studies.paper.paper_setup import N_GROUPS, N_REPLICATES
from probes.convergence import convergence_order
from probes.uncertainty.bootstrap import bootstrap_interval
from probes.verdict.growth_law import growth_law

Law = Literal["linear", "exponential"]
"""Of matching steps against depth. A line explains the steps, or their logarithm."""

CLEAR = 2.0
"""How many times less of the variance the expected law leaves unexplained, to be preferred."""
NEGLIGIBLE = 1e-4
"""Share of the variance below which a law describes the steps for all purposes."""
FIRST_STEP = 1.0
"""A law is fitted to layers from the first that matches a whole step on."""
SCALES = {"linear": "steps", "exponential": "logarithm of the steps"}
ORDER_RULE = Rule(
    "95 % interval of the order of convergence (slope of log e_{l+1} on log e_l, e_l the excess "
    "error of layer or step l) lies above 1; disagrees if below 1",
    above=1.0,
)


def law_claim(
    claim: str,
    steps: Float[Tensor, " layer"],
    depth: Sequence[int | float],
    expected: Law,
    *,
    about: str,
    published: str = "–",
    unit: str = "layer",
) -> Claim:
    """The claim that matching steps grow linearly, or exponentially, with depth.

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
    rule = Rule(
        "a straight line through the layers at work, from the first matching step of 1 on, leaves "
        f"unexplained at most half as large a share of the variance of the {SCALES[expected]} as "
        f"of the {SCALES[other]}; disagrees if at least twice as large",
        above=CLEAR,
        fails_to=1 / CLEAR,
    )
    found = f"steps {step_counts(steps)}"
    begun = (steps >= FIRST_STEP).nonzero()
    first = int(begun[0]) if len(begun) else len(steps)
    if len(steps) - first < 3:
        found += f"; fewer than three of them at step {FIRST_STEP:.0f} or beyond"
        return Claim(claim, found, rule, None, published, about)
    law = growth_law(steps[first:], torch.tensor(depth[first:], dtype=torch.float64))
    left = {"linear": law.linear_misfit**2, "exponential": law.log_linear_misfit**2}
    ratio = max(left[other], NEGLIGIBLE) / max(left[expected], NEGLIGIBLE)
    found += f"; left unexplained by the {expected} law {left[expected]:.1%}, by the {other} one "
    found += f"{left[other]:.1%}; "
    if expected == "linear":
        found += f"{law.linear_rate:.2f} steps a {unit}"
    else:
        found += f"a factor of {2**law.doubling_rate:.2f} a {unit}"
    return Claim(claim, found, rule, Quantity.of(ratio), published, about)


def laws_of_layers(
    model: PaperModel, newton: Float[Tensor, " layer"], gd: Float[Tensor, " layer"]
) -> tuple[Claim, Claim]:
    """The claims that Newton's matching steps grow linearly and GD's exponentially."""
    return (
        law_of_layers(model, "Newton's matching steps grow linearly", newton, "linear"),
        law_of_layers(model, "GD's matching steps grow exponentially", gd, "exponential"),
    )


def law_of_layers(
    model: PaperModel, claim: str, steps: Float[Tensor, " layer"], expected: Law
) -> Claim:
    """`law_claim` over the layers at work."""
    first, last = model.working_layers or (0, 0)
    about = f"{model.about}, layers {first} to {last}"
    return law_claim(claim, steps[first : last + 1], range(first, last + 1), expected, about=about)


def order_claim(claim: str, model: PaperModel) -> Claim:
    """The claim that errors fall superlinearly over the layers at work.

    The excess of an error is over that of the best predictor known.
    """
    span = model.working_layers
    if span is None:
        return Claim(claim, "no layer predicts y", ORDER_RULE, about=model.about)
    best = (model.best_predictions - model.layers.ys).square() / model.task.n_dims
    excess = (model.layers.errors - best).mean(-1)[max(0, span[0] - 1) : span[1] + 1]
    order = order_of(excess)
    found = f"order {order.text('.2f')} over layers {span[0]} to {span[1]}"
    return Claim(claim, found, ORDER_RULE, order, about=model.about)


def order_of(excess: Float[Tensor, "layer prompt"]) -> Quantity:
    """Order of convergence with its interval; NaN where too few are above 0."""
    n_prompts = excess.shape[1] // N_GROUPS * N_GROUPS
    groups = excess[:, :n_prompts].unflatten(1, (N_GROUPS, -1)).mean(-1)
    orders = convergence_order(bootstrap_means(groups.T))
    defined = orders[1:][orders[1:].isfinite()]
    if not orders[0].isfinite() or len(defined) < N_REPLICATES / 2:
        return Quantity(orders[0].item(), math.nan, math.nan)
    return Quantity.of(orders[0], bootstrap_interval(defined, n_groups=N_GROUPS))


def step_counts(values: Sequence[int | float] | Tensor) -> str:
    """Step counts as text: whole ones as they are, others with a digit after the point."""
    plain = [float(value) for value in values]
    is_whole = all(value.is_integer() for value in plain)
    return ", ".join(
        f"{value:,.0f}" if is_whole or value >= 99.95 else f"{value:.1f}" for value in plain
    )
