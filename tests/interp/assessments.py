"""Models whose every score is known beforehand, to be put side by side."""

from __future__ import annotations

import torch
from planted import planted_result

from interp.side_by_side.assessment import Assessment
from interp.side_by_side.forgetting import REMEMBERING
from interp.side_by_side.result import ModelComparison
from interp.side_by_side.settings import N_GROUPS
from interp.side_by_side.summary import make_comparison
from interp.side_by_side.yardstick import TABLE_REFERENCES, OutputScores
from interp.tasks import LinearRegression, Task
from probes.matching import StepGrid

TASK = LinearRegression(n_dims=3, n_points=6)
STEPS = StepGrid(tuple(map(float, range(6))))
BEST = 2
"""The index of the step that every model is most like."""


def assessment(
    name: str,
    *,
    similarity: float = 0.9,
    seed: int = 0,
    task: Task = TASK,
    standing: tuple[str, ...] = ("newton",),
    n_layers: int = 5,
) -> Assessment:
    """A model of known similarity; how hard each group of prompts is, all models share."""
    shared = torch.Generator().manual_seed(0)
    hardness = 0.1 * torch.randn(N_GROUPS, 1, dtype=torch.float64, generator=shared)
    hardness -= hardness.mean()
    own = torch.Generator().manual_seed(seed)
    noise = 1e-3 * torch.randn(N_GROUPS, 1, dtype=torch.float64, generator=own)
    profile = -0.05 * (STEPS.tensor() - BEST).square()
    table = similarity + hardness + noise + profile
    error = torch.rand(N_GROUPS, task.n_points, dtype=torch.float64, generator=own)
    n_gaps = task.n_dims
    return Assessment(
        name=name,
        task=task,
        match=planted_result(standing=standing, checkpoint=name, n_layers=n_layers),
        outputs=OutputScores(
            error=error,
            baseline_error=error / 2,
            similarity=dict.fromkeys(TABLE_REFERENCES, table),
            grids=dict.fromkeys(TABLE_REFERENCES, STEPS),
        ),
        gaps=torch.arange(n_gaps),
        n_examples=n_gaps,
        forgetting=torch.rand(N_GROUPS, n_gaps, dtype=torch.float64, generator=own),
        reference_forgetting={
            key: torch.full((N_GROUPS, n_gaps), 0.1, dtype=torch.float64) for key in REMEMBERING
        },
        kappas=(1.0, 100.0),
        kappa_error=torch.rand(N_GROUPS, 2, dtype=torch.float64, generator=own),
        kappa_baseline_error=torch.full((N_GROUPS, 2), 0.2, dtype=torch.float64),
        n_parameters=1234,
        milliseconds_per_prompt=0.5,
    )


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
