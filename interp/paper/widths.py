"""Fig. 6: how wide must the residual stream be?"""

from __future__ import annotations

from itertools import pairwise

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Check, Drawing, Finding, Outcome, not_shipped
from interp.paper.layer_predictions import LayerPredictions
from interp.paper.pictures import LOG_ERROR_AXIS, arranged, line
from interp.paper.roles import PAPER_DIMS, ROLES
from interp.paper.scale import describe
from interp.paper.settings import N_GROUPS, N_REPLICATES
from interp.plots.panel import Panel
from interp.plots.style import MUTED, Look, ordered_looks
from probes.controls.bootstrap import bootstrap_weights, interval
from probes.references import OLS

REACHED = 0.05
"""Excess over OLS, as a share of that of predicting 0, below which a model has reached it."""
WIDE_ENOUGH = 32
"""Width from which on the paper's models reach OLS at d = 20."""


def widths(row: Row, cast: Cast) -> Finding:
    """Error against the number of examples for several widths, beside OLS."""
    excess: dict[str, Float[Tensor, " estimate"]] = {}
    errors: dict[str, Float[Tensor, " point"]] = {}
    missing = []
    baseline = None
    for role in row.needs:
        layers = cast.layers(role)
        if layers is None:
            missing.append(cast.lacks(role))
            continue
        errors[role] = _error(layers.model, layers)
        baseline = _error(OLS().predictions(layers.prefixes)[0], layers)
        excess[role] = relative_excess(layers)
    checks = [_check(role, excess[role], cast) for role in excess]
    checks += [
        not_shipped(f"width {_width(role)} {_verb(role)} OLS", cast.lacks(role))
        for role in row.needs
        if role not in excess
    ]
    if len(excess) > 1:
        checks.insert(0, _ordered(excess))
    if baseline is None:
        return Finding(row, tuple(checks), missing=tuple(missing))
    looks = ordered_looks([f"width {_width(role)}" for role in errors])
    points = list(range(len(baseline)))
    figure = arranged(
        Panel(
            "Error against examples",
            [
                *(line(points, e, look) for e, look in zip(errors.values(), looks, strict=True)),
                line(points, baseline.clamp(min=1e-6), Look("OLS", MUTED, "dot", "x-thin")),
            ],
            {"title": {"text": "number of examples"}},
            {**LOG_ERROR_AXIS, "range": [-3, 0.5]},
        )
    )
    see = "Squared error / d of models with 1 head against the number of examples, beside OLS."
    data = xarray.Dataset(
        {f"{role}_error": ("point", value.numpy()) for role, value in errors.items()}
        | {"ols_error": ("point", baseline.numpy())}
    )
    drawing = Drawing(row.key, "Width of the residual stream", see, figure)
    return Finding(row, tuple(checks), (drawing,), data=data, missing=tuple(missing))


def relative_excess(layers: LayerPredictions) -> Float[Tensor, " estimate"]:
    """A model's excess over OLS as a share of that of predicting 0: value, low and high."""
    ols = OLS().predictions(layers.prefixes)[0]
    square = torch.stack([layers.model - layers.ys, ols - layers.ys, layers.ys]).square().mean(-1)
    groups = square.unflatten(1, (N_GROUPS, -1)).mean(-1)  # [predictor, group]
    weights = bootstrap_weights(N_GROUPS, N_REPLICATES, 0, with_original=True)
    model, best, zero = (groups @ weights.T) / N_GROUPS
    share = (model - best) / (zero - best)
    return torch.cat([share[:1], interval(share[1:], n_groups=N_GROUPS)])


def _error(
    predictions: Float[Tensor, "prompt point"], layers: LayerPredictions
) -> Float[Tensor, " point"]:
    return (predictions - layers.ys).square().mean(0) / layers.task.n_dims


def _width(role: str) -> int:
    return int(role.removeprefix("width-"))


def _verb(role: str) -> str:
    return "reaches" if _width(role) >= WIDE_ENOUGH else "does not reach"


def _check(role: str, excess: Float[Tensor, " estimate"], cast: Cast) -> Check:
    value, low, high = excess.tolist()
    reaches = _width(role) >= WIDE_ENOUGH
    outcome: Outcome = "cannot be told"
    if cast.n_dims == PAPER_DIMS:
        if high < REACHED:
            outcome = "agrees" if reaches else "disagrees"
        elif low > REACHED:
            outcome = "disagrees" if reaches else "agrees"
    criterion = (
        f"95 % interval of the excess over OLS, as a share of that of predicting 0, lies "
        f"{'below' if reaches else 'above'} {REACHED:.0%}; decided at d = 20"
    )
    text = f"excess {value:.1%} ({low:.1%} to {high:.1%})"
    return Check(
        f"width {_width(role)} {_verb(role)} OLS", text, criterion, outcome,
        about=describe(cast, role),
    )  # fmt: skip


def _ordered(excess: dict[str, Float[Tensor, " estimate"]]) -> Check:
    """Whether wider models come closer to OLS."""
    roles = sorted(excess, key=_width)
    closer = [bool(excess[wide][0] < excess[narrow][0]) for narrow, wide in pairwise(roles)]
    outcome: Outcome = "agrees" if all(closer) else "disagrees"
    text = ", ".join(f"{ROLES[role].name.split()[-1]}: {excess[role][0]:.1%}" for role in roles)
    return Check(
        "wider models come closer to OLS",
        text,
        "the excess over OLS falls with every step of width; disagrees if it ever rises",
        outcome,
    )
