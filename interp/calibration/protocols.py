"""Planted steps as three protocols find them: raw and matched similarity of errors, and direct."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hooks.atomic import write_text
from interp.calibration.cell import Cell

PROTOCOL_CELLS = (
    Cell("gd", 1, 512),
    Cell("gd", 10, 512),
    Cell("newton", 1, 512),
    Cell("newton", 3, 512),
)
REFERENCES = {"newton": "newton-fixed", "gd": "gd", "gdpp": "gd++"}
"""The reference with the planted constants, as `match` calls it."""


@dataclass(frozen=True)
class ProtocolSteps:
    """Best-matching steps of a planted model, layer by layer, from layer 1."""

    cell: Cell
    layers: tuple[int, ...]
    planted: tuple[float, ...]
    raw: tuple[float, ...]
    """By similarity of errors with the iterate as it is, the paper's way."""
    matched: tuple[float, ...]
    """With the iterate's own read-out of y, as the layer has one."""
    direct: tuple[float, ...]
    """By R^2 of the iterate's prediction from the activations."""

    @property
    def protocols(self) -> dict[str, tuple[float, ...]]:
        return {"raw": self.raw, "matched": self.matched, "direct": self.direct}


def protocol_steps(cell: Cell) -> ProtocolSteps:
    """Runs `match` on what a cell plants and keeps the best steps of the same reference."""
    from hooks.architectures.planted import truth
    from interp.analyses.match import match
    from interp.calibration.models import planted

    model = planted(cell)
    result = match(model, n_prompts=cell.n_prompts, site_kinds=("resid_post",), seed=cell.seed)
    scores = result.reference(REFERENCES[cell.algorithm]).sel(site="resid_post")
    layers = scores.layer.values[1:].tolist()
    by_treatment = scores.best_step_by_treatment.sel(layer=layers)
    return ProtocolSteps(
        cell,
        tuple(layers),
        tuple(truth(model)[1:].tolist()),
        tuple(by_treatment.sel(treatment="raw/paper").values.tolist()),
        tuple(by_treatment.sel(treatment="matched/paper").values.tolist()),
        tuple(scores.prediction_best_step.sel(layer=layers).values.tolist()),
    )


def compare_protocols(
    directory: str | Path,
    cells: Sequence[Cell] = PROTOCOL_CELLS,
    *,
    resume: bool = True,
    run: Callable[[Cell], ProtocolSteps] = protocol_steps,
) -> tuple[ProtocolSteps, ...]:
    """Compares protocols on cells, keeping each result in a file of the directory."""
    found = []
    for cell in cells:
        path = Path(directory) / f"{cell.key}.json"
        if not (resume and path.exists()):
            write_text(path, json.dumps(asdict(run(cell)), indent=1))
        values = json.loads(path.read_text(encoding="utf-8"))
        series = {key: tuple(value) for key, value in values.items() if key != "cell"}
        found.append(ProtocolSteps(cell=Cell(**values["cell"]), **series))
    return tuple(found)
