"""Results of calibration cells that cost nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interp.studies.calibration.calibration import Calibration
from interp.studies.calibration.cell import NEAREST, WITHHELD, Cell

SMALL = Cell("newton", 1, 128, n_dims=2, n_layers=3)


def result(cell: Cell, answer: str | None = None, rate: float | None = None) -> dict[str, Any]:
    """What a verdict that is right, or gives another answer, leaves of a cell."""
    if answer is None:
        answer = "none" if cell.expected == WITHHELD else cell.expected
    kind = {"none": "none", "undecided": "undecided", NEAREST: "nearest"}.get(answer, "retained")
    several = {"none": "", "undecided": "gd, newton", NEAREST: "gd"}
    found = {
        "answer": answer,
        "kind": kind,
        "retained": several.get(answer, answer),
        "rate": None,
        "low": None,
        "high": None,
        "misfit": None,
    }
    if kind == "none":
        return found
    rate = float(cell.iterations_per_layer) if rate is None else rate
    measured = {"rate": rate, "low": rate - 0.1, "high": rate + 0.1, "misfit": 0.01}
    layers = {"measure": "prediction", "first_layer": 1, "last_layer": cell.n_layers}
    return {**found, **measured, **layers}


def run(cell: Cell) -> dict[str, Any]:
    """The result of a verdict that is right, as `run_cell` gives it."""
    return result(cell)


def large_sample(cell: Cell, rate: float, measure: str = "prediction") -> tuple[Cell, Any]:
    """A large sample whose curve is a line."""
    steps = [rate * layer for layer in range(cell.n_layers + 1)]
    sampled = replace(cell.condition, question="large sample")
    return sampled, {"n_prompts": 100 * cell.n_prompts, "steps": {measure: steps}}


def calibration() -> Calibration:
    """A calibration with something for every section of its page."""
    noisy = replace(SMALL, noise=0.1)
    found = [
        (replace(noisy, seed=i), result(noisy, rate=r)) for i, r in enumerate((1.0, 1.05, 1.3))
    ]
    for control in ("exchanged prompts", "reference withheld"):
        cell = replace(SMALL, control=control)
        found += [(cell, result(cell)), (replace(cell, seed=1), result(cell, "gd"))]
    curves = {"layer": [1, 2], "planted": [1.0, 2.0], "raw": [14.0, 15.0], "matched": [1.0, 2.1]}
    protocols = replace(SMALL, question="protocols"), {**curves, "direct": [1.0, 2.0]}
    return Calibration.of([*found, large_sample(noisy, 1.02), protocols], n_planned=9)
