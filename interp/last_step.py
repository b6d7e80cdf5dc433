"""Best-matching steps that are the last of their grid, and so mean "at least"."""

from __future__ import annotations

import numpy as np
import xarray
from jaxtyping import Bool

AT_LEAST = "≥"


def is_last_step(
    scores: xarray.Dataset, variable: str = "best_step"
) -> Bool[np.ndarray, "*site layer"]:
    """Whether more steps than were compared might match better.

    Args:
        scores: Of one reference, from `MatchResult.reference`.
        variable: Name of its best steps: "best_step", or by a regression "prediction_best_step",
            "weights_best_step" or "filtered_query_best_step".
    """
    last = float(scores[variable.replace("best_step", "step")].values[-1])
    return np.isclose(scores[variable].values, last)
