"""Table 1: transformer and LSTM against Newton, GD and online GD."""

from __future__ import annotations

import torch
import xarray

from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Check, Drawing, Finding, Outcome, not_shipped
from interp.paper.heatmaps import GD_GRID, NEWTON_GRID
from interp.paper.matches import Matches, match_predictors, official_eta
from interp.paper.paper_scale import paper_prefixes
from interp.paper.pictures import arranged, interval_line
from interp.paper.published import TABLE_1
from interp.paper.roles import PAPER_DIMS, ROLES
from interp.paper.scale import describe, number_check
from interp.plots.panel import Panel
from interp.plots.style import INK, MUTED, Look
from interp.report.text_table import TextTable
from probes.matching import StepGrid
from probes.references import GD, Newton, OnlineGD, Prefixes, Reference

NAMES = {"newton": "Newton", "gd": "GD", "ogd": "online GD"}
APART = "95 % intervals of the two do not overlap; disagrees if they lie the other way round"
SPREAD = 0.1
"""Between the marks of one algorithm."""
LOOKS = {
    "transformer": Look("transformer", INK, "solid", "circle"),
    "lstm": Look("LSTM", "#d55e00", "dash", "square"),
}


def table_1(row: Row, cast: Cast) -> Finding:
    """SimE of the models' own predictions with each algorithm at its best step."""
    found: dict[str, dict[str, Matches]] = {}
    missing = []
    for role in row.needs:
        layers = cast.layers(role)
        if layers is None:
            missing.append(cast.lacks(role))
        else:
            found[role] = _scores(layers.model, layers.prefixes)
    checks = [*_within(found, cast), *_between(found)]
    checks += [not_shipped(f"SimE of the {ROLES[role].name}", cast.lacks(role), _printed(role))
               for role in row.needs if role not in found]  # fmt: skip
    checks += [
        number_check(
            f"SimE of the {ROLES[role].name} with {NAMES[name]}",
            item.best[0].item(),
            TABLE_1[name][role],
            0.01,
            at_scale=cast.n_dims == PAPER_DIMS,
            about=describe(cast, role),
            interval=item.best_interval[0],
        )
        for role, scores in found.items()
        for name, item in scores.items()
    ]
    prefixes = paper_prefixes(cast.settings)
    zero = _scores(torch.zeros_like(prefixes.ys), prefixes, first_step=1.0)
    drawing = Drawing(
        row.key,
        "Similarity of errors of whole models",
        "SimE of the model's own predictions with each algorithm at its best step, with 95 % "
        "intervals; diamonds are published (d = 20), the cross is what always saying 0 scores at "
        "d = 20.",
        arranged(_panel(found, zero), legend_rows=2),
    )
    data = xarray.Dataset(
        {
            role: ("reference", [item.best[0].item() for item in scores.values()])
            for role, scores in found.items()
        },
        {"reference": list(NAMES)},
    )
    table = _table(found, zero)
    return Finding(row, tuple(checks), (drawing,), (table,), data, tuple(missing))


def _scores(
    predictions: torch.Tensor, prefixes: Prefixes, first_step: float = 0.0
) -> dict[str, Matches]:
    references: dict[str, tuple[Reference, StepGrid]] = {
        "newton": (Newton(), NEWTON_GRID),
        "gd": (GD(official_eta(prefixes)), GD_GRID),
        "ogd": (OnlineGD(), StepGrid((0.0,))),
    }
    return {
        name: match_predictors(predictions[None], prefixes, reference, _from(grid, first_step))
        for name, (reference, grid) in references.items()
    }


def _from(grid: StepGrid, first: float) -> StepGrid:
    """The grid without what lies below a step, unless nothing else is on it."""
    kept = tuple(step for step in grid.steps if step >= first)
    return StepGrid(kept, grid.spacing) if kept else grid


def _within(found: dict[str, dict[str, Matches]], cast: Cast) -> list[Check]:
    """Which algorithm each model is most like."""
    claims = {
        "transformer": ("the transformer is more like Newton than like online GD", "newton", "ogd"),
        "lstm": ("the LSTM is more like online GD than like Newton", "ogd", "newton"),
    }
    return [
        _apart(claim, scores[more], scores[less], more, less, describe(cast, role),
               f"{TABLE_1[more][role]:.3f} > {TABLE_1[less][role]:.3f}")
        for role, (claim, more, less) in claims.items()
        if (scores := found.get(role)) is not None
    ]  # fmt: skip


def _between(found: dict[str, dict[str, Matches]]) -> list[Check]:
    """Which model is more like an algorithm."""
    if len(found) < 2:
        return []
    claims = (
        ("the transformer is more like Newton than the LSTM is", "newton", "transformer", "lstm"),
        ("the LSTM is more like online GD than the transformer is", "ogd", "lstm", "transformer"),
    )
    return [
        _apart(claim, found[more][name], found[less][name], more, less, "",
               f"{TABLE_1[name][more]:.3f} > {TABLE_1[name][less]:.3f}")
        for claim, name, more, less in claims
    ]  # fmt: skip


def _apart(
    claim: str, more: Matches, less: Matches, name: str, other: str, about: str, published: str
) -> Check:
    outcome: Outcome = "cannot be told"
    if more.best_interval[0, 0] > less.best_interval[0, 1]:
        outcome = "agrees"
    elif more.best_interval[0, 1] < less.best_interval[0, 0]:
        outcome = "disagrees"
    names = {**NAMES, **{role: ROLES[role].name for role in ROLES}}
    text = f"{names[name]} {_score(more)}, {names[other]} {_score(less)}"
    return Check(claim, text, APART, outcome, published, about)


def _score(item: Matches) -> str:
    low, high = item.best_interval[0].tolist()
    return f"{item.best[0]:.3f} ({low:.3f} to {high:.3f})"


def _printed(role: str) -> str:
    return ", ".join(f"{NAMES[name]} {scores[role]:.3f}" for name, scores in TABLE_1.items())


def _panel(found: dict[str, dict[str, Matches]], zero: dict[str, Matches]) -> Panel:
    traces = []
    for role, look in LOOKS.items():
        printed = Look(f"{look.label}, published", look.colour, "dot", "diamond-open")
        published = torch.tensor([TABLE_1[name][role] for name in NAMES])
        if role in found:
            bounds = torch.stack([item.best_interval[0] for item in found[role].values()])
            best = torch.tensor([item.best[0].item() for item in found[role].values()])
            traces.append((best, bounds[:, 0], bounds[:, 1], look))
        traces.append((published, published, published, printed))
    floor = torch.tensor([item.best[0].item() for item in zero.values()])
    traces.append((floor, floor, floor, Look("always 0, d = 20", MUTED, "longdash", "x")))
    middle = (len(traces) - 1) / 2
    return Panel(
        "SimE",
        [
            interval_line(
                [place + SPREAD * (index - middle) for place in range(len(NAMES))], *trace
            ).update(mode="markers")
            for index, trace in enumerate(traces)
        ],
        {"tickvals": list(range(len(NAMES))), "ticktext": list(NAMES.values())},
        {"title": {"text": "SimE"}},
    )


def _table(found: dict[str, dict[str, Matches]], zero: dict[str, Matches]) -> TextTable:
    rows = tuple(
        (
            NAMES[name],
            *(
                text
                for role in LOOKS
                for text in (
                    f"{TABLE_1[name][role]:.3f}",
                    _score(found[role][name]) if role in found else "–",
                )
            ),
            _score(zero[name]),
        )
        for name in NAMES
    )
    header = (
        "SimE with", "transformer, published", "ours", "LSTM, published", "ours", "always 0, d = 20"
    )  # fmt: skip
    return TextTable("Table 1", header, rows, "At each algorithm's best step; 95 % intervals.")
