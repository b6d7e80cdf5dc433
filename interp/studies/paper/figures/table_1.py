"""Table 1: transformer and LSTM against Newton, GD and online GD."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.plots.panel import Panel
from interp.plots.style import INK, MUTED, Look
from interp.report.table import Table
from interp.studies.paper.claims import Claim, Quantity, number_claim
from interp.studies.paper.figures.heatmaps import GD_GRID, NEWTON_GRID
from interp.studies.paper.models import PaperModel, PaperModels, match_official
from interp.studies.paper.paper_setup import TABLE_1, official_eta, paper_prefixes
from interp.studies.paper.plots import arranged, plain_line
from interp.studies.paper.reproduction import Drawing, Part
from interp.studies.paper.rows import ROLES
from probes.matching import StepGrid
from probes.references import GD, Newton, OnlineGD, Prefixes, Reference

NAMES = {"newton": "Newton", "gd": "GD", "ogd": "online GD"}
"""As the paper names them within sentences."""
SPREAD = 0.1
"""Between the marks of one algorithm."""
LOOKS = {
    "transformer": Look("transformer", INK, "solid", "circle"),
    "lstm": Look("LSTM", "#d55e00", "dash", "square"),
}
ALGORITHMS = {"transformer": ("newton", "ogd"), "lstm": ("ogd", "newton")}
"""What each model is more, and less, like."""
Scores = Mapping[str, Quantity]
"""SimE at each algorithm's best step."""


def table_1(models: PaperModels) -> Part:
    """SimE of the models' own predictions with each algorithm at its best step."""
    found = models.given
    scores = {
        role: _scores(model.layers.model, model.layers.prefixes) for role, model in found.items()
    }
    prefixes = paper_prefixes(models.settings)
    zero = _scores(torch.zeros_like(prefixes.ys), prefixes, first_step=1.0)
    data = xarray.Dataset(
        {role: ("reference", [score.value for score in scores[role].values()]) for role in scores},
        {"reference": list(NAMES)},
    )
    return Part(
        (
            *(_within(role, scores[role], model.about) for role, model in found.items()),
            *_between(scores),
            *_numbers(scores, found),
        ),
        (Drawing.of("table-1", arranged(_panel(scores, zero), legend_rows=2)),),
        (_table(scores, zero),),
        data,
    )


def _scores(
    predictions: Float[Tensor, "prompt point"], prefixes: Prefixes, first_step: float = 0.0
) -> dict[str, Quantity]:
    references: dict[str, tuple[Reference, StepGrid]] = {
        "newton": (Newton(), NEWTON_GRID),
        "gd": (GD(official_eta(prefixes)), GD_GRID),
        "ogd": (OnlineGD(), StepGrid((0.0,))),
    }
    scores = {}
    for name, (reference, grid) in references.items():
        kept = tuple(step for step in grid.steps if step >= first_step) or grid.steps
        grid = StepGrid(kept, grid.spacing)
        found = match_official(predictions[None], prefixes, reference, grid)
        scores[name] = Quantity.of(found.best[0], found.best_interval[0])
    return scores


def _within(role: str, scores: Scores, about: str) -> Claim:
    """Which algorithm a model is most like."""
    more, less = ALGORITHMS[role]
    return Claim.of(
        f"{role}-{more}",
        f"{NAMES[more]} {scores[more].text()}, {NAMES[less]} {scores[less].text()}",
        scores[more] - scores[less],
        published=f"{TABLE_1[more][role]:.3f} > {TABLE_1[less][role]:.3f}",
        about=about,
    )


def _between(scores: Mapping[str, Scores]) -> list[Claim]:
    """Which model is more like an algorithm."""
    if len(scores) < 2:
        return []
    pairs = (("newton", "transformer", "lstm"), ("ogd", "lstm", "transformer"))
    return [
        Claim.of(
            f"{name}-{more}",
            f"{ROLES[more].name} {scores[more][name].text()}, "
            f"{ROLES[less].name} {scores[less][name].text()}",
            scores[more][name] - scores[less][name],
            published=f"{TABLE_1[name][more]:.3f} > {TABLE_1[name][less]:.3f}",
        )
        for name, more, less in pairs
    ]


def _numbers(scores: Mapping[str, Scores], models: Mapping[str, PaperModel]) -> list[Claim]:
    """The claims that similarities are the published ones."""
    return [
        number_claim(
            "similarity",
            score,
            TABLE_1[name][role],
            at_scale=model.at_scale,
            about=model.about,
            model=ROLES[role].name,
            algorithm=NAMES[name],
        )
        for role, model in models.items()
        for name, score in scores[role].items()
    ]


def _panel(scores: Mapping[str, Scores], zero: Scores) -> Panel:
    series: list[tuple[list[Quantity], Look]] = []
    for role, look in LOOKS.items():
        if role in scores:
            series.append((list(scores[role].values()), look))
        printed = Look(f"{look.label}, published", look.colour, "dot", "diamond-open")
        series.append(([Quantity.of(TABLE_1[name][role]) for name in NAMES], printed))
    series.append((list(zero.values()), Look("always 0, d = 20", MUTED, "longdash", "x")))
    middle = (len(series) - 1) / 2
    traces = []
    for index, (found, look) in enumerate(series):
        places = [place + SPREAD * (index - middle) for place in range(len(NAMES))]
        values, *bounds = zip(*((one.value, one.low, one.high) for one in found), strict=True)
        traces.append(plain_line(places, values, look, bounds=bounds, mode="markers"))
    ticks = {"tickvals": list(range(len(NAMES))), "ticktext": list(NAMES.values())}
    return Panel("SimE", traces, ticks, {"title": "SimE"})


def _table(scores: Mapping[str, Scores], zero: Scores) -> Table:
    rows = []
    for name, title in NAMES.items():
        cells = [title]
        for role in LOOKS:
            ours = scores[role][name].text() if role in scores else "–"
            cells += [f"{TABLE_1[name][role]:.3f}", ours]
        rows.append((*cells, zero[name].text()))
    header = (
        "SimE with", "transformer, published", "ours", "LSTM, published", "ours", "always 0, d = 20"
    )  # fmt: skip
    note = "At each algorithm's best step; 95 % intervals."
    return Table.of_text("table-1", "Table 1", header, rows, note)
