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
from interp.studies.paper.claims import Claim, Quantity, bootstrap_means
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.paper_setup import N_GROUPS
from interp.studies.paper.plots import LOG_ERROR_AXIS, arranged, plain_line
from interp.studies.paper.reproduction import Drawing, Part
from probes.references import OLS

WIDE_ENOUGH = 32
"""Width from which on the paper's models reach OLS at d = 20."""


def widths(models: PaperModels) -> Part:
    """Error against the number of examples for several widths, beside OLS."""
    found = {int(role.removeprefix("width-")): m for role, m in models.given.items()}
    if not found:
        return Part()
    excess = {width: relative_excess(model.layers) for width, model in found.items()}
    claims = [_ordered(excess)] if len(excess) > 1 else []
    claims += [_claim(width, excess[width], model) for width, model in found.items()]
    errors = {width: _error(model.layers.model, model.layers) for width, model in found.items()}
    last = list(found.values())[-1].layers
    ols = _error(OLS().predictions(last.prefixes)[0], last)
    looks = ordered_looks([f"width {width}" for width in errors])
    points = range(len(ols))
    lines = [plain_line(points, e, look) for e, look in zip(errors.values(), looks, strict=True)]
    lines.append(plain_line(points, ols.clamp(min=1e-6), Look("OLS", MUTED, "dot", "x-thin")))
    x, y = {"title": "number of examples"}, {**LOG_ERROR_AXIS, "range": [-3, 0.5]}
    figure = arranged(Panel("Error against examples", lines, x, y))
    data = xarray.Dataset(
        {f"width-{width}_error": ("point", value.numpy()) for width, value in errors.items()}
        | {"ols_error": ("point", ols.numpy())}
    )
    return Part(tuple(claims), (Drawing.of("widths", figure),), data=data)


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


def _claim(width: int, excess: Quantity, model: PaperModel) -> Claim:
    return Claim.of(
        "width-reaches" if width >= WIDE_ENOUGH else "width-misses",
        f"excess {excess.text('.1%')}",
        excess,
        about=model.about,
        is_decided=model.at_scale,
        width=width,
    )


def _ordered(excess: Mapping[int, Quantity]) -> Claim:
    """Whether wider models come closer to OLS."""
    values = {width: excess[width].value for width in sorted(excess)}
    falls = [narrow - wide for narrow, wide in pairwise(values.values())]
    found = ", ".join(f"{width}: {value:.1%}" for width, value in values.items())
    return Claim.of("wider-is-closer", found, Quantity.of(min(falls)))
