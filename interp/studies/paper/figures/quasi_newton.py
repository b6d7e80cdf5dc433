"""Fig. 11 and 12: BFGS, L-BFGS and conjugate gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.plots.panel import Panel
from interp.plots.step_axis import StepAxis
from interp.plots.style import reference_look
from interp.studies.paper.claims import Claim, Quantity, Rule
from interp.studies.paper.growth_claims import law_claim, step_counts
from interp.studies.paper.models import PaperModels
from interp.studies.paper.paper_setup import translated_steps
from interp.studies.paper.plots import LAYER_AXIS, arranged, heatmap_panel, line, lowest, step_line
from interp.studies.paper.published import NEWTON_STEPS
from interp.studies.paper.reproduction import Drawing, RowResult, without_model
from interp.studies.paper.rows import Row
from probes.matching import StepGrid
from probes.references import build_reference

LOOKS = {name: reference_look(name) for name in ("bfgs", "l-bfgs", "cg")}
FIRST, LAST = 3, 9
"""Layers of the paper between which steps grow linearly."""
SLOWER = 1.2


def quasi_newton(row: Row, models: PaperModels) -> RowResult:
    """SimE with steps of BFGS, L-BFGS and CG; the published Newton steps in theirs."""
    translated = {name: translated_steps(name, models.settings) for name in LOOKS}
    model_free = _claims(
        "in steps of BFGS, the published match grows linearly",
        translated,
        (FIRST, LAST),
        f"model-free, d = 20: published Newton steps of layers {FIRST} to {LAST}",
        offset=1,
        published=f"Newton {step_counts(NEWTON_STEPS[FIRST - 1 : LAST])}",
    )
    model = models.find("transformer")
    if model is None:
        return without_model(row, models.lacks("transformer"), *model_free)
    grid = StepGrid.linear(2.0 * model.task.n_dims + 5, 1.0)
    found = {name: model.match(build_reference(name), grid) for name in LOOKS}
    first, last = model.working_layers or (0, 0)
    own = _claims(
        "BFGS's matching steps grow linearly",
        {name: item.step for name, item in found.items()},
        (first, last),
        f"{model.about}, layers {first} to {last}",
    )
    low = lowest(*found.values())
    heatmaps = arranged(
        *(
            heatmap_panel(item, name, title=LOOKS[name].label, low=low, with_scale=name == "cg")
            for name, item in found.items()
        ),
        legend_rows=0,
    )
    axis = StepAxis(False, grid.steps[-1])
    depth = np.arange(1, len(NEWTON_STEPS) + 1)
    curves = arranged(
        Panel(
            model.about,
            [
                step_line(found[name], look, axis).update(legendgroup=name)
                for name, look in LOOKS.items()
            ],
            LAYER_AXIS,
            axis.properties("best-matching step"),
        ),
        Panel(
            "Published Newton steps in steps of others (d = 20)",
            [
                line(depth, steps, LOOKS[name], group=name, with_legend=False)
                for name, steps in translated.items()
            ],
            LAYER_AXIS,
            {"title": {"text": "most similar step"}},
        ),
    )
    drawings = (
        Drawing(
            f"{row.key}-heatmaps", "Similarity of errors with BFGS, L-BFGS and CG",
            f"{model.about}; best step marked.", heatmaps,
        ),
        Drawing(
            f"{row.key}-curves", "Best-matching steps of BFGS, L-BFGS and CG",
            "Left ours. Right, without a model: the steps most like Newton's at 1, 1, 3, …, 21, "
            "which are the published matches of layers 1 to 12.", curves,
        ),
    )  # fmt: skip
    data = xarray.merge([item.data(name) for name, item in found.items()])
    return RowResult(row, (*own, *model_free), drawings, data=data)


def _claims(
    claim: str,
    steps: Mapping[str, Float[Tensor, " layer"]],
    span: tuple[int, int],
    about: str,
    *,
    offset: int = 0,
    published: str = "–",
) -> tuple[Claim, ...]:
    """That BFGS's steps grow linearly with depth, and that L-BFGS and CG need more.

    Args:
        claim: The first of these in words.
        steps: Of each reference, by layer.
        span: First and last layer at work.
        about: Which model and prompts.
        offset: Number of the first layer that `steps` has.
        published: The numbers that the paper prints.
    """
    first, last = span
    working = {name: item[first - offset : last + 1 - offset] for name, item in steps.items()}
    depth = range(first, last + 1)
    linear = law_claim(claim, working["bfgs"], depth, "linear", about=about, published=published)
    bfgs = working["bfgs"][-1].item()
    return linear, *(
        _slower(name, bfgs, working[name][-1].item(), about) for name in ("l-bfgs", "cg")
    )


def _slower(name: str, bfgs: float, other: float, about: str) -> Claim:
    """The claim that a method needs more steps than BFGS for the last layer that works."""
    return Claim(
        f"{LOOKS[name].label} is slower than BFGS",
        f"{other:.1f} steps against {bfgs:.1f} at the last layer at work",
        Rule(
            f"at the last layer at work it needs at least {SLOWER} times the steps of BFGS; "
            "disagrees if no more than BFGS",
            above=SLOWER,
            fails_to=1.0,
        ),
        Quantity.of(other / max(bfgs, 1.0)),
        about=about,
    )
