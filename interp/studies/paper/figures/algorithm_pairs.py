"""Fig. 26: one algorithm against another, at the paper's scale."""

from __future__ import annotations

import numpy as np
import torch
import xarray

from interp.analyses.algorithms import describe_growth
from interp.plots.panel import Panel
from interp.report.table import Table
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity, Rule
from interp.studies.paper.growth_claims import law_claim
from interp.studies.paper.models import PaperModels
from interp.studies.paper.paper_setup import compare
from interp.studies.paper.plots import arranged, heatmap_panel
from interp.studies.paper.reproduction import Drawing, RowResult
from interp.studies.paper.rows import Row
from probes.matching import StepGrid, best_match
from probes.references import legend_of

PAIRS = (("newton", "gd"), ("newton", "bfgs"), ("newton", "cg"), ("newton", "l-bfgs"))
ABOUT = "model-free, d = 20, 41 points"
SHOWN_STEPS = (1, 2, 3, 5, 8, 10, 14, 17, 20, 21)
"""Newton's, which the paper's layers match."""
SQUARE_ROOT = 0.5
POWER_TOLERANCE = 0.15


def algorithm_pairs(row: Row, models: PaperModels) -> RowResult:
    """For every step of Newton the most similar step of GD, BFGS, CG and L-BFGS."""
    found = {pair: compare(*pair, models.settings) for pair in PAIRS}
    gd = found["newton", "gd"]
    growing = gd.where(gd.is_growing, drop=True)
    claims = (
        law_claim(
            "GD needs exponentially more steps than Newton",
            torch.from_numpy(growing.best_step.values),
            growing.step_a.values.tolist(),
            "exponential",
            about=ABOUT,
            unit="step of Newton",
        ),
        _square_root(compare("gd", "cg", models.settings)),
    )
    panels = [_panel(found[pair], with_scale=pair == PAIRS[1]) for pair in PAIRS[:2]]
    others = [_panel(found[pair], with_scale=pair == PAIRS[3]) for pair in PAIRS[2:]]
    see = (
        "SimE of each step of Newton (vertical) with each step of another algorithm; circles mark "
        "the best step. Residuals from the point that has seen one pair on."
    )
    drawings = (
        Drawing(row.key, "Newton against GD and BFGS", see, arranged(*panels, legend_rows=0)),
        Drawing(
            f"{row.key}-krylov", "Newton against CG and L-BFGS", see,
            arranged(*others, legend_rows=0),
        ),
    )  # fmt: skip
    data = xarray.merge(
        [
            item[["similarity", "best_step", "best_similarity"]].rename(
                {"step_b": f"{b}_step"}
                | {name: f"{b}_{name}" for name in ("similarity", "best_step", "best_similarity")}
            )
            for (_, b), item in found.items()
        ],
        compat="override",
        combine_attrs="drop",
    )
    return RowResult(row, claims, drawings, (_table(found),), data)


def _panel(found: xarray.Dataset, *, with_scale: bool) -> Panel:
    name = found.attrs["b"]
    label = "GD" if name == "gd" else legend_of(name)
    grid = StepGrid(tuple(found.step_b.values.tolist()), found.attrs["spacing_b"])
    similarity = torch.from_numpy(found.similarity.values)
    best = best_match(similarity, grid)
    step = torch.from_numpy(found.best_step.values)
    bounds = torch.from_numpy(found.best_step_interval.values)
    score = torch.from_numpy(found.best_similarity_interval.values)
    matches = LayerMatches(grid, similarity, step, bounds, best.similarity, score)
    largest = 2.0**14 if grid.spacing == "log" else grid.steps[-1]
    panel = heatmap_panel(
        matches,
        name,
        title=f"Newton against {label}",
        low=0.4,
        with_scale=with_scale,
        largest=largest,
    )
    panel.x["title"] = {"text": f"{label}, {panel.x['title']['text']}"}
    panel.y["title"] = {"text": "Newton, step (iterations)"}
    return panel


def _square_root(found: xarray.Dataset) -> Claim:
    """CG's steps grow as the square root of GD's, while both still move."""
    growing = found.where(found.is_growing, drop=True)
    rule = Rule(
        "slope of log CG steps on log GD steps, over the steps at which both still move, within "
        f"{POWER_TOLERANCE} of 1/2; disagrees beyond",
        above=SQUARE_ROOT - POWER_TOLERANCE,
        below=SQUARE_ROOT + POWER_TOLERANCE,
    )
    claim = "CG needs the square root of GD's steps"
    if growing.sizes["step_a"] < 3:
        text = "too few steps of GD have a match"
        return Claim(claim, text, rule, None, about=ABOUT)
    x = np.log(growing.step_a.values)
    y = np.log(growing.best_step.values)
    power = float(np.polyfit(x, y, 1)[0])
    first, last = growing.isel(step_a=0), growing.isel(step_a=-1)
    text = (
        f"power {power:.2f}, from GD step {first.step_a:,.0f} (CG {first.best_step:.0f}) to "
        f"{last.step_a:,.0f} (CG {last.best_step:.0f})"
    )
    return Claim(claim, text, rule, Quantity.of(power), "1/2", ABOUT)


def _table(found: dict[tuple[str, str], xarray.Dataset]) -> Table:
    rows = tuple(
        (
            str(step),
            *(
                f"{item.best_step.sel(step_a=step).item():,.1f} "
                f"({item.best_similarity.sel(step_a=step).item():.3f})"
                for item in found.values()
            ),
        )
        for step in SHOWN_STEPS
    )
    header = ("Newton step", *(legend_of(b) for _, b in found))
    note = " ".join(describe_growth(item) for item in found.values())
    return Table.of_text("steps", "Most similar step, and SimE there", header, rows, note)
