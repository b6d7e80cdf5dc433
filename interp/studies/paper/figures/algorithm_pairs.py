"""Fig. 26: one algorithm against another, at the paper's scale."""

from __future__ import annotations

import numpy as np
import torch
import xarray

from interp import plots
from interp.analyses.algorithms import describe_growth
from interp.report.table import Table
from interp.studies.paper.claims import Claim, Quantity
from interp.studies.paper.growth_claims import law_claim
from interp.studies.paper.models import PaperModels
from interp.studies.paper.paper_setup import compare
from interp.studies.paper.reproduction import Drawing, Part
from probes.references import legend_of

OTHERS = ("gd", "bfgs", "cg", "l-bfgs")
SHOWN_STEPS = (1, 2, 3, 5, 8, 10, 14, 17, 20, 21)
"""Newton's, which the paper's layers match."""
NAMES = ("similarity", "best_step", "best_similarity")


def algorithm_pairs(models: PaperModels) -> Part:
    """For every step of Newton the most similar step of GD, BFGS, CG and L-BFGS."""
    found = {other: compare("newton", other, models.settings) for other in OTHERS}
    growing = found["gd"].where(found["gd"].is_growing, drop=True)
    gd_law = law_claim(
        "gd-law-of-newton",
        torch.from_numpy(growing.best_step.values),
        growing.step_a.values.tolist(),
        unit="step of Newton",
    )
    drawings = tuple(
        Drawing.of("algorithm-pair", plots.algorithms(item), a="Newton", b=legend_of(other))
        for other, item in found.items()
    )
    data = [
        item[list(NAMES)].rename(
            {"step_b": f"{other}_step"} | {name: f"{other}_{name}" for name in NAMES}
        )
        for other, item in found.items()
    ]
    return Part(
        (gd_law, _square_root(compare("gd", "cg", models.settings))),
        drawings,
        (_table(found),),
        xarray.merge(data, compat="override", combine_attrs="drop"),
    )


def _square_root(found: xarray.Dataset) -> Claim:
    """CG's steps grow as the square root of GD's, while both still move."""
    growing = found.where(found.is_growing, drop=True)
    if growing.sizes["step_a"] < 3:
        return Claim.of("square-root", "too few steps of GD have a match", None)
    power = float(np.polyfit(np.log(growing.step_a.values), np.log(growing.best_step.values), 1)[0])
    first, last = growing.isel(step_a=0), growing.isel(step_a=-1)
    text = (
        f"power {power:.2f}, from GD step {first.step_a:,.0f} (CG {first.best_step:.0f}) to "
        f"{last.step_a:,.0f} (CG {last.best_step:.0f})"
    )
    return Claim.of("square-root", text, Quantity.of(power))


def _table(found: dict[str, xarray.Dataset]) -> Table:
    rows = [
        [str(step), *(_cell(item.sel(step_a=step)) for item in found.values())]
        for step in SHOWN_STEPS
    ]
    header = ("Newton step", *map(legend_of, found))
    note = " ".join(map(describe_growth, found.values()))
    return Table.of_text("steps", "Most similar step, and SimE there", header, rows, note)


def _cell(item: xarray.Dataset) -> str:
    return f"{item.best_step.item():,.1f} ({item.best_similarity.item():.3f})"
