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
from interp.studies.paper.claims import Claim, Quantity, apart, not_shipped, number_claim
from interp.studies.paper.figures.heatmaps import GD_GRID, NEWTON_GRID
from interp.studies.paper.models import PaperModel, PaperModels, match_official
from interp.studies.paper.paper_setup import official_eta, paper_prefixes
from interp.studies.paper.plots import arranged, interval_line
from interp.studies.paper.published import TABLE_1
from interp.studies.paper.reproduction import Drawing, RowResult
from interp.studies.paper.rows import ROLES, Row
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
Scores = Mapping[str, Quantity]
"""SimE at each algorithm's best step."""


def table_1(row: Row, models: PaperModels) -> RowResult:
    """SimE of the models' own predictions with each algorithm at its best step."""
    found, missing = models.among(row.needs)
    scores = {
        role: _scores(model.layers.model, model.layers.prefixes) for role, model in found.items()
    }
    claims = [*_within(scores, found), *_between(scores)]
    claims += [
        not_shipped(f"SimE of the {ROLES[role].name}", sentence, _printed(role))
        for role, sentence in missing.items()
    ]
    claims += [
        number_claim(
            f"SimE of the {ROLES[role].name} with {NAMES[name]}",
            score,
            TABLE_1[name][role],
            0.01,
            at_scale=models.at_scale,
            about=found[role].about,
        )
        for role in scores
        for name, score in scores[role].items()
    ]
    prefixes = paper_prefixes(models.settings)
    zero = _scores(torch.zeros_like(prefixes.ys), prefixes, first_step=1.0)
    drawing = Drawing(
        row.key,
        "Similarity of errors of whole models",
        "SimE of the model's own predictions with each algorithm at its best step, with 95 % "
        "intervals; diamonds are published (d = 20), the cross is what always saying 0 scores at "
        "d = 20.",
        arranged(_panel(scores, zero), legend_rows=2),
    )
    data = xarray.Dataset(
        {role: ("reference", [score.value for score in scores[role].values()]) for role in scores},
        {"reference": list(NAMES)},
    )
    tables = (_table(scores, zero),)
    return RowResult(row, tuple(claims), (drawing,), tables, data, tuple(missing.values()))


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


def _within(scores: Mapping[str, Scores], models: Mapping[str, PaperModel]) -> list[Claim]:
    """Which algorithm each model is most like."""
    claims = {
        "transformer": ("the transformer is more like Newton than like online GD", "newton", "ogd"),
        "lstm": ("the LSTM is more like online GD than like Newton", "ogd", "newton"),
    }
    return [
        apart(
            claim,
            f"{NAMES[more]} {scores[role][more].text()}, {NAMES[less]} {scores[role][less].text()}",
            scores[role][more],
            scores[role][less],
            published=f"{TABLE_1[more][role]:.3f} > {TABLE_1[less][role]:.3f}",
            about=models[role].about,
        )
        for role, (claim, more, less) in claims.items()
        if role in scores
    ]


def _between(scores: Mapping[str, Scores]) -> list[Claim]:
    """Which model is more like an algorithm."""
    if len(scores) < 2:
        return []
    claims = (
        ("the transformer is more like Newton than the LSTM is", "newton", "transformer", "lstm"),
        ("the LSTM is more like online GD than the transformer is", "ogd", "lstm", "transformer"),
    )
    return [
        apart(
            claim,
            f"{ROLES[more].name} {scores[more][name].text()}, "
            f"{ROLES[less].name} {scores[less][name].text()}",
            scores[more][name],
            scores[less][name],
            published=f"{TABLE_1[name][more]:.3f} > {TABLE_1[name][less]:.3f}",
        )
        for claim, name, more, less in claims
    ]


def _printed(role: str) -> str:
    return ", ".join(f"{NAMES[name]} {scores[role]:.3f}" for name, scores in TABLE_1.items())


def _panel(scores: Mapping[str, Scores], zero: Scores) -> Panel:
    series: list[tuple[list[Quantity], Look]] = []
    for role, look in LOOKS.items():
        if role in scores:
            series.append((list(scores[role].values()), look))
        printed = Look(f"{look.label}, published", look.colour, "dot", "diamond-open")
        series.append(([Quantity.of(TABLE_1[name][role]) for name in NAMES], printed))
    series.append((list(zero.values()), Look("always 0, d = 20", MUTED, "longdash", "x")))
    middle = (len(series) - 1) / 2
    traces = [
        interval_line(
            [place + SPREAD * (index - middle) for place in range(len(NAMES))],
            torch.tensor([one.value for one in found]),
            torch.tensor([one.low for one in found]),
            torch.tensor([one.high for one in found]),
            look,
        ).update(mode="markers")
        for index, (found, look) in enumerate(series)
    ]
    return Panel(
        "SimE",
        traces,
        {"tickvals": list(range(len(NAMES))), "ticktext": list(NAMES.values())},
        {"title": {"text": "SimE"}},
    )


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
