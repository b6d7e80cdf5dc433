"""The tables of a comparison of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import xarray

from interp.analyses.benchmark_prompts import TABLE_REFERENCES
from interp.analyses.comparison_result import ModelComparison
from interp.report.section import written_table
from interp.report.table import Column, Table, scores
from interp.report.verdict_text import is_at_least, rate_of, short_answer
from interp.results.selection import is_last_step
from probes.references import reference_class

MODEL = Column("model", "Model")
ERROR = Column("error", "Error / d", 4, has_interval=True)


def comparison_tables(comparison: ModelComparison) -> dict[str, Table]:
    """Every table by its name, the one of the models first; without those that have no rows."""
    makers = (_models, _similarity, _differences, _layers, _forgetting, _kappa)
    tables = [make(comparison) for make in makers]
    return {table.name: table for table in tables if len(table.frame)}


def _models(comparison: ModelComparison) -> Table:
    """One line a model: error, verdict, similarities and cost."""
    tasks = comparison.provenance["tasks"]
    columns = [
        MODEL,
        Column("architecture", "Architecture", under="model"),
        *([Column("task", "Task", under="model")] if len(tasks) > 1 else []),
        ERROR,
        Column("excess", "Excess over OLS", 4, has_interval=True),
        Column("zero_error", "Predicting 0", 4),
        Column("verdict", "Verdict"),
        Column("steps_per_layer", "Steps per layer", 2, has_interval=True, may_be_last=True),
        Column("rate_of", "Rate of", under="steps_per_layer"),
        *(_sime(key, 3) for key in TABLE_REFERENCES),
        Column("n_parameters", "Parameters", 0),
        Column("milliseconds_per_prompt", "ms per prompt", 3),
    ]
    rows = []
    for name in comparison.names:
        row, result = comparison.summary.sel(model=name), comparison.match(name)
        verdict = result.verdict
        low, high = verdict.interval or (np.nan, np.nan)
        rows.append(
            {
                "model": name,
                "architecture": str(result.provenance["architecture"]),
                "task": task_words(tasks[int(row.task)]),
                "zero_error": float(row.zero_error) if "zero_error" in row else np.nan,
                "verdict": short_answer(verdict),
                "steps_per_layer": verdict.steps_per_layer,
                "steps_per_layer_low": low,
                "steps_per_layer_high": high,
                "steps_per_layer_is_last": is_at_least(result),
                "rate_of": rate_of(verdict),
                **{key: v for name in ("error", "excess") for key, v in scores(row, name).items()},
                **_similarities(row, "similarity", "sime"),
                "n_parameters": int(row.n_parameters),
                "milliseconds_per_prompt": float(row.milliseconds_per_prompt),
            }
        )
    return written_table("compare_tables", "models", columns, rows)


def _similarity(comparison: ModelComparison) -> Table:
    """SimE of predictions with references, as in the paper's Table 1, and the steps."""
    columns = [MODEL]
    for key in TABLE_REFERENCES:
        columns.append(_sime(key, 3))
        if key != "ogd":
            title = f"{reference_class(key).label} steps"
            columns.append(Column(f"steps_{key}", title, 1, has_interval=True, may_be_last=True))
    rows = []
    for name in comparison.names:
        row = comparison.summary.sel(model=name)
        is_last = row.similarity_step >= row.get("last_step", np.inf)
        rows.append(
            {
                "model": name,
                **_similarities(row, "similarity", "sime"),
                **_similarities(row, "similarity_step", "steps"),
                **{
                    f"steps_{key}_is_last": bool(is_last.sel(reference=key))
                    for key in TABLE_REFERENCES
                },
            }
        )
    return written_table("compare_tables", "similarity", columns, rows)


def _differences(comparison: ModelComparison) -> Table:
    """SimE of one model less that of another, prompt by prompt."""
    summary = comparison.summary
    columns = [MODEL, Column("other", "Less")]
    columns += [_sime(key, 4, "difference") for key in TABLE_REFERENCES]
    rows = [
        {"model": name, "other": other}
        | _similarities(summary.sel(model=name, other=other), "similarity_difference", "difference")
        for name, other in combinations(comparison.names, 2)
        if summary.task.sel(model=name) == summary.task.sel(model=other)
    ]
    return written_table("compare_tables", "differences", columns, rows)


def _layers(comparison: ModelComparison) -> Table:
    """Error of every layer's read-out, and its best-matching steps."""
    columns = [
        MODEL,
        Column("layer", "Layer", 0),
        ERROR,
        Column("newton_step", "Newton step", 2, has_interval=True, may_be_last=True),
        Column("gd_step", "GD step", 1, has_interval=True, may_be_last=True),
    ]
    rows = []
    for name in comparison.names:
        result = comparison.match(name)
        layers = result.layers.isel(site=0)
        steps = {f"{key}_step": result.reference(key).isel(site=0) for key in ("newton", "gd")}
        for index, layer in enumerate(layers.layer.values):
            row = {"model": name, "layer": int(layer)}
            row |= scores(layers.isel(layer=index), "mean_error", "error")
            for key, table in steps.items():
                row |= scores(table.isel(layer=index), "best_step", key)
                row[f"{key}_is_last"] = bool(is_last_step(table)[index])
            rows.append(row)
    return written_table("compare_tables", "layers", columns, rows)


def _forgetting(comparison: ModelComparison) -> Table:
    """Error on a repeated example, by the number of examples since."""
    keys = list(map(str, comparison.summary.remembering.values))
    columns = [MODEL, Column("gap", "Examples since", 0), ERROR]
    columns += [Column(f"error_{key}", reference_class(key).label, 4) for key in keys]
    rows = [
        {"model": name, "gap": float(place.gap), **scores(place, "forgetting", "error")}
        | {f"error_{key}": float(place.reference_forgetting.sel(remembering=key)) for key in keys}
        for name, place in _places(comparison, "gap")
    ]
    return written_table("compare_tables", "forgetting", columns, rows)


def _kappa(comparison: ModelComparison) -> Table:
    """Error by condition number."""
    columns = [
        MODEL,
        Column("kappa", "Condition number", 0),
        ERROR,
        Column("error_ols", "OLS", 4),
        Column("excess", "Excess over OLS", 4, has_interval=True),
    ]
    rows = [
        {
            "model": name,
            "kappa": float(place.kappa),
            "error_ols": float(place.kappa_baseline_error),
            **scores(place, "kappa_error", "error"),
            **scores(place, "kappa_excess", "excess"),
        }
        for name, place in _places(comparison, "kappa")
    ]
    return written_table("compare_tables", "kappa", columns, rows)


def _places(comparison: ModelComparison, axis: str) -> Iterator[tuple[str, xarray.Dataset]]:
    """Every model, with what was measured of it at each place of an axis of its own."""
    for name in comparison.names:
        measured = comparison.summary.sel(model=name)
        for index in np.flatnonzero(np.isfinite(measured[axis].values)):
            yield name, measured.isel({f"{axis}_index": index})


def _sime(key: str, digits: int, prefix: str = "sime") -> Column:
    return Column(
        f"{prefix}_{key}", f"SimE {reference_class(key).label}", digits, has_interval=True
    )


def _similarities(row: xarray.Dataset, name: str, prefix: str) -> dict[str, float]:
    """A score by reference, as cells."""
    found: dict[str, float] = {}
    for key in TABLE_REFERENCES:
        found |= scores(row.sel(reference=key), name, f"{prefix}_{key}")
    return found


USUAL_TASK = {
    "noise_std": 0.0,
    "condition_number": 1.0,
    "x_scale": 1.0,
    "y_scale": 1.0,
    "normalisation": "none",
    "condition_draw": "fixed",
    "pool_seed": 0,
}


def task_words(task: Mapping[str, Any]) -> str:
    """A task in a few words: its name, sizes and whatever else is not usual."""
    rest = {key: value for key, value in task.items() if USUAL_TASK.get(key) != value}
    name = str(rest.pop("name")).replace("_", " ")
    sizes = [f"d = {rest.pop('n_dims')}", f"{rest.pop('n_points')} points"]
    return ", ".join([name, *sizes, *(f"{key.replace('_', ' ')} {rest[key]}" for key in rest)])
