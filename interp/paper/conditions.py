"""Fig. 19 and 22 to 25: the heatmaps of Fig. 3 and 8 under other conditions."""

from __future__ import annotations

from dataclasses import replace

import xarray

from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Finding, not_shipped, without_model
from interp.paper.growth import order_check
from interp.paper.heatmaps import compare_with_newton_and_gd
from interp.paper.roles import ROLES
from interp.paper.scale import describe
from interp.training.baseline import baseline_predictions


def noise(row: Row, cast: Cast) -> Finding:
    """Superlinear convergence and a linear match with Newton on noisy prompts."""
    (role,) = row.needs
    layers = cast.layers(role)
    if layers is None:
        return without_model(row, cast.lacks(role))
    found = compare_with_newton_and_gd(row, cast, role, layers)
    limit = baseline_predictions(layers.task, layers.prefixes.xs, layers.ys)
    claim = "the error falls superlinearly over the layers at work"
    order = order_check(claim, layers, limit, about=describe(cast, role))
    return replace(found, checks=(order, *found.checks))


def heads_and_depth(row: Row, cast: Cast) -> Finding:
    """The same with 1 head, and with twice the depth."""
    findings, missing = [], []
    for role in row.needs:
        layers = cast.layers(role)
        if layers is None:
            missing.append(cast.lacks(role))
            claim = f"{ROLES[role].name}: linear match with Newton, exponential with GD"
            findings.append(Finding(row, (not_shipped(claim, missing[-1]),)))
        else:
            found = compare_with_newton_and_gd(row, cast, role, layers)
            named = found.data.rename(
                {name: f"{role}_{name}" for name in (*found.data.data_vars, *found.data.dims)}
            )
            findings.append(replace(found, data=named))
    return Finding(
        row,
        tuple(check for found in findings for check in found.checks),
        tuple(drawing for found in findings for drawing in found.drawings),
        tuple(table for found in findings for table in found.tables),
        xarray.merge([found.data for found in findings]),
        tuple(missing),
    )
