"""Fig. 6: how wide must the residual stream be?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.plots.panel import Panel
from interp.plots.style import MUTED, Look, ordered_looks
from interp.scoring.layer_predictions import LayerPredictions
from interp.studies.paper.claims import Claim, Quantity, Rule, bootstrap_means, not_shipped
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.paper_setup import N_GROUPS
from interp.studies.paper.plots import LOG_ERROR_AXIS, arranged, line
from interp.studies.paper.reproduction import Drawing, RowResult
from interp.studies.paper.rows import Row
from probes.references import OLS

REACHED = 0.05
"""Excess over OLS, as a share of that of predicting 0, below which a model has reached it."""
WIDE_ENOUGH = 32
"""Width from which on the paper's models reach OLS at d = 20."""


def widths(row: Row, models: PaperModels) -> RowResult:
    """Error against the number of examples for several widths, beside OLS."""
    found, missing = models.among(row.needs)
    excess = {role: relative_excess(model.layers) for role, model in found.items()}
    claims = [_ordered(excess)] if len(excess) > 1 else []
    claims += [_claim(role, excess[role], model) for role, model in found.items()]
    claims += [
        not_shipped(f"width {_width(role)} {_verb(role)} OLS", sentence)
        for role, sentence in missing.items()
    ]
    if not found:
        return RowResult(row, tuple(claims), missing=tuple(missing.values()))
    errors = {role: _error(model.layers.model, model.layers) for role, model in found.items()}
    last = list(found.values())[-1].layers
    ols = _error(OLS().predictions(last.prefixes)[0], last)
    looks = ordered_looks([f"width {_width(role)}" for role in errors])
    points = list(range(len(ols)))
    figure = arranged(
        Panel(
            "Error against examples",
            [
                *(line(points, e, look) for e, look in zip(errors.values(), looks, strict=True)),
                line(points, ols.clamp(min=1e-6), Look("OLS", MUTED, "dot", "x-thin")),
            ],
            {"title": {"text": "number of examples"}},
            {**LOG_ERROR_AXIS, "range": [-3, 0.5]},
        )
    )
    see = "Squared error / d of models with 1 head against the number of examples, beside OLS."
    data = xarray.Dataset(
        {f"{role}_error": ("point", value.numpy()) for role, value in errors.items()}
        | {"ols_error": ("point", ols.numpy())}
    )
    drawing = Drawing(row.key, "Width of the residual stream", see, figure)
    return RowResult(row, tuple(claims), (drawing,), data=data, missing=tuple(missing.values()))


def relative_excess(layers: LayerPredictions) -> Quantity:
    """A model's excess over OLS as a share of that of predicting 0."""
    ols = OLS().predictions(layers.prefixes)[0]
    square = torch.stack([layers.model - layers.ys, ols - layers.ys, layers.ys]).square().mean(-1)
    groups = square.unflatten(1, (N_GROUPS, -1)).mean(-1)  # [predictor, group]
    model, best, zero = bootstrap_means(groups.T).T
    return Quantity.of_replicates((model - best) / (zero - best))


def _error(
    predictions: Float[Tensor, "prompt point"], layers: LayerPredictions
) -> Float[Tensor, " point"]:
    return (predictions - layers.ys).square().mean(0) / layers.prefixes.n_dims


def _width(role: str) -> int:
    return int(role.removeprefix("width-"))


def _verb(role: str) -> str:
    return "reaches" if _width(role) >= WIDE_ENOUGH else "does not reach"


def _claim(role: str, excess: Quantity, model: PaperModel) -> Claim:
    reaches = _width(role) >= WIDE_ENOUGH
    criterion = (
        f"95 % interval of the excess over OLS, as a share of that of predicting 0, lies "
        f"{'below' if reaches else 'above'} {REACHED:.0%}; decided at d = 20"
    )
    return Claim(
        f"width {_width(role)} {_verb(role)} OLS",
        f"excess {excess.text('.1%')}",
        Rule.side(criterion, REACHED, above=not reaches, applies=model.at_scale),
        excess,
        about=model.about,
    )


def _ordered(excess: Mapping[str, Quantity]) -> Claim:
    """Whether wider models come closer to OLS."""
    roles = sorted(excess, key=_width)
    falls = [excess[narrow].value - excess[wide].value for narrow, wide in pairwise(roles)]
    return Claim(
        "wider models come closer to OLS",
        ", ".join(f"{_width(role)}: {excess[role].value:.1%}" for role in roles),
        Rule(
            "the excess over OLS falls with every step of width; disagrees if it ever rises",
            above=0.0,
            fails_to=0.0,
        ),
        Quantity.of(min(falls)),
    )
