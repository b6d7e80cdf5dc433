"""Fig. 4, 15 to 19 and 22 to 25: the heatmaps of Fig. 3 and 8 for other prompts and models."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import xarray

from interp.analyses.algorithms import PAPER_TASK
from interp.plots.panel import Panel
from interp.plots.step_axis import StepAxis
from interp.plots.style import Look
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity, Rule, apart, not_shipped, number_claim
from interp.studies.paper.figures.heatmaps import GD_GRID, compare_with_newton_and_gd
from interp.studies.paper.growth_claims import order_claim, step_counts
from interp.studies.paper.models import PaperModel, PaperModels, match_official
from interp.studies.paper.paper_setup import official_eta, paper_prefixes
from interp.studies.paper.plots import arranged, step_line
from interp.studies.paper.published import ILL_CONDITIONED_GD_STEPS, ILL_CONDITIONED_NEWTON_STEPS
from interp.studies.paper.reproduction import Drawing, RowResult, without_model
from interp.studies.paper.rows import ROLES, Row
from probes.references import GD, Newton, Prefixes

ILL_CONDITIONED = replace(PAPER_TASK, condition_number=100.0)
NEWTON_STEPS = (*range(0, 25, 3), ILL_CONDITIONED_NEWTON_STEPS)
"""The last is for a claim and not drawn."""


def noise(row: Row, models: PaperModels) -> RowResult:
    """Superlinear convergence and a linear match with Newton on noisy prompts."""
    (role,) = row.needs
    model = models.find(role)
    if model is None:
        return without_model(row, models.lacks(role))
    found = compare_with_newton_and_gd(row, role, model)
    order = order_claim("the error falls superlinearly over the layers at work", model)
    return replace(found, claims=(order, *found.claims))


def heads_and_depth(row: Row, models: PaperModels) -> RowResult:
    """The same with 1 head, and with twice the depth."""
    found, missing = models.among(row.needs)
    claims, results, data = [], [], []
    for role in row.needs:
        if role in missing:
            claim = f"{ROLES[role].name}: linear match with Newton, exponential with GD"
            claims.append(not_shipped(claim, missing[role]))
            continue
        result = compare_with_newton_and_gd(row, role, found[role])
        claims += result.claims
        results.append(result)
        variables = (*result.data.data_vars, *result.data.dims)
        data.append(result.data.rename({name: f"{role}_{name}" for name in variables}))
    return RowResult(
        row,
        tuple(claims),
        tuple(drawing for result in results for drawing in result.drawings),
        tuple(table for result in results for table in result.tables),
        xarray.merge(data),
        tuple(missing.values()),
    )


def ill_conditioned(row: Row, models: PaperModels) -> RowResult:
    """Newton's and GD's matching steps at kappa = 100, and GD's for every step of Newton."""
    prefixes = paper_prefixes(models.settings, ILL_CONDITIONED)
    eta = official_eta(prefixes)
    hard, plain = map(_gd_steps_of_newton, (prefixes, paper_prefixes(models.settings)))
    model_free = (_gd_claim(hard, eta), _more_steps(hard, plain))
    axis = StepAxis(True, max(hard.step.max().item(), plain.step.max().item()))
    looks = (
        (hard, Look("kappa = 100", "#d55e00", "solid", "square")),
        (plain, Look("isotropic", "#0072b2", "dash", "circle")),
    )
    x = list(map(float, NEWTON_STEPS[:-1]))
    drawing = Drawing(
        f"{row.key}-algorithms",
        "Steps of GD most like each step of Newton, d = 20",
        f"Ill-conditioned prompts (kappa = 100, GD with eta = {eta:.2g}) and isotropic ones.",
        arranged(
            Panel(
                "GD's most similar step",
                [step_line(_without_last(found), look, axis, x=x) for found, look in looks],
                {"title": {"text": "step of Newton"}},
                axis.properties("step of GD"),
            )
        ),
    )
    (role,) = row.needs
    model = models.find(role)
    if model is None:
        claim = "the last layer matches about 21 Newton steps, and GD needs 2,000 to 3,000"
        claims: tuple[Claim, ...] = (
            not_shipped(claim, models.lacks(role), "21; 2,000–3,000"),
            *model_free,
        )
        missing = (models.lacks(role),)
        return RowResult(row, claims, (drawing,), data=hard.data("gd"), missing=missing)
    found = compare_with_newton_and_gd(row, role, model)
    claims = (*found.claims[:2], *_last_steps(found, model), *model_free)
    return replace(found, claims=claims, drawings=(*found.drawings, drawing))


def _gd_steps_of_newton(prefixes: Prefixes) -> LayerMatches:
    """The steps of GD most like some steps of Newton on the same prompts."""
    newton = Newton().predictions(prefixes, NEWTON_STEPS)
    return match_official(newton, prefixes, GD(official_eta(prefixes)), GD_GRID)


def _last_steps(found: RowResult, model: PaperModel) -> tuple[Claim, ...]:
    """The claims that the last layer matches the published steps of Newton and of GD."""
    newton, gd = (
        Quantity.of(found.data[f"{name}_best_step"].values[-1]) for name in ("newton", "gd")
    )
    low, high = ILL_CONDITIONED_GD_STEPS
    published = float(ILL_CONDITIONED_NEWTON_STEPS)
    claim = partial(number_claim, at_scale=model.at_scale, about=model.about)
    return (
        claim("Newton step of the last layer", newton, published, 3.0),
        claim("GD step of the last layer", gd, (low + high) / 2, (high - low) / 2),
    )


def _gd_claim(hard: LayerMatches, eta: float) -> Claim:
    """The claim that GD's step most like Newton's 21st lies where the paper has it."""
    low, high = ILL_CONDITIONED_GD_STEPS
    step = Quantity.of(hard.step[-1], hard.step_interval[-1])
    return Claim(
        f"GD's step most like Newton's step {ILL_CONDITIONED_NEWTON_STEPS}",
        f"{step.text(',.0f')}, SimE {hard.best[-1]:.3f}, at eta = "
        f"{eta:.2g}, half of the largest that converges",
        Rule(
            "95 % interval inside the published range; disagrees if outside of it altogether",
            above=float(low),
            below=float(high),
        ),
        step,
        f"{low:,}–{high:,}",
        "model-free, d = 20, kappa = 100",
    )


def _more_steps(hard: LayerMatches, plain: LayerMatches) -> Claim:
    ratio = hard.step[-1].item() / plain.step[-1].item()
    return apart(
        "GD needs more steps than on isotropic prompts for the same step of Newton",
        f"{step_counts(hard.step[-1:])} against {step_counts(plain.step[-1:])}: {ratio:.1f} times",
        Quantity.of(hard.step[-1], hard.step_interval[-1]),
        Quantity.of(plain.step[-1], plain.step_interval[-1]),
        about="model-free, d = 20",
    )


def _without_last(found: LayerMatches) -> LayerMatches:
    parts = ("similarity", "step", "step_interval", "best", "best_interval")
    return replace(found, **{name: getattr(found, name)[:-1] for name in parts})
