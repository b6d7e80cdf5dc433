"""Results of a match whose every number is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray

from interp.results.result import MatchResult, make_result
from probes.uncertainty.estimate import Estimate
from probes.verdict import Evidence, Measure, MeasureFinding, Reason, Verdict

LINEAR_STEPS = np.arange(0, 12.5, 0.5)
LOG_STEPS = np.array([0.0, *(2.0**k for k in range(11))])
POINTS = np.arange(5)
TREATMENTS = ["matched/paper", "raw/paper", "raw/official"]
RATES = {"newton": 2.0, "ridge": 1.0, "gd": 90.0}
FIRST, LAST = 2, 4
"""Layers that every ramp is fitted to."""


def steps_of_layers(name: str, n_layers: int) -> np.ndarray:
    """Best-matching steps: 0 before the ramp, then linear, or exponential for GD."""
    depth = np.clip(np.arange(n_layers + 1) - FIRST + 1, 0, LAST - FIRST + 1)
    return np.where(depth > 0, 4.0**depth, 0) if name == "gd" else RATES.get(name, 0) * depth


def planted_result(
    *,
    retained: Sequence[str] = ("newton",),
    names: Sequence[str] = ("newton", "gd", "ridge", "ols"),
    kinds: Sequence[str] = ("resid_post", "attn_out"),
    checkpoint: str | None = "planted",
    n_layers: int = 5,
    dead_layer: int | None = None,
    has_evidence: bool = True,
    has_vectors: bool = True,
    has_controls: bool = True,
) -> MatchResult:
    """A result whose residual stream follows `steps_of_layers`."""
    layers = np.arange(n_layers + 1)
    coords = {"site": list(kinds), "layer": layers, "bound": ["low", "high"]}
    error = np.geomspace(1, 0.01, n_layers + 1)[:, None] / (1 + POINTS)
    change = np.full(n_layers + 1, 0.5)
    if dead_layer is not None:
        change[dead_layer] = 0.0
    root = xarray.Dataset(
        {
            "error": (("site", "layer", "point"), _by_site(error, kinds)),
            "mean_error": (("site", "layer"), _by_site(error.mean(1), kinds)),
            "mean_error_interval": (
                ("site", "layer", "bound"),
                _by_site(error.mean(1)[:, None] * [0.9, 1.1], kinds),
            ),
            "model_error": ("point", error[-1]),
            "zero_error": ("point", np.ones(len(POINTS))),
            "change": (("site", "layer"), _by_site(change, kinds)),
            "convergence_order": ("site", np.full(len(kinds), 1.5)),
            "convergence_order_interval": (
                ("site", "bound"),
                np.tile([1.25, 1.75], (len(kinds), 1)),
            ),
        },
        {**coords, "point": POINTS},
    )
    controls = {
        "shuffled targets": _control(1.0, np.nan, kinds, layers),
        "random weights": _control(0.99, 0.01, kinds, layers),
    }
    return make_result(
        root,
        {name: _scores(name, kinds, n_layers, coords, has_vectors) for name in names},
        controls if has_controls else {},
        _verdict(retained, names, has_evidence),
        {
            "checkpoint": checkpoint,
            "architecture": "GPT2",
            "config": {"n_layers": n_layers, "n_heads": 1, "d_model": 8},
            "task": {"name": "linear_regression", "n_dims": 2, "n_points": len(POINTS)},
            "recipe": {"name": checkpoint, "seed": 0},
            "trained": {"step": 12, "metrics": {"loss": 0.5}, "versions": None},
            "seed": 0,
            "prompts": 128,
            "readout": "matched",
            "final_norm": "official",
            "sites": list(kinds),
            "versions": {"torch": "2"},
            "command": None,
        },
    )


def _by_site(values: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """Repeated for every kind; kinds but the first have no layer 0, as in a real result."""
    table = np.repeat(np.asarray(values, dtype=float)[None], len(kinds), axis=0)
    table[1:, 0] = np.nan
    return table


def _scores(
    name: str, kinds: Sequence[str], n_layers: int, coords: dict[str, Any], has_vectors: bool
) -> xarray.Dataset:
    is_log = name == "gd"
    grid = np.zeros(1) if name == "ols" else LOG_STEPS if is_log else LINEAR_STEPS
    best = steps_of_layers(name, n_layers)
    place = np.log2(np.maximum(grid, 0.5)) if is_log else grid
    peak = np.log2(np.maximum(best, 0.5)) if is_log else best
    table = 0.95 - 0.01 * np.abs(place[None] - peak[:, None])
    treated = np.stack([table, table - 0.1, table - 0.2], -1)
    bounds = best[:, None] * [0.9, 1.1]
    points = table[..., None] - 0.001 * POINTS
    data: dict[str, Any] = {
        "similarity": (("site", "layer", "step", "treatment"), _by_site(treated, kinds)),
        "best_step": (("site", "layer"), _by_site(best, kinds)),
        "whole_best_step": (("site", "layer"), _by_site(best.round(), kinds)),
        "best_similarity": (("site", "layer"), _by_site(table.max(1), kinds)),
        "best_step_interval": (("site", "layer", "bound"), _by_site(bounds, kinds)),
        "best_similarity_interval": (
            ("site", "layer", "bound"),
            _by_site(table.max(1)[:, None] + [-0.01, 0.01], kinds),
        ),
        "best_step_by_treatment": (
            ("site", "layer", "treatment"),
            _by_site(best[:, None] + [0.0, 0.5, 1.0], kinds),
        ),
        "error": (("step", "point"), np.exp(-place)[:, None] * (POINTS[::-1] / 4)),
        "point_similarity": (("site", "layer", "step", "point"), _by_site(points, kinds)),
    }
    r2 = {"prediction": np.linspace(0, 0.99, n_layers + 1)}
    if has_vectors:
        r2 |= {
            "weights": np.full(n_layers + 1, -0.01),
            "filtered_query": np.full(n_layers + 1, 0.8),
        }
    for target, values in r2.items():
        data |= {
            f"{target}_best_step": (("site", "layer"), _by_site(best, kinds)),
            f"{target}_best_r2": (("site", "layer"), _by_site(values, kinds)),
            f"{target}_best_step_interval": (("site", "layer", "bound"), _by_site(bounds, kinds)),
        }
    return xarray.Dataset(
        data,
        {
            **coords,
            **{f"{target}_step": grid for target in r2},
            "step": grid,
            "point": POINTS,
            "treatment": TREATMENTS,
        },
        {
            "family": name,
            "reference": name,
            "spacing": "log" if is_log else "linear",
            "treatment": "matched/paper",
        },
    )


def _control(error: float, r2: float, kinds: Sequence[str], layers: np.ndarray) -> xarray.Dataset:
    shape = (len(kinds), len(layers))
    data = {
        "relative_error": (("site", "layer"), np.full(shape, error)),
        "prediction_r2": (("site", "layer"), np.full(shape, r2)),
    }
    return xarray.Dataset(data, {"site": list(kinds), "layer": layers})


def _verdict(retained: Sequence[str], names: Sequence[str], has_evidence: bool) -> Verdict:
    stepping = [name for name in names if name != "ols"]

    def evidence(name: str) -> Evidence:
        rate = RATES.get(name, 1.0)
        return Evidence(
            name=name,
            family=name,
            constant_rate=Estimate(0.9, 0.89, 0.91),
            behind=Estimate(0.0, 0.0, 0.0),
            constraint_loss=Estimate(0.001, 0.0, 0.002),
            extra_loss=Estimate(0.001, 0.0, 0.002),
            growth_gain=Estimate(0.05, 0.04, 0.06),
            rate=Estimate(rate, 0.9 * rate, 1.1 * rate),
            first_layer=FIRST,
            last_layer=LAST,
            law="log-linear" if name == "gd" else "linear",
            evidence_ratio=1 / 200 if name == "gd" else 7.0,
            reason=Reason.RETAINED if name in retained else Reason.BEHIND,
        )

    findings = tuple(
        MeasureFinding(measure, tuple(map(evidence, stepping)) if has_evidence else ())
        for measure in (Measure.SIMILARITY, Measure.PREDICTION)
    )
    rate = RATES.get(retained[0], 1.0) if retained else None
    return Verdict(
        tuple(retained),
        rate,
        (0.9 * rate, 1.1 * rate) if rate else None,
        findings,
    )
