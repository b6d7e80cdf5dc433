"""What a training measures."""

from __future__ import annotations

from collections.abc import Mapping

Metrics = dict[str, int | float]
"""One row of `metrics.csv`, measured at a checkpoint.

`step`; `loss`, the mean over the training steps since the row before; `error`, on the validation
prompts; `baseline_error`, of the best reference on the same prompts; `excess`, their difference;
`seconds` of training so far. Losses and errors are squared errors divided by d.
"""


def describe_row(row: Mapping[str, int | float], n_steps: int) -> str:
    """One row of a training's metrics in words."""
    return (
        f"step {int(row['step']):>{len(str(n_steps))}} of {n_steps}: "
        f"loss {row['loss']:.5f}, error {row['error']:.5f}, "
        f"baseline {row['baseline_error']:.5f}, excess {row['excess']:+.5f}, "
        f"{row['seconds']:.0f} s"
    )
