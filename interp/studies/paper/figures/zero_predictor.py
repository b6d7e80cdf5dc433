"""The floor under all similarities: what a predictor that always says 0 scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import xarray
from jaxtyping import Float
from plotly.graph_objects import Scatter
from torch import Tensor

from interp.plots.panel import Panel
from interp.plots.style import INK, MUTED, Look
from interp.report.table import Table
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity, Rule
from interp.studies.paper.models import PaperModels, match_official
from interp.studies.paper.paper_setup import paper_prefixes
from interp.studies.paper.plots import arranged
from interp.studies.paper.published import NEWTON_SIMILARITY, TABLE_1
from interp.studies.paper.reproduction import Drawing, RowResult
from interp.studies.paper.rows import ROLES, Row
from probes.matching import StepGrid
from probes.references import OLS, REFERENCES, Prefixes, Reference, build_reference

OFFICIAL_GRIDS: dict[str, StepGrid] = {
    "linear": StepGrid(tuple(map(float, range(1, 24)))),
    "log": StepGrid(
        tuple(sorted({*map(float, range(1, 17)), *(2.0**k for k in range(11)), 1300.0}))
    ),
}
"""Steps from 1 on, as in the official code: at step 0 an iterate itself says 0."""
SLOW = frozenset(
    {"gd", "gd-adaptive", "gd-optimal", "preconditioned-gd", "heavy-ball", "nesterov", "chebyshev"}
)
UNKNOWN_PRIOR = frozenset({"dmmse"})
ABOUT = "model-free, d = 20, 41 points"


def zero_predictor(row: Row, models: PaperModels) -> RowResult:
    """SimE of 0 with every reference at its best step, and of OLS beside it."""
    prefixes = paper_prefixes(models.settings)
    names = sorted(set(REFERENCES) - UNKNOWN_PRIOR)
    scores = {name: score_zero_and_ols(name, prefixes) for name in names}
    order = sorted(names, key=lambda name: scores[name].best[0].item())
    claims = (
        _claim("layers 1 to 6 are closer to Newton", scores["newton"], NEWTON_SIMILARITY[:6]),
        _claim("layers 7 to 12 are closer to Newton", scores["newton"], NEWTON_SIMILARITY[6:]),
        *(
            _claim(
                f"the {ROLES[role].name} is closer to {words}",
                scores[name],
                (TABLE_1[name][role],),
            )
            for role in ("transformer", "lstm")
            for name, words in (("newton", "Newton"), ("gd", "GD"), ("ogd", "online GD"))
        ),
    )
    figure = arranged(
        Panel(
            "SimE with each reference",
            [
                _dots(order, scores, 0, Look("always 0", INK, "solid", "circle")),
                _dots(order, scores, 1, Look("OLS", MUTED, "dot", "diamond-open")),
            ],
            {"title": {"text": "SimE at the best step"}},
            {"dtick": 1, "tickfont": {"size": 11}},
        )
    )
    figure.update_layout(height=160 + 20 * len(order))
    drawing = Drawing(
        row.key,
        "What saying 0 scores",
        "SimE of a predictor that always says 0, and of OLS, with every reference at its best step "
        "from 1 on (1 to 23; 1 to 1,300 where steps are slow).",
        figure,
    )
    rows = tuple(
        (
            name,
            f"{scores[name].best[0]:.3f}",
            _step(scores[name], 0),
            f"{scores[name].best[1]:.3f}",
            _step(scores[name], 1),
        )
        for name in reversed(order)
    )
    header = ("reference", "SimE of 0", "at step", "SimE of OLS", "at step")
    data = xarray.Dataset(
        {
            "zero_similarity": ("reference", [scores[name].best[0].item() for name in names]),
            "ols_similarity": ("reference", [scores[name].best[1].item() for name in names]),
            "zero_best_step": ("reference", [scores[name].step[0].item() for name in names]),
        },
        {"reference": names},
    )
    title = "SimE of 0 and of OLS with every reference"
    table = Table.of_text("zero", title, header, rows, "")
    return RowResult(row, claims, (drawing,), (table,), data)


def score_zero_and_ols(name: str, prefixes: Prefixes) -> LayerMatches:
    """SimE of 0 and of OLS with a reference at its best step, as in the official code."""
    reference = build_reference(name)
    predictors: Float[Tensor, "predictor prompt point"] = torch.stack(
        [torch.zeros_like(prefixes.ys), OLS().predictions(prefixes)[0]]
    )
    return match_official(predictors, prefixes, reference, _grid(name, reference))


def _grid(name: str, reference: Reference) -> StepGrid:
    if not reference.is_iterative:
        return StepGrid((0.0,))
    return OFFICIAL_GRIDS["log" if name in SLOW else "linear"]


def _claim(claim: str, found: LayerMatches, published: Sequence[float]) -> Claim:
    """Whether published similarities are above what saying 0 scores."""
    score = Quantity.of(found.best[0], found.best_interval[0])
    where = "" if len(found.grid.steps) == 1 else f" at step {found.step[0]:.3g}"
    return Claim(
        f"by the published SimE, {claim} than a predictor that always says 0",
        f"0 scores {score.text()}{where}",
        Rule(
            "all published numbers lie above the 95 % interval; disagrees if all lie below",
            below=min(published),
            fails_from=max(published),
        ),
        score,
        ", ".join(f"{value:.3f}" for value in published),
        ABOUT,
    )


def _dots(order: list[str], scores: dict[str, LayerMatches], index: int, look: Look) -> Scatter:
    return Scatter(
        x=[scores[name].best[index].item() for name in order],
        y=list(order),
        mode="markers",
        marker=look.marker,
        name=look.label,
        hovertemplate="%{y}: %{x:.3f}",
    )


def _step(found: LayerMatches, index: int) -> str:
    if len(found.grid.steps) == 1:
        return "–"
    return f"{found.step[index]:,.4g}"
