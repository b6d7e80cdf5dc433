"""The floor under all similarities: what a predictor that always says 0 scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import xarray
from jaxtyping import Float
from plotly.graph_objects import Scatter
from torch import Tensor

from interp.analyses.algorithms import SLOW
from interp.plots.marks import line
from interp.plots.panel import Panel
from interp.plots.style import INK, MUTED, Look
from interp.report.table import Table
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import RULES, Claim, Quantity, number_claim
from interp.studies.paper.models import PaperModels, match_official
from interp.studies.paper.paper_setup import NEWTON_SIMILARITY, TABLE_1, paper_prefixes
from interp.studies.paper.plots import arranged
from interp.studies.paper.reproduction import Drawing, Part
from interp.studies.paper.rows import ROLES
from probes.matching import StepGrid
from probes.references import OLS, REFERENCES, Prefixes, Reference, build_reference

OFFICIAL_GRIDS: dict[str, StepGrid] = {
    "linear": StepGrid(tuple(map(float, range(1, 24)))),
    "log": StepGrid(
        tuple(sorted({*map(float, range(1, 17)), *(2.0**k for k in range(11)), 1300.0}))
    ),
}
"""Steps from 1 on, as in the official code: at step 0 an iterate itself says 0."""
UNKNOWN_PRIOR = frozenset({"dmmse"})
TABLE_1_WORDS = {"newton": "Newton", "gd": "GD", "ogd": "online GD"}


def zero_predictor(models: PaperModels) -> Part:
    """SimE of 0 with every reference at its best step, and of OLS beside it."""
    prefixes = paper_prefixes(models.settings)
    names = sorted(set(REFERENCES) - UNKNOWN_PRIOR)
    scores = {name: score_zero_and_ols(name, prefixes) for name in names}
    claims = (
        _claim("layers 1 to 6 are closer to Newton", scores["newton"], NEWTON_SIMILARITY[:6]),
        _claim("layers 7 to 12 are closer to Newton", scores["newton"], NEWTON_SIMILARITY[6:]),
        *(
            _claim(
                f"the {ROLES[role].name} is closer to {words}", scores[name], (TABLE_1[name][role],)
            )
            for role in ("transformer", "lstm")
            for name, words in TABLE_1_WORDS.items()
        ),
        _later_by_one(prefixes),
    )
    data = xarray.Dataset(
        {
            "zero_similarity": ("reference", [found.best[0].item() for found in scores.values()]),
            "ols_similarity": ("reference", [found.best[1].item() for found in scores.values()]),
            "zero_best_step": ("reference", [found.step[0].item() for found in scores.values()]),
        },
        {"reference": names},
    )
    rising = dict(sorted(scores.items(), key=lambda item: item[1].best[0].item()))
    panel = Panel(
        "SimE with each reference",
        [
            _dots(rising, 0, Look("always 0", INK, "solid", "circle")),
            _dots(rising, 1, Look("OLS", MUTED, "dot", "diamond-open")),
        ],
        {"title": "SimE at the best step"},
        {"dtick": 1, "tickfont": {"size": 11}},
    )
    figure = arranged(panel).update_layout(height=160 + 20 * len(rising))
    return Part(claims, (Drawing.of("zero", figure),), (_table(rising),), data)


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


def _claim(closer: str, found: LayerMatches, published: Sequence[float]) -> Claim:
    """Whether published similarities are above what saying 0 scores."""
    score = Quantity.of(found.best[0], found.best_interval[0])
    where = "" if len(found.grid.steps) == 1 else f" at step {found.step[0]:.3g}"
    return Claim.of(
        "zero",
        f"0 scores {score.text()}{where}",
        score,
        published=", ".join(f"{value:.3f}" for value in published),
        rule=replace(RULES["floor"], below=min(published), fails_from=max(published)),
        closer=closer,
    )


def _later_by_one(prefixes: Prefixes) -> Claim:
    """Whether layer 1's published SimE, best at step 1, is that of 0 with Newton's iterate 2."""
    zero, newton = torch.zeros_like(prefixes.ys)[None], build_reference("newton")
    first, second = (
        match_official(zero, prefixes, newton, StepGrid((float(step),))) for step in (1, 2)
    )
    score = Quantity.of(second.best[0], second.best_interval[0])
    about = "model-free, d = 20, 41 points"
    claim = number_claim("zero-later", score, NEWTON_SIMILARITY[0], at_scale=True, about=about)
    return replace(claim, found=f"{score.text()} at iterate 2, {first.best[0]:.3f} at iterate 1")


def _dots(scores: Mapping[str, LayerMatches], index: int, look: Look) -> Scatter:
    values = [found.best[index].item() for found in scores.values()]
    return line(values, list(scores), look, "%{y}: %{x:.3f}", mode="markers")


def _table(rising: dict[str, LayerMatches]) -> Table:
    rows = [
        [name, *(cell for index in (0, 1) for cell in _cells(found, index))]
        for name, found in reversed(rising.items())
    ]
    header = ("reference", "SimE of 0", "at step", "SimE of OLS", "at step")
    return Table.of_text("zero", "SimE of 0 and of OLS with every reference", header, rows, "")


def _cells(found: LayerMatches, index: int) -> tuple[str, str]:
    has_steps = len(found.grid.steps) > 1
    return f"{found.best[index]:.3f}", f"{found.step[index]:,.4g}" if has_steps else "–"
