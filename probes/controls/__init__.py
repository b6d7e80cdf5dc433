"""Controls: scores where there is nothing to find."""

from probes.controls.multiple_comparisons import benjamini_hochberg, holm
from probes.controls.other_task import other_task_targets
from probes.controls.selectivity import control_p_value, selectivity
from probes.controls.shuffles import derangement, derangements, shuffle_pairs, shuffle_targets
from probes.controls.unique_variance import UniqueVariance, unique_variance

__all__ = [
    "UniqueVariance",
    "benjamini_hochberg",
    "control_p_value",
    "derangement",
    "derangements",
    "holm",
    "other_task_targets",
    "selectivity",
    "shuffle_pairs",
    "shuffle_targets",
    "unique_variance",
]
