"""The model's own error in words, beside that of others on the same prompts."""

from __future__ import annotations

import math

from interp.results.result import MatchResult
from interp.results.selection import choose_site

NOTHING_LEARNED = 0.97
"""Share of the error of predicting 0 from which a model has learned nothing."""
IMPOSSIBLE = 0.5
"""Share of the best possible error below which no predictor can be without the answers."""
MISREAD = 1.5, 0.02
"""A model misreads its last layer if its error is so many times that of the read-out, and by so
large a share of the error of predicting 0 above it."""


def error_text(result: MatchResult) -> str | None:
    """The model's error, that of least squares, and that of predicting 0; None without the first.

    Errors are squared, over n_dims, means over points. Least squares is the best possible
    predictor of noise-free linear regression only, and only there too small an error is named.
    """
    layers = result.layers
    own, zero = float(layers.model_error.mean()), float(layers.zero_error.mean())
    if not math.isfinite(own):
        return None
    site = choose_site(result, None)
    readout = float(layers.mean_error.sel(site=site).isel(layer=-1))
    words = f"The model's own squared error / d is {own:.4f}"
    others = [f"predicting 0 has {zero:.4f}"]
    best = math.nan
    if "ols" in result.references:
        best = float(result.reference("ols").error.isel(step=-1).mean())
        others.insert(0, f"least squares has {best:.4f}")
    text = f"{words}; {', '.join(others)}."
    task = result.provenance.get("task") or {}
    is_best = task.get("name") == "linear_regression" and not (
        task.get("noise_std") or task.get("n_tasks")
    )
    if is_best and own < IMPOSSIBLE * best:
        text += " This is better than any predictor could be: the model sees its answers."
    elif own >= NOTHING_LEARNED * zero:
        text += " This is no better than predicting 0: the model has learned nothing."
    elif own > MISREAD[0] * readout and own > readout + MISREAD[1] * zero:
        text += f" It is {own / readout:.1f} times the error of a read-out of its last layer."
    return text
