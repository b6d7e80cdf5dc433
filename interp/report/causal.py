"""Sections and sentences on layers that are reordered and on states from other prompts."""

from __future__ import annotations

import numpy as np
import xarray

from interp import plots
from interp.report.intervention_tables import interchange_table, layer_order_table
from interp.report.section import Section, written_section
from probes.references import legend_of

ALIKE, UNLIKE = 0.9, 0.3
"""Shares of what an iteration would do above and below which words say so."""


def layer_order_section(table: xarray.Dataset) -> Section:
    """The pictures and the table of what reordered layers do."""
    pictures = [plots.layer_order(table, value=name) for name in ("steps", "error", "eigenvalue")]
    reference = legend_of(str(table.reference.values[0]))
    tables = [layer_order_table(table)]
    return written_section(
        "interventions", "layer_order", pictures, tables=tables, reference=reference
    )


def interchange_section(table: xarray.Dataset) -> Section:
    """The pictures and the table of what states from other prompts do."""
    pictures = [plots.interchange(table, value=name) for name in ("answer", "share")]
    return written_section(
        "interventions", "interchange", pictures, tables=[interchange_table(table)]
    )


def layer_order_finding(table: xarray.Dataset) -> str:
    """Whether the model goes on when a layer is repeated, in a sentence."""
    reference = str(table.reference.values[0])
    here = table.sel(reference=reference)
    gain = float(here.layer_gain.median())
    shift = {
        str(change): float(here.output_shift.sel(change=change).median())
        for change in here.change.values
    }
    share = shift["repeat"] / gain if gain > 0 else 0.0
    if abs(share - 1) < 1 - ALIKE:
        found = "the model goes on by a layer's steps, as one that iterates does"
    elif share < UNLIKE:
        found = "the model does not go on as one that iterates would"
    else:
        found = "the model goes on by part of a layer's steps"
    return (
        f"With a layer repeated {found}: its prediction gains {_signed(shift['repeat'])} steps of "
        f"{legend_of(reference)} (median over layers; a layer itself takes {gain:.1f}); with two "
        f"swapped {_signed(shift['swap'])}, with one skipped {_signed(shift['skip'])}."
    )


def interchange_finding(table: xarray.Dataset) -> str:
    """From which layer on the query's state decides the answer, in a sentence."""
    is_of_a = (table.answer.sel(prompt="A") > table.answer.sel(prompt="B")).values
    first = int(table.layer.values[np.argmax(is_of_a)])
    words = f"From layer {first} on the query's state decides the answer, not the examples"
    name = str(table.reference.values[0])
    before = table.share.sel(subspace=name).isel(layer=slice(0, -1)).dropna("layer")
    if before.size:
        best = table.sel(subspace=name, layer=before.layer)
        words += (
            f"; moved to another prompt's iterate of {legend_of(name)}, one direction of it, the "
            f"answer makes {float(best.share.min()):.0%} to {float(best.share.max()):.0%} of that "
            "change, by layer"
        )
    return f"{words}.".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−").replace("+0.0", "0").replace("−0.0", "0")
