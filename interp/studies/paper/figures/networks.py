"""Fig. 20 and 21: two-layer networks as the function class."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp.plots.marks import level
from interp.plots.panel import Panel
from interp.plots.style import INK, Look
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity
from interp.studies.paper.figures.heatmaps import GD_GRID
from interp.studies.paper.growth_claims import order_claim
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.paper_setup import N_GROUPS
from interp.studies.paper.plots import (
    LAYER_AXIS,
    arranged,
    heatmap_panel,
    log_error_axis,
    plain_line,
)
from interp.studies.paper.reproduction import Drawing, Part
from interp.tasks import TwoLayerNetwork
from probes.matching import StepGrid
from probes.references import GD, Prefixes
from probes.similarity import error_directions, group_similarity

NETWORK_GRID = StepGrid((0.0, *(2.0**k for k in range(11))), "log")
MOST_PROMPTS = 64


def networks(models: PaperModels) -> Part:
    """Convergence on networks, and similarity with GD on the same network."""
    found = dict(models.given)
    linear = found.pop("transformer", None)
    if not found:
        return Part()
    (model,) = found.values()
    gd = match_network_gd(model)
    claims = [order_claim(model)]
    if linear is not None:
        claims.append(_less_like_gd(gd, model, linear.match(GD(linear.eta), GD_GRID)))
    errors = model.layers.errors.mean((1, 2))
    best = (model.best_predictions - model.layers.ys).square().mean().item() / model.task.n_dims
    figure = arranged(
        Panel(
            "Error against layer",
            [
                plain_line(range(len(errors)), errors, Look("transformer", INK, "solid", "circle")),
                level(best, "best predictor linear in y", (0, len(errors) - 1)),
            ],
            LAYER_AXIS,
            log_error_axis(errors, torch.tensor([best])),
        ),
        heatmap_panel(gd, "gd", title="GD on the same network"),
    )
    drawing = Drawing.of("networks", figure, model=model)
    return Part(tuple(claims), (drawing,), data=gd.data("network_gd"))


def match_network_gd(model: PaperModel) -> LayerMatches:
    """SimE of every layer with GD on the same network, on the first prompts."""
    assert isinstance(model.task, TwoLayerNetwork)
    settings, layers = model.settings, model.layers
    n_prompts = settings.few(MOST_PROMPTS)
    ys = layers.ys[:n_prompts]
    few = Prefixes(layers.prefixes.xs[:n_prompts], ys)
    directions = error_directions(layers.layers[:, :n_prompts], ys, "official")
    steps = [int(step) for step in NETWORK_GRID.steps]
    groups = [
        group_similarity(directions, error_directions(predictions[None], ys, "official"), N_GROUPS)
        for _, predictions in network_gd(model.task, few, steps, settings.seed)
    ]
    return LayerMatches.of(torch.cat(groups, dim=-1), NETWORK_GRID, interpolate=False)


def _less_like_gd(gd: LayerMatches, model: PaperModel, plain: LayerMatches) -> Claim:
    here, there = (Quantity.of(found.best[-1], found.best_interval[-1]) for found in (gd, plain))
    text = f"SimE {here.text()} at step {gd.step[-1]:.0f}, linear {there.text()}"
    return Claim.of("less-like-gd", text, there - here, about=model.about)


def network_gd(
    task: TwoLayerNetwork, prefixes: Prefixes, steps: Sequence[int], seed: int = 0
) -> Iterator[tuple[int, Float[Tensor, "prompt point"]]]:
    """Trains a network of the task's kind on each prefix by full-batch GD and yields predictions.

    The network is sqrt(2 / h) sum_i a_i activation(w_i·x), the loss half the sum of squares. Its
    first half is drawn as the task draws its own and its second half is the same with -a, so that
    it starts by predicting 0, as GD on linear regression does. The step size is 1 / (2 q), q being
    the largest eigenvalue of X^T X over all prefixes: with ReLU both layers together have about
    twice the curvature of the linear problem.

    Args:
        task: Says how wide the network is and what its activation is.
        prefixes: The prompts.
        steps: Step counts, in ascending order.
        seed: Of the initial weights, which all prefixes share.

    Raises:
        ValueError: Steps that are negative or descend.
    """
    if not steps or min(steps) < 0 or sorted(steps) != list(steps):
        raise ValueError(f"steps must ascend from 0 or more, got {list(steps)}")
    xs, ys = prefixes.xs, prefixes.ys
    n_prompts, n_points, n_dims = xs.shape
    half = max(1, task.n_hidden // 2)
    scale = math.sqrt(2 / (2 * half))
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(half, n_dims, generator=generator, dtype=xs.dtype).repeat(2, 1)
    second = torch.randn(half, generator=generator, dtype=xs.dtype)
    second = torch.cat([second, -second])
    w = first.expand(n_prompts, n_points, -1, -1).clone()  # [prompt, point, hidden, dim]
    a = second.expand(n_prompts, n_points, -1).clone()
    seen = torch.ones(n_points, n_points, dtype=xs.dtype).tril(-1)  # point t has seen s < t
    eta = 1 / (2 * prefixes.eigenvalues.max().item())
    done = 0
    for step in steps:
        for _ in range(step - done):
            pre = torch.einsum("bsd,bthd->btsh", xs, w)
            hidden, slope = _activate(pre, task.activation)
            residual = (scale * torch.einsum("btsh,bth->bts", hidden, a) - ys[:, None]) * seen
            backward = residual[..., None] * slope * a[:, :, None]
            grad_w = scale * torch.einsum("btsh,bsd->bthd", backward, xs)
            a = a - eta * scale * torch.einsum("bts,btsh->bth", residual, hidden)
            w = w - eta * grad_w
        done = step
        asked = torch.einsum("btd,bthd->bth", xs, w)
        yield step, scale * (_activate(asked, task.activation)[0] * a).sum(-1)


def _activate(pre: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """The activation and its derivative."""
    if activation == "relu":
        return pre.relu(), (pre > 0).to(pre.dtype)
    value = pre.tanh()
    return value, 1 - value.square()
