"""The tables of a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import xarray

from interp.plots.style import FAMILY_LABELS
from interp.results.result import MatchResult
from interp.side_by_side.result import ModelComparison
from interp.side_by_side.table import Cell, Column, Number, Table

REFERENCE_TITLES = {"newton": "Newton", "gd": "GD", "ogd": "OGD"}
MODEL = Column("model", "Model")


def all_tables(comparison: ModelComparison) -> Mapping[str, Table]:
    """Every table by its name, the one of the models first."""
    makers = (
        models_table,
        similarity_table,
        difference_table,
        layer_table,
        forgetting_table,
        kappa_table,
    )
    tables = [make(comparison) for make in makers]
    return {table.name: table for table in tables if table.rows}


def models_table(comparison: ModelComparison) -> Table:
    """One line a model: error, verdict, similarities and cost."""
    summary = comparison.summary
    has_tasks = len(comparison.provenance["tasks"]) > 1
    columns = (
        MODEL,
        Column("architecture", "Architecture"),
        *([Column("task", "Task")] if has_tasks else []),
        Column("error", "Error / d", 4, has_interval=True),
        Column("excess", "Excess over OLS", 4, has_interval=True),
        Column("verdict", "Verdict"),
        Column("steps_per_layer", "Steps per layer", 2, has_interval=True),
        *_similarity_columns(),
        Column("n_parameters", "Parameters", 0),
        Column("milliseconds_per_prompt", "ms per prompt", 3),
    )
    rows: list[tuple[Cell, ...]] = []
    for name in comparison.names:
        row, result = summary.sel(model=name), comparison.match(name)
        verdict = result.verdict
        low, high = verdict.interval or (np.nan, np.nan)
        rate = np.nan if verdict.steps_per_layer is None else verdict.steps_per_layer
        rows.append(
            (
                name,
                str(result.provenance["architecture"]),
                *([task_words(comparison, int(row.task))] if has_tasks else []),
                _number(row, "error"),
                _number(row, "excess"),
                verdict_words(result),
                Number(rate, low, high),
                *(_number(row.sel(reference=key), "similarity") for key in REFERENCE_TITLES),
                Number(float(row.n_parameters)),
                Number(float(row.milliseconds_per_prompt)),
            )
        )
    return Table(
        "models",
        "The models side by side",
        columns,
        tuple(rows),
        "Error / d: squared error of the model's own predictions over n_dims, mean over points. "
        "Excess: above OLS on the same prompts, or above the best predictor known where that is "
        "another (ridge on noisy prompts, the kernel predictor on networks). SimE: the mean "
        "cosine of the model's errors with those of the reference at its best step. ms per "
        "prompt: forward passes over 64 prompts on this machine. Intervals are 95 % bootstrap "
        "intervals over prompts.",
    )


def similarity_table(comparison: ModelComparison) -> Table:
    """SimE of predictions with references, as in the paper's Table 1, and the steps."""
    summary = comparison.summary
    columns = [MODEL]
    for key, title in REFERENCE_TITLES.items():
        columns.append(Column(f"sime_{key}", f"SimE {title}", 3, has_interval=True))
        if key != "ogd":
            columns.append(Column(f"steps_{key}", f"{title} steps", 1, has_interval=True))
    rows: list[tuple[Cell, ...]] = []
    for name in comparison.names:
        cells: list[Cell] = [name]
        for key in REFERENCE_TITLES:
            row = summary.sel(model=name, reference=key)
            cells.append(_number(row, "similarity"))
            if key != "ogd":
                cells.append(_number(row, "similarity_step"))
        rows.append(tuple(cells))
    return Table(
        "similarity",
        "Similarity of errors with Newton, GD and OGD (Table 1 of the paper)",
        tuple(columns),
        tuple(rows),
        "SimE of the model's own predictions with each reference at its best step, from the "
        "point that has seen one pair on. The paper has, for its transformer and its LSTM at "
        "d = 20: Newton .991 and .920, GD .957 and .916, OGD .806 and .954.",
    )


def difference_table(comparison: ModelComparison) -> Table:
    """SimE of one model less that of another, prompt by prompt."""
    summary = comparison.summary
    columns = (
        Column("model", "Model"),
        Column("other", "Less"),
        *(
            Column(f"difference_{key}", f"SimE {title}", 4, has_interval=True)
            for key, title in REFERENCE_TITLES.items()
        ),
    )
    rows: list[tuple[Cell, ...]] = []
    for name, other in combinations(comparison.names, 2):
        if summary.task.sel(model=name) == summary.task.sel(model=other):
            pair = summary.sel(model=name, other=other)
            cells = [
                _number(pair.sel(reference=key), "similarity_difference")
                for key in REFERENCE_TITLES
            ]
            rows.append((name, other, *cells))
    return Table(
        "differences",
        "Paired differences between models",
        columns,
        tuple(rows),
        "SimE of the first model less that of the second, on the same prompts and under the same "
        "bootstrap draws: an interval without 0 is a difference. Only models of one task are "
        "paired; the option --task measures all on one.",
    )


def layer_table(comparison: ModelComparison) -> Table:
    """Error of every layer's read-out, and its best-matching steps."""
    columns = (
        MODEL,
        Column("layer", "Layer", 0),
        Column("error", "Error / d", 4, has_interval=True),
        Column("newton_step", "Newton step", 2, has_interval=True),
        Column("gd_step", "GD step", 1, has_interval=True),
    )
    rows: list[tuple[Cell, ...]] = []
    for name in comparison.names:
        result = comparison.match(name)
        layers = result.layers.isel(site=0)
        steps = [result.reference(key).isel(site=0) for key in ("newton", "gd")]
        columns_of = [_numbers(layers, "mean_error")]
        columns_of += [_numbers(item, "best_step") for item in steps]
        rows += [
            (name, Number(float(layer)), *cells)
            for layer, *cells in zip(layers.layer.values, *columns_of, strict=True)
        ]
    return Table(
        "layers",
        "Layer by layer",
        columns,
        tuple(rows),
        "Squared error / d of every layer's read-out of y, and the number of iterations after "
        "which Newton and GD are most like it.",
    )


def forgetting_table(comparison: ModelComparison) -> Table:
    """Error on an example that is asked again, by the number of examples since."""
    summary = comparison.summary
    columns = (
        MODEL,
        Column("gap", "Examples since", 0),
        Column("error", "Error / d", 4, has_interval=True),
        *(
            Column(f"error_{name}", name.upper(), 4)
            for name in map(str, summary.remembering.values)
        ),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            name,
            Number(float(place.gap)),
            _number(place, "forgetting"),
            *(Number(float(value)) for value in place.reference_forgetting.values),
        )
        for name, place in _places(comparison, "gap")
    )
    return Table(
        "forgetting",
        "Forgetting",
        columns,
        rows,
        "Squared error / d on the x of an example asked again, by the number of examples that "
        "followed it.",
    )


def kappa_table(comparison: ModelComparison) -> Table:
    """Error by condition number."""
    columns = (
        MODEL,
        Column("kappa", "Condition number", 0),
        Column("error", "Error / d", 4, has_interval=True),
        Column("error_ols", "OLS", 4),
        Column("excess", "Excess over OLS", 4, has_interval=True),
    )
    rows = tuple(
        (
            name,
            Number(float(place.kappa)),
            _number(place, "kappa_error"),
            Number(float(place.kappa_baseline_error)),
            _number(place, "kappa_excess"),
        )
        for name, place in _places(comparison, "kappa")
    )
    return Table(
        "kappa",
        "Condition number",
        columns,
        rows,
        "Squared error / d of predictions on prompts whose covariance has another condition "
        "number, at the same largest eigenvalue. A dash: the predictions left the range of "
        "numbers.",
    )


def verdict_words(result: MatchResult) -> str:
    """The verdict in a few words."""
    verdict = result.verdict
    if verdict.answer == "none":
        return "none"
    names = [FAMILY_LABELS.get(name, name) for name in verdict.standing]
    if len(names) == 1:
        return f"nearest: {names[0]}" if verdict.is_nearest_only else names[0]
    return f"undecided: {' or '.join(names)}"


def task_words(comparison: ModelComparison, number: int) -> str:
    """A task in a few words: its name, sizes and whatever else is not usual."""
    task = dict(comparison.provenance["tasks"][number])
    name = str(task.pop("name")).replace("_", " ")
    usual = {"noise_std": 0.0, "condition_number": 1.0, "x_scale": 1.0, "y_scale": 1.0}
    usual |= {"normalisation": "none"}  # type: ignore[dict-item]
    words = [f"d = {task.pop('n_dims')}", f"{task.pop('n_points')} points"]
    words += [
        f"{key.replace('_', ' ')} {value}" for key, value in task.items() if usual.get(key) != value
    ]
    return ", ".join([name, *words])


def _places(comparison: ModelComparison, axis: str) -> Iterator[tuple[str, xarray.Dataset]]:
    """Every model, with what was measured of it at each place of an axis of its own."""
    for name in comparison.names:
        measured = comparison.summary.sel(model=name)
        for index in np.flatnonzero(np.isfinite(measured[axis].values)):
            yield name, measured.isel({f"{axis}_index": index})


def _similarity_columns() -> list[Column]:
    return [
        Column(f"sime_{key}", f"SimE {title}", 3, has_interval=True)
        for key, title in REFERENCE_TITLES.items()
    ]


def _numbers(table: xarray.Dataset, name: str) -> list[Number]:
    """A score by layer, as a column of cells."""
    bounds = table[f"{name}_interval"].transpose(..., "bound").values
    return [
        Number(float(v), *map(float, b)) for v, b in zip(table[name].values, bounds, strict=True)
    ]


def _number(row: xarray.Dataset, name: str) -> Number:
    low, high = row[f"{name}_interval"].values
    return Number(float(row[name]), float(low), float(high))
