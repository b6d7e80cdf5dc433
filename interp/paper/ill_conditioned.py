"""Fig. 4 and 15 to 18: ill-conditioned prompts."""

from __future__ import annotations

from dataclasses import replace

from interp.analyses.algorithms import PAPER_TASK
from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Check, Drawing, Finding, Outcome, not_shipped
from interp.paper.growth import numbers
from interp.paper.heatmaps import GD_GRID, compare_with_newton_and_gd
from interp.paper.matches import Matches, match_predictors, official_eta
from interp.paper.paper_scale import paper_prefixes
from interp.paper.pictures import arranged, step_line
from interp.paper.published import ILL_CONDITIONED_GD_STEPS, ILL_CONDITIONED_NEWTON_STEPS
from interp.paper.roles import PAPER_DIMS
from interp.paper.scale import describe, number_check
from interp.plots.panel import Panel
from interp.plots.step_axis import StepAxis
from interp.plots.style import Look
from interp.tasks import LinearRegression
from probes.references import GD, Newton

TASK = LinearRegression(
    n_dims=PAPER_TASK.n_dims, n_points=PAPER_TASK.n_points, condition_number=100.0
)
NEWTON_STEPS = tuple(range(0, 25, 3))


def ill_conditioned(row: Row, cast: Cast) -> Finding:
    """Newton's and GD's matching steps at kappa = 100, and GD's for every step of Newton."""
    prefixes = paper_prefixes(cast.settings, TASK)
    eta = official_eta(prefixes)
    steps = (*NEWTON_STEPS, ILL_CONDITIONED_NEWTON_STEPS)
    told = match_predictors(Newton().predictions(prefixes, steps), prefixes, GD(eta), GD_GRID)
    isotropic = paper_prefixes(cast.settings)
    plain = match_predictors(
        Newton().predictions(isotropic, steps), isotropic, GD(official_eta(isotropic)), GD_GRID
    )
    model_free = (_gd_check(told, eta), _more_steps(told, plain))
    axis = StepAxis(True, max(told.step.max().item(), plain.step.max().item()))
    drawing = Drawing(
        f"{row.key}-algorithms",
        "Steps of GD most like each step of Newton, d = 20",
        f"Ill-conditioned prompts (kappa = 100, GD with eta = {eta:.2g}) and isotropic ones.",
        arranged(
            Panel(
                "GD's most similar step",
                [
                    step_line(_first(item), look, axis, x=list(map(float, NEWTON_STEPS)))
                    for item, look in (
                        (told, Look("kappa = 100", "#d55e00", "solid", "square")),
                        (plain, Look("isotropic", "#0072b2", "dash", "circle")),
                    )
                ],
                {"title": {"text": "step of Newton"}},
                axis.properties("step of GD"),
            )
        ),
    )
    (role,) = row.needs
    layers = cast.layers(role)
    if layers is None:
        sentence = cast.lacks(role)
        claim = "the last layer matches about 21 Newton steps, and GD needs 2,000 to 3,000"
        checks = (not_shipped(claim, sentence, "21; 2,000–3,000"), *model_free)
        return Finding(row, checks, (drawing,), data=told.data("gd"), missing=(sentence,))
    found = compare_with_newton_and_gd(row, cast, role, layers)
    about = describe(cast, role)
    newton = _last_step(found, "newton")
    gd = _last_step(found, "gd")
    at_scale = cast.n_dims == PAPER_DIMS
    low, high = ILL_CONDITIONED_GD_STEPS
    own = (
        number_check(
            "Newton step of the last layer", newton,
            float(ILL_CONDITIONED_NEWTON_STEPS), 3.0,
            at_scale=at_scale, about=about,
        ),
        number_check(
            "GD step of the last layer", gd, (low + high) / 2, (high - low) / 2,
            at_scale=at_scale, about=about,
        ),
    )  # fmt: skip
    laws = found.checks[:2]
    return replace(found, checks=(*laws, *own, *model_free), drawings=(*found.drawings, drawing))


def _gd_check(told: Matches, eta: float) -> Check:
    """Whether GD's step most like Newton's 21st lies where the paper has it."""
    low, high = ILL_CONDITIONED_GD_STEPS
    step = told.step[-1].item()
    bounds = told.step_interval[-1].tolist()
    outcome: Outcome = "cannot be told"
    if bounds[1] < low or bounds[0] > high:
        outcome = "disagrees"
    elif low <= bounds[0] and bounds[1] <= high:
        outcome = "agrees"
    return Check(
        f"GD's step most like Newton's step {ILL_CONDITIONED_NEWTON_STEPS}",
        f"{step:,.0f} ({bounds[0]:,.0f} to {bounds[1]:,.0f}), SimE {told.best[-1]:.3f}, at eta = "
        f"{eta:.2g}, half of the largest that converges",
        "95 % interval inside the published range; disagrees if outside of it altogether",
        outcome,
        f"{low:,}–{high:,}",
        "model-free, d = 20, kappa = 100",
    )


def _more_steps(told: Matches, plain: Matches) -> Check:
    ratio = told.step[-1].item() / plain.step[-1].item()
    outcome: Outcome = (
        "agrees"
        if told.step_interval[-1, 0] > plain.step_interval[-1, 1]
        else (
            "disagrees"
            if told.step_interval[-1, 1] < plain.step_interval[-1, 0]
            else "cannot be told"
        )
    )
    return Check(
        "GD needs more steps than on isotropic prompts for the same step of Newton",
        f"{numbers(told.step[-1:])} against {numbers(plain.step[-1:])}: {ratio:.1f} times",
        "95 % intervals of the two do not overlap; disagrees if they lie the other way round",
        outcome,
        about="model-free, d = 20",
    )


def _first(item: Matches) -> Matches:
    """Without the last predictor, which is there for a check."""
    return Matches(
        item.grid, item.similarity[:-1], item.step[:-1], item.step_interval[:-1],
        item.best[:-1], item.best_interval[:-1],
    )  # fmt: skip


def _last_step(found: Finding, name: str) -> float:
    """Best step of the last layer."""
    return float(found.data[f"{name}_best_step"].values[-1])
