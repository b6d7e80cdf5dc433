"""Fig. 4, 15 to 19 and 22 to 25: the heatmaps of Fig. 3 and 8 for other prompts and models."""

from __future__ import annotations

from dataclasses import replace

from interp.analyses.algorithms import PAPER_TASK
from interp.plots.panel import Panel, StepAxis
from interp.plots.style import Look
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity, number_claim
from interp.studies.paper.figures.heatmaps import GD_GRID, compare_with_newton_and_gd
from interp.studies.paper.growth_claims import order_claim, step_counts
from interp.studies.paper.models import PaperModel, PaperModels, match_official
from interp.studies.paper.paper_setup import (
    ILL_CONDITIONED_GD_STEPS,
    ILL_CONDITIONED_NEWTON_STEPS,
    official_eta,
    paper_prefixes,
)
from interp.studies.paper.plots import arranged, step_line
from interp.studies.paper.reproduction import Drawing, Part
from probes.references import GD, Newton, Prefixes

ILL_CONDITIONED = replace(PAPER_TASK, condition_number=100.0)
NEWTON_STEPS = (*range(0, 25, 3), ILL_CONDITIONED_NEWTON_STEPS)
"""The last is for a claim and not drawn."""


def noise(model: PaperModel) -> Part:
    """Superlinear convergence and a linear match with Newton on noisy prompts."""
    return Part((order_claim(model),)) + compare_with_newton_and_gd(model)


def heads_and_depth(models: PaperModels) -> Part:
    """The same with 1 head, and with twice the depth."""
    part = Part()
    for role, model in models.given.items():
        found = compare_with_newton_and_gd(model)
        variables = (*found.data.data_vars, *found.data.dims)
        data = found.data.rename({name: f"{role}_{name}" for name in variables})
        part += replace(found, data=data)
    return part


def ill_conditioned(model: PaperModel) -> Part:
    """Newton's and GD's matching steps of a model at kappa = 100."""
    found = compare_with_newton_and_gd(model)
    low, high = ILL_CONDITIONED_GD_STEPS
    published = {"newton": float(ILL_CONDITIONED_NEWTON_STEPS), "gd": (low + high) / 2}
    last = [
        number_claim(
            f"ill-conditioned-{name}-step",
            Quantity.of(found.data[f"{name}_best_step"].values[-1]),
            number,
            at_scale=model.at_scale,
            about=model.about,
        )
        for name, number in published.items()
    ]
    return replace(found, claims=(*found.claims[:2], *last))


def ill_conditioned_algorithms(models: PaperModels) -> Part:
    """GD's matching steps at kappa = 100 for every step of Newton."""
    prefixes = paper_prefixes(models.settings, ILL_CONDITIONED)
    eta = official_eta(prefixes)
    hard, plain = map(_gd_steps_of_newton, (prefixes, paper_prefixes(models.settings)))
    axis = StepAxis(True, max(hard.step.max().item(), plain.step.max().item()))
    looks = (
        (hard, Look("kappa = 100", "#d55e00", "solid", "square")),
        (plain, Look("isotropic", "#0072b2", "dash", "circle")),
    )
    x = list(map(float, NEWTON_STEPS[:-1]))
    figure = arranged(
        Panel(
            "GD's most similar step",
            [step_line(_without_last(found), look, axis, x=x) for found, look in looks],
            {"title": "step of Newton"},
            axis.properties("step of GD"),
        )
    )
    return Part(
        _gd_claims(hard, plain, eta),
        (Drawing.of("ill-conditioned", figure, eta=eta),),
        data=hard.data("gd_of_newton").rename(layer="step_of_newton"),
    )


def _gd_steps_of_newton(prefixes: Prefixes) -> LayerMatches:
    """The steps of GD most like some steps of Newton on the same prompts."""
    newton = Newton().predictions(prefixes, NEWTON_STEPS)
    return match_official(newton, prefixes, GD(official_eta(prefixes)), GD_GRID)


def _gd_claims(hard: LayerMatches, plain: LayerMatches, eta: float) -> tuple[Claim, ...]:
    """That GD's step most like Newton's 21st lies where the paper has it, beyond an easier one."""
    step, easier = (Quantity.of(item.step[-1], item.step_interval[-1]) for item in (hard, plain))
    where = (
        f"{step.text(',.0f')}, SimE {hard.best[-1]:.3f}, at eta = "
        f"{eta:.2g}, half of the largest that converges"
    )
    counts = " against ".join(step_counts([item.value]) for item in (step, easier))
    return (
        Claim.of("gd-step-like-newton", where, step),
        Claim.of(
            "more-gd-steps", f"{counts}: {step.value / easier.value:.1f} times", step - easier
        ),
    )


def _without_last(found: LayerMatches) -> LayerMatches:
    parts = ("similarity", "step", "step_interval", "best", "best_interval")
    return replace(found, **{name: getattr(found, name)[:-1] for name in parts})
