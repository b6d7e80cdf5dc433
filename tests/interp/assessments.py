"""Models whose every score is known beforehand, to be put side by side."""

from __future__ import annotations

import numpy as np
import torch
import xarray
from planted import planted_result

from interp.analyses.assessment import Assessment
from interp.analyses.benchmark_prompts import N_GROUPS, REMEMBERING, TABLE_REFERENCES
from interp.analyses.comparison_result import ModelComparison, make_comparison
from interp.tasks import LinearRegression, Task

TASK = LinearRegression(n_dims=3, n_points=6)
STEPS = torch.arange(6, dtype=torch.float64)
BEST = 2
"""The index of the step that every model is most like."""


def assessment(
    name: str,
    *,
    similarity: float = 0.9,
    seed: int = 0,
    task: Task = TASK,
    retained: tuple[str, ...] = ("newton",),
    n_layers: int = 5,
) -> Assessment:
    """A model of known similarity; how hard each group of prompts is, all models share."""
    shared = torch.Generator().manual_seed(0)
    hardness = 0.1 * torch.randn(N_GROUPS, 1, dtype=torch.float64, generator=shared)
    hardness -= hardness.mean()
    own = torch.Generator().manual_seed(seed)
    noise = 1e-3 * torch.randn(N_GROUPS, 1, dtype=torch.float64, generator=own)
    profile = -0.05 * (STEPS - BEST).square()
    table = similarity + hardness + noise + profile
    error = torch.rand(N_GROUPS, task.n_points, dtype=torch.float64, generator=own)
    gaps = np.arange(task.n_dims, dtype=float)
    steps = {
        f"step_{key}": (f"step_{key}", STEPS, {"spacing": "linear"}) for key in TABLE_REFERENCES
    }
    forgetting = torch.rand(N_GROUPS, len(gaps), dtype=torch.float64, generator=own)
    kappa_error = torch.rand(N_GROUPS, 2, dtype=torch.float64, generator=own)
    scores = xarray.Dataset(
        {
            "error": (("group", "point"), error),
            "baseline_error": (("group", "point"), error / 2),
            "zero_error": 1.0,
            **{f"similarity_{key}": (("group", f"step_{key}"), table) for key in TABLE_REFERENCES},
            "gap": ("gap_index", gaps),
            "n_examples": len(gaps),
            "forgetting": (("group", "gap_index"), forgetting),
            "reference_forgetting": (
                ("remembering", "gap_index"),
                np.full((len(REMEMBERING), len(gaps)), 0.1),
            ),
            "kappa": ("kappa_index", [1.0, 100.0]),
            "kappa_error": (("group", "kappa_index"), kappa_error),
            "kappa_baseline_error": (("group", "kappa_index"), np.full((N_GROUPS, 2), 0.2)),
            "n_parameters": 1234,
            "milliseconds_per_prompt": 0.5,
        },
        {"remembering": list(REMEMBERING), **steps},
    )
    match = planted_result(retained=retained, checkpoint=name, n_layers=n_layers)
    return Assessment(name, task, match, scores)


def comparison(*models: Assessment) -> ModelComparison:
    """Models side by side, as if `compare` had measured them."""
    provenance = {
        "seed": 0,
        "prompts": 1024,
        "readout": "matched",
        "versions": {"torch": "2"},
        "command": None,
    }
    return make_comparison(models, provenance)
