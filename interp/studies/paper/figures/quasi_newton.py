"""Fig. 11 and 12: BFGS, L-BFGS and conjugate gradients."""

from __future__ import annotations

from collections.abc import Mapping

import xarray
from jaxtyping import Float
from torch import Tensor

from interp.plots.panel import Panel, StepAxis
from interp.plots.style import reference_look
from interp.studies.paper.claims import Claim, Quantity
from interp.studies.paper.growth_claims import law_claim, step_counts
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.paper_setup import NEWTON_STEPS, translated_steps
from interp.studies.paper.plots import (
    LAYER_AXIS,
    arranged,
    heatmap_panel,
    lowest,
    plain_line,
    step_line,
)
from interp.studies.paper.reproduction import Drawing, Part
from probes.matching import StepGrid
from probes.references import build_reference

LOOKS = {name: reference_look(name) for name in ("bfgs", "l-bfgs", "cg")}
FIRST, LAST = 3, 9
"""Layers of the paper between which steps grow linearly."""


def translated_laws(models: PaperModels) -> Part:
    """The claims about the published Newton steps, in those of BFGS, L-BFGS and CG."""
    steps = {name: translated_steps(name, models.settings)[FIRST - 1 : LAST] for name in LOOKS}
    about = f"model-free, d = 20: published Newton steps of layers {FIRST} to {LAST}"
    published = f"Newton {step_counts(NEWTON_STEPS[FIRST - 1 : LAST])}"
    return Part(_claims("translated-bfgs-law", steps, FIRST, about, published))


def quasi_newton(model: PaperModel) -> Part:
    """SimE with steps of BFGS, L-BFGS and CG; the published Newton steps in theirs."""
    grid = StepGrid.linear(2.0 * model.task.n_dims + 5, 1.0)
    found = {name: model.match(build_reference(name), grid) for name in LOOKS}
    first, last = model.working_layers or (0, 0)
    working = {name: item.step[first : last + 1] for name, item in found.items()}
    about = f"{model.about}, layers {first} to {last}"
    low = lowest(*found.values())
    heatmaps = arranged(
        *(
            heatmap_panel(item, name, low=low, with_scale=name == "cg")
            for name, item in found.items()
        ),
        legend_rows=0,
    )
    axis = StepAxis(False, grid.steps[-1])
    depth = range(1, len(NEWTON_STEPS) + 1)
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
                plain_line(
                    depth,
                    translated_steps(name, model.settings),
                    look,
                    legendgroup=name,
                    showlegend=False,
                )
                for name, look in LOOKS.items()
            ],
            LAYER_AXIS,
            {"title": "most similar step"},
        ),
    )
    drawings = (
        Drawing.of("quasi-newton", heatmaps, model=model),
        Drawing.of("quasi-newton-curves", curves),
    )
    data = xarray.merge([item.data(name) for name, item in found.items()])
    return Part(_claims("bfgs-law", working, first, about), drawings, data=data)


def _claims(
    key: str,
    steps: Mapping[str, Float[Tensor, " layer"]],
    first: int,
    about: str,
    published: str = "",
) -> tuple[Claim, ...]:
    """That BFGS's steps grow linearly with depth, and that L-BFGS and CG need more.

    Args:
        key: Of the first of these.
        steps: Of each reference, by layer at work.
        first: Number of the first of these layers.
        about: Which model and prompts.
        published: The numbers that the paper prints.
    """
    bfgs = steps["bfgs"]
    depth = range(first, first + len(bfgs))
    linear = law_claim(key, bfgs, depth, about=about, published=published)
    return linear, *(
        _slower(name, bfgs[-1].item(), steps[name][-1].item(), about) for name in ("l-bfgs", "cg")
    )


def _slower(name: str, bfgs: float, other: float, about: str) -> Claim:
    """The claim that a method needs more steps than BFGS for the last layer that works."""
    found = f"{other:.1f} steps against {bfgs:.1f} at the last layer at work"
    share = Quantity.of(other / max(bfgs, 1.0))
    return Claim.of("slower-than-bfgs", found, share, about=about, label=LOOKS[name].label)
