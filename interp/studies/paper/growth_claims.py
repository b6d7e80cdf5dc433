"""Claims about how matching steps grow from layer to layer, and how fast errors fall."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp.studies.paper.claims import STATEMENTS, Claim, Quantity, bootstrap_means
from interp.studies.paper.models import PaperModel
from interp.studies.paper.paper_setup import N_GROUPS, N_REPLICATES
from probes.convergence import convergence_order
from probes.uncertainty.bootstrap import bootstrap_interval
from probes.verdict.growth_law import growth_law

NEGLIGIBLE = 1e-4
"""Share of the variance below which a law describes the steps for all purposes."""
FIRST_STEP = 1.0
"""A law is fitted to layers from the first that matches a whole step on."""


def law_claim(
    key: str,
    steps: Float[Tensor, " layer"],
    depth: Sequence[int | float],
    *,
    about: str = "",
    published: str = "",
    unit: str = "layer",
) -> Claim:
    """The claim that matching steps grow linearly, or exponentially, with depth.

    A line explains the steps, or their logarithm.

    Args:
        key: Of the claim in `claims.toml`, whose rule is named after the law.
        steps: Best-matching steps of the layers that work.
        depth: Their depth.
        about: Which model and prompts.
        published: The numbers that the paper prints.
        unit: Of depth.
    """
    expected = STATEMENTS[key].rule
    other = "exponential" if expected == "linear" else "linear"
    found, ratio = f"steps {step_counts(steps)}", None
    begun = (steps >= FIRST_STEP).nonzero()
    first = int(begun[0]) if len(begun) else len(steps)
    if len(steps) - first < 3:
        found += f"; fewer than three of them at step {FIRST_STEP:.0f} or beyond"
    else:
        law = growth_law(steps[first:], torch.tensor(depth[first:], dtype=torch.float64))
        left = {"linear": law.linear_misfit**2, "exponential": law.log_linear_misfit**2}
        ratio = Quantity.of(max(left[other], NEGLIGIBLE) / max(left[expected], NEGLIGIBLE))
        found += f"; left unexplained by the {expected} law {left[expected]:.1%}, by the {other} "
        found += f"one {left[other]:.1%}; "
        if expected == "linear":
            found += f"{law.linear_rate:.2f} steps a {unit}"
        else:
            found += f"a factor of {2**law.doubling_rate:.2f} a {unit}"
    return Claim.of(key, found, ratio, about=about, published=published)


def law_of_layers(key: str, model: PaperModel, steps: Float[Tensor, " layer"]) -> Claim:
    """`law_claim` over the layers at work."""
    first, last = model.working_layers or (0, 0)
    about = f"{model.about}, layers {first} to {last}"
    return law_claim(key, steps[first : last + 1], range(first, last + 1), about=about)


def order_claim(model: PaperModel) -> Claim:
    """The claim that the mean error falls superlinearly over the layers at work.

    The excess of an error is over that of the best predictor known.
    """
    span = model.working_layers
    if span is None:
        return Claim.of("mean-order", "no layer predicts y", None, about=model.about)
    best = (model.best_predictions - model.layers.ys).square() / model.task.n_dims
    excess = (model.layers.errors - best).mean(-1)[max(0, span[0] - 1) : span[1] + 1]
    order = order_of(excess)
    found = f"order {order.text('.2f')} over layers {span[0]} to {span[1]}"
    return Claim.of("mean-order", found, order, about=model.about)


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
