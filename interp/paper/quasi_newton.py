"""Fig. 11 and 12: BFGS, L-BFGS and conjugate gradients."""

from __future__ import annotations

import numpy as np
import torch
import xarray

from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Check, Drawing, Finding, Outcome, without_model
from interp.paper.growth import law_check, layers_at_work, numbers
from interp.paper.matches import Matches, match_layers
from interp.paper.paper_scale import published_steps_of
from interp.paper.pictures import LAYER_AXIS, arranged, heatmap_panel, line, lowest, step_line
from interp.paper.published import NEWTON_STEPS
from interp.paper.scale import describe
from interp.plots.panel import Panel
from interp.plots.step_axis import StepAxis
from interp.plots.style import Look
from probes.matching import StepGrid
from probes.references import build_reference

LOOKS = {
    "bfgs": Look("BFGS", "#0072b2", "solid", "circle"),
    "l-bfgs": Look("L-BFGS", "#d55e00", "dash", "square"),
    "cg": Look("CG", "#007a5a", "longdash", "diamond"),
}
FIRST, LAST = 3, 9
"""Layers of the paper between which steps grow linearly."""
SLOWER = 1.2


def quasi_newton(row: Row, cast: Cast) -> Finding:
    """SimE with steps of BFGS, L-BFGS and CG; the published Newton steps told in theirs."""
    told = {name: published_steps_of(name, cast.settings) for name in LOOKS}
    checks = list(_told_claims(told))
    layers = cast.layers("transformer")
    if layers is None:
        return without_model(row, cast.lacks("transformer"), *checks)
    about = describe(cast, "transformer")
    grid = StepGrid.linear(2.0 * layers.task.n_dims + 5, 1.0)
    found = {name: match_layers(layers, build_reference(name), grid) for name in LOOKS}
    checks = [*_own_claims(found, layers_at_work(layers), about), *checks]
    low = lowest(*found.values())
    heatmaps = arranged(
        *(
            heatmap_panel(item, name, title=LOOKS[name].label, low=low, with_scale=name == "cg")
            for name, item in found.items()
        ),
        legend_rows=0,
    )
    axis = StepAxis(False, grid.steps[-1])
    curves = arranged(
        Panel(
            about,
            [
                step_line(found[name], look, axis).update(legendgroup=name)
                for name, look in LOOKS.items()
            ],
            LAYER_AXIS,
            axis.properties("best-matching step"),
        ),
        Panel(
            "Published Newton steps, told in others (d = 20)",
            [
                line(
                    np.arange(1, len(steps) + 1),
                    steps,
                    LOOKS[name],
                    group=name,
                    with_legend=False,
                )
                for name, steps in told.items()
            ],
            LAYER_AXIS,
            {"title": {"text": "most similar step"}},
        ),
    )
    drawings = (
        Drawing(
            f"{row.key}-heatmaps", "Similarity of errors with BFGS, L-BFGS and CG",
            f"{about}; best step marked.", heatmaps,
        ),
        Drawing(
            f"{row.key}-curves", "Best-matching steps of BFGS, L-BFGS and CG",
            "Left ours. Right, without a model: the steps most like Newton's at 1, 1, 3, …, 21, "
            "which are the published matches of layers 1 to 12.", curves,
        ),
    )  # fmt: skip
    data = xarray.merge([item.data(name) for name, item in found.items()])
    return Finding(row, tuple(checks), drawings, data=data)


def _told_claims(told: dict[str, torch.Tensor]) -> tuple[Check, ...]:
    about = f"model-free, d = 20: published Newton steps of layers {FIRST} to {LAST}"
    bfgs = law_check(
        "told in steps of BFGS, the published match grows linearly",
        told["bfgs"][FIRST - 1 : LAST],
        range(FIRST, LAST + 1),
        "linear",
        about=about,
        published=f"Newton {numbers(NEWTON_STEPS[FIRST - 1 : LAST])}",
    )
    last = {name: steps[FIRST - 1 : LAST] for name, steps in told.items()}
    return (bfgs, *_slower_ones(last, about))


def _own_claims(
    found: dict[str, Matches], span: tuple[int, int] | None, about: str
) -> tuple[Check, ...]:
    first, last = span or (0, 0)
    where = f"{about}, layers {first} to {last}"
    steps = {name: item.step for name, item in found.items()}
    bfgs = law_check(
        "BFGS's matching steps grow linearly",
        steps["bfgs"][first : last + 1],
        range(first, last + 1),
        "linear",
        about=where,
    )
    last_steps = {name: item[first : last + 1] for name, item in steps.items()}
    return (bfgs, *_slower_ones(last_steps, where))


def _slower_ones(steps: dict[str, torch.Tensor], about: str) -> list[Check]:
    return [_slower(name, steps["bfgs"], steps[name], about) for name in ("l-bfgs", "cg")]


def _slower(name: str, bfgs: torch.Tensor, other: torch.Tensor, about: str) -> Check:
    """Whether a method needs more steps than BFGS for the last layer that works."""
    ratio = other[-1].item() / max(bfgs[-1].item(), 1.0)
    outcome: Outcome = "cannot be told"
    if ratio >= SLOWER:
        outcome = "agrees"
    elif ratio <= 1:
        outcome = "disagrees"
    return Check(
        f"{LOOKS[name].label} is slower than BFGS",
        f"{other[-1]:.1f} steps against {bfgs[-1]:.1f} at the last layer at work",
        f"at the last layer at work it needs at least {SLOWER} times the steps of BFGS; "
        "disagrees if no more than BFGS",
        outcome,
        about=about,
    )
