"""What was measured of every layer, with its axes named."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray

from interp.analyses.empty_table import empty_table
from interp.results.anatomy import SILENT
from probes.anatomy import (
    EQUIVALENCE,
    PARTS,
    Band,
    LayerSums,
    Mixture,
    Shares,
    depth_law,
    exponent,
    resolved_eigenvalue,
)
from probes.candidate import Candidate


def anatomy_table(
    layers: Sequence[int],
    points: Sequence[int],
    items: Sequence[Candidate],
    sums: Sequence[LayerSums],
    found: Sequence[Shares],
    mixtures: Sequence[Mixture],
) -> xarray.Dataset:
    """All that `anatomy` returns.

    Args:
        layers: Those that were read.
        points: Numbers of examples, one for each of `sums` and `found`.
        items: The references.
        sums: Over all prompts.
        found: What was solved for.
        mixtures: Of references, for each point.
    """
    coords: dict[str, Any] = {
        "layer": list(layers),
        "point": list(points),
        "part": list(PARTS),
        "knot": np.arange(max(len(one.basis.knots) for one in sums)),
        "reference": [item.name for item in items],
    }
    by_layer = ("layer", "point")
    bands = {
        "share": (*by_layer, "part"),
        "ceiling": by_layer,
        "reference_share": (*by_layer, "reference"),
        "gap": (*by_layer, "reference"),
        "filter": (*by_layer, "knot"),
        "resolved_eigenvalue": by_layer,
        "exponent": by_layer,
        "mixture_weight": (*by_layer, "reference"),
        "mixture_share": by_layer,
        "mixture_gain": by_layer,
        "halvings": ("point",),
        "steps_per_layer": ("point", "reference"),
    }
    axes = {f"{name}{end}": dims for name, dims in bands.items() for end in ("", "_low", "_high")}
    axes |= {
        "eigenvalue": ("point", "knot"),
        "reference_step": (*by_layer, "reference"),
        "mixture_step": (*by_layer, "reference"),
        "reference_filter": (*by_layer, "reference", "knot"),
        "reference_exponent": (*by_layer, "reference"),
        "best_reference": by_layer,
        "energy": by_layer,
        "is_on_law": by_layer,
        "geometric_evidence": ("point",),
        "geometric_misfit": ("point",),
        "harmonic_misfit": ("point",),
    }
    table = empty_table(axes, coords, {})
    for point, part, one, mixture in zip(points, sums, found, mixtures, strict=True):
        basis, knots = part.basis, coords["knot"][: len(part.basis.knots)]
        measured: dict[str, Band] = {
            "share": one.share,
            "ceiling": one.ceiling,
            "reference_share": one.reference_share,
            "gap": one.gap,
            "filter": one.filters,
            "resolved_eigenvalue": one.interval_of(partial(resolved_eigenvalue, basis)),
            "exponent": one.interval_of(partial(exponent, basis)),
            "mixture_weight": mixture.weight,
            "mixture_share": mixture.share,
            "mixture_gain": mixture.gain,
        }
        energy = part.energy.sum(0) / part.target_energy
        fall = depth_law(basis, one, energy >= SILENT, [item.grid.steps for item in items])
        if fall is not None:
            measured["halvings"] = fall.halvings
            measured["steps_per_layer"] = fall.steps_per_layer
            table["is_on_law"].loc[{"point": point}] = fall.is_used.numpy()
            law = fall.law
            for name, number in (
                ("geometric_evidence", 1 / law.evidence_ratio),
                ("geometric_misfit", law.log_linear_misfit),
                ("harmonic_misfit", law.linear_misfit),
            ):
                table[name].loc[{"point": point}] = number
        for name, band in measured.items():
            for end, values in zip(("", "_low", "_high"), band, strict=True):
                where = {"point": point} | ({"knot": knots} if name == "filter" else {})
                table[f"{name}{end}"].loc[where] = values.numpy()
        table["eigenvalue"].loc[{"point": point, "knot": knots}] = basis.knots.numpy()
        for name, chosen in (
            ("reference_step", one.reference_step),
            ("mixture_step", mixture.step),
        ):
            table[name].loc[{"point": point}] = _steps(items, chosen.tolist())
        table["reference_filter"].loc[{"point": point, "knot": knots}] = (
            one.reference_filters.numpy()
        )
        table["reference_exponent"].loc[{"point": point}] = exponent(
            basis, one.reference_filters
        ).numpy()
        table["energy"].loc[{"point": point}] = energy.numpy()
        table["best_reference"].loc[{"point": point}] = one.best.numpy()
    families = ("reference", [item.family for item in items])
    return table.assign_coords(family=families).assign_attrs(equivalence=EQUIVALENCE)


def _steps(items: Sequence[Candidate], chosen: Sequence[Sequence[int]]) -> np.ndarray:
    """Steps of all references by layer, from their places in the grids; NaN for -1."""
    return np.array(
        [
            [
                item.grid.steps[step] if step >= 0 else np.nan
                for item, step in zip(items, row, strict=True)
            ]
            for row in chosen
        ]
    )
