"""Numbers that Fu et al. 2024 print."""

from __future__ import annotations

NEWTON_STEPS: tuple[int, ...] = (1, 1, 3, 5, 8, 10, 14, 17, 20, 21, 21, 21)
"""Best-matching step of Iterative Newton, layers 1 to 12 (Fig. 8)."""
NEWTON_SIMILARITY: tuple[float, ...] = (
    0.920, 0.920, 0.929, 0.923, 0.927, 0.954, 0.980, 0.988, 0.993, 0.993, 0.994, 0.994,
)  # fmt: skip
"""SimE at that step (Fig. 8)."""
NEWTON_STEPS_A_LAYER = 3.0
"""From layer 3 to layer 9, "about"."""
LAST_SIMILARITY_OF_WEIGHTS = 0.974
"""SimW of the last layer with Newton (Fig. 9)."""
ILL_CONDITIONED_NEWTON_STEPS = 21
"""Of the last layer, "about" (Fig. 4)."""
ILL_CONDITIONED_GD_STEPS = (2000, 3000)
"""Of the last layer, "about" (Fig. 4)."""
TABLE_1: dict[str, dict[str, float]] = {
    "newton": {"transformer": 0.991, "lstm": 0.920},
    "gd": {"transformer": 0.957, "lstm": 0.916},
    "ogd": {"transformer": 0.806, "lstm": 0.954},
}
"""SimE of the models' predictions with each algorithm at its best step (Table 1)."""
