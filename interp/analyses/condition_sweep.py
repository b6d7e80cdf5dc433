"""What a sweep of conditions found, saved and reopened whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import xarray

from interp.analyses.variations import VARIATIONS
from interp.results.netcdf import read_tree, without_nan
from interp.results.saved import SavedResult

FORMAT = "icl-interp-conditions/1"
BREAKING_EXCESS = 0.05
"""Share of the error of predicting 0 by which a model may be further from the best answer."""


@dataclass(frozen=True)
class Law:
    """How the steps that a reference needs grow with the condition number."""

    reference: str
    exponent: float
    """Slope of log steps against log kappa: 1 for gradient descent, 1/2 for conjugate gradients
    of more steps than dimensions …"""
    per_doubling: float
    """… and steps for twice the condition number: a constant for Newton, 2 from M_0 = alpha S."""
    n_values: int
    """Condition numbers at which it gets there."""


@dataclass(frozen=True, repr=False)
class ConditionSweep(SavedResult):
    """Errors and matches of one model by condition.

    `data` is a tree with one table for each property that was varied, by `value`, `layer` and
    `reference`; see `interp.analyses.condition_scores.measure` for what it holds.
    """

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the properties that were varied, among those of `VARIATIONS`."""
        return tuple(self.data.children)

    def table(self, name: str) -> xarray.Dataset:
        """Everything measured while one property was varied.

        Raises:
            ValueError: It was not varied.
        """
        if name not in self.varied:
            raise ValueError(f"{name!r} was not varied; varied were {', '.join(self.varied)}")
        return self.data[name].to_dataset()

    @property
    def left_out(self) -> Mapping[str, str]:
        """Why properties that were asked for were not varied, by name."""
        found: dict[str, str] = self.provenance.get("left_out", {})
        return found

    def laws(self) -> tuple[Law, ...]:
        """Growth with the condition number, from three condition numbers on, above 1."""
        if "kappa" not in self.varied:
            return ()
        table = self.table("kappa")
        laws = []
        for name in table.reference.values:
            steps = table.steps_needed.sel(reference=name).values
            kappa = table.value.values
            usable = np.isfinite(steps) & (steps > 0) & (kappa > 1)
            if usable.sum() >= 3:
                log_kappa = np.log2(kappa[usable])
                exponent = np.polyfit(log_kappa, np.log2(steps[usable]), 1)[0]
                slope = np.polyfit(log_kappa, steps[usable], 1)[0]
                laws.append(Law(str(name), float(exponent), float(slope), int(usable.sum())))
        return tuple(laws)

    def breaks(self, name: str) -> tuple[float, ...]:
        """Values of a property at which the model breaks, in rising order.

        It breaks where its error exceeds that of the best answer by `BREAKING_EXCESS` more of the
        error of predicting 0 than at the value nearest to training, by more than chance (95 %
        intervals), and where it leaves the range of numbers.
        """
        table = self.table(name)
        bounds = (table.model_error_interval - table.best_error) / table.zero_error
        nearest = int(np.abs(table.value.values - table.attrs["own"]).argmin())
        at_training = bounds.sel(bound="high").isel(value=nearest)
        is_worse = bounds.sel(bound="low") > at_training + BREAKING_EXCESS
        return tuple(table.value.values[is_worse.values | (table.failure.values != "")].tolist())

    def summary(self) -> dict[str, Any]:
        """The content of `summary.json`, in plain values."""
        provenance = self.provenance
        return {
            "checkpoint": provenance["checkpoint"],
            "task": provenance["task"],
            "seed": provenance["seed"],
            "prompts": provenance["prompts"],
            "varied": {name: self._plain(name) for name in self.varied},
            "left_out": dict(self.left_out),
            "breaks": {name: list(self.breaks(name)) for name in self.varied},
            "laws": [vars(law) for law in self.laws()],
        }

    def _plain(self, name: str) -> dict[str, Any]:
        table = self.table(name)
        names = [str(item) for item in table.data_vars if item != "failure"]
        return {
            "property": VARIATIONS[name].axis,
            "values": table.value.values.tolist(),
            "layers": table.layer.values.tolist(),
            "references": table.reference.values.tolist(),
            **{item: without_nan(table[item].values.tolist()) for item in names},
            "failure": [text or None for text in table.failure.values.tolist()],
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each property, value, layer and reference; no row has what it is not about."""
        tables = [self.table(name).to_dataframe().reset_index() for name in self.varied]
        named = [table.assign(varied=name) for name, table in zip(self.varied, tables, strict=True)]
        return pandas.concat(named, ignore_index=True) if named else pandas.DataFrame()

    def _describe(self) -> str:
        return f"{self.provenance['checkpoint']} by {', '.join(self.varied) or 'nothing'}"


def open_conditions(path: str | Path) -> ConditionSweep:
    """Reads a file that `ConditionSweep.save` wrote.

    Raises:
        ResultError: The file is missing, damaged, or no such result.
    """
    return ConditionSweep(read_tree(path, FORMAT))


def make_sweep(
    tables: Mapping[str, xarray.Dataset], provenance: Mapping[str, Any]
) -> ConditionSweep:
    """Puts the parts together."""
    root = xarray.Dataset(attrs={"format": FORMAT, "provenance": json.dumps(dict(provenance))})
    tree = {"/": root} | {f"/{name}": table for name, table in tables.items()}
    return ConditionSweep(xarray.DataTree.from_dict(tree))
