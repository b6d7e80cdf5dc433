"""What `match` found: every score with its axes named, saved and reopened whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas
import xarray

from interp.results.match_verdict import MatchVerdict
from interp.results.netcdf import read_tree, without_nan
from interp.results.saved import SavedResult
from interp.results.saved_verdict import verdict_from
from probes.verdict import Verdict

FORMAT = "icl-interp-match/1"
SHARED_AXES = ("layer", "point", "bound")
"""Axes that views have in common with the rest of a result, and are stored along."""


@dataclass(frozen=True, repr=False)
class MatchResult(SavedResult):
    """Scores of every layer against every reference, the verdict, and where they come from.

    `data` is a tree: at its root errors of layers by `site`, `layer` and `point`; under
    `/references/<name>` similarities, direct R^2 and best-matching steps by `site`, `layer` and
    `step`; under `/controls/<name>` the same scores where nothing should be found; under
    `/views/<name>` what else the match was asked to show.
    """

    @cached_property
    def verdict(self) -> MatchVerdict:
        """Which references are retained, at how many steps a layer, and why."""
        return MatchVerdict.of(verdict_from(json.loads(self.data.attrs["verdict"])), self)

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the references compared."""
        return tuple(self.data["references"].children)

    def reference(self, name: str) -> xarray.Dataset:
        """Scores against one reference.

        Raises:
            ValueError: It was not compared.
        """
        if name not in self.references:
            known = ", ".join(self.references)
            raise ValueError(f"reference {name!r} was not compared; compared were {known}")
        return self.data[f"references/{name}"].to_dataset()

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views that the match was asked to show."""
        return tuple(self.data["views"].children) if "views" in self.data.children else ()

    def view(self, name: str) -> xarray.DataTree:
        """What a view holds, see the functions of `interp.analyses.views.VIEWS`.

        Raises:
            ValueError: The match was not asked for it.
        """
        if name not in self.views:
            raise ValueError(
                f"the result has no view {name!r}; interp.match(…, show={name!r}) adds it"
            )
        tree = _map(self.data["views"].children[name], _without_gaps)
        return _map(tree, lambda dataset: dataset.rename(_own_axes(dataset, name)))

    def with_views(self, views: Mapping[str, xarray.DataTree]) -> MatchResult:
        """The same result with views added."""
        if not views:
            return self
        tree = self.data.copy()
        root = self.layers
        axes = {name: root[name] for name in SHARED_AXES}

        def on_axes(dataset: xarray.Dataset, view: str) -> xarray.Dataset:
            others = [str(axis) for axis in dataset.dims if axis in root.dims and axis not in axes]
            dataset = dataset.rename({axis: f"{view}_{axis}" for axis in others})
            return dataset.reindex({axis: axes[axis] for axis in SHARED_AXES if axis in dataset})

        for name, view in views.items():
            tree[f"views/{name}"] = _map(view, partial(on_axes, view=name))
        return MatchResult(tree)

    @property
    def layers(self) -> xarray.Dataset:
        """Errors of the layers' read-outs and of the model, by site, layer and point."""
        return self.data.to_dataset(inherit=False)

    def numbers(self) -> dict[str, Any]:
        """The numbers of the first kind of site and the keys of the verdict, in plain values."""
        root = self.layers
        site = str(root.site.values[0])
        references: dict[str, Any] = {}
        for name in self.references:
            scores = self.reference(name).sel(site=site)
            references[name] = {
                "best_step": _plain(scores.best_step),
                "whole_best_step": _plain(scores.whole_best_step),
                "similarity": _plain(scores.best_similarity),
                "interval": _plain(scores.best_step_interval),
                "similarity_interval": _plain(scores.best_similarity_interval),
            }
        provenance = self.provenance
        verdict = self.verdict
        return {
            "checkpoint": provenance["checkpoint"],
            "task": provenance["task"],
            "seed": provenance["seed"],
            "prompts": provenance["prompts"],
            "points": provenance.get("points"),
            "site": site,
            "readout": provenance["readout"],
            "layers": root.layer.values.tolist(),
            "references": references,
            "verdict": {
                "answer": verdict.answer,
                "retained": list(verdict.retained),
                "standing": list(verdict.retained),
                "is_nearest_only": verdict.is_nearest_only,
                "steps_per_layer": verdict.steps_per_layer,
                "interval": list(verdict.interval) if verdict.interval else None,
            },
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each reference, kind of site and layer that was read.

        Columns are `reference`, `site`, `layer`, every score that has a number for each of these
        (such as `best_step` and `best_similarity`, with the ends of its interval as `…_low` and
        `…_high`), and of the layer itself `mean_error` and `change`.
        """
        layers = _rows(self.layers)
        tables = [
            _rows(self.reference(name)).assign(reference=name).merge(layers, on=["site", "layer"])
            for name in self.references
        ]
        table = pandas.concat(tables, ignore_index=True)
        first = ["reference", "site", "layer"]
        return table[[*first, *(name for name in table.columns if name not in first)]]

    def _describe(self) -> str:
        verdict, provenance = self.verdict, self.provenance
        rate = verdict.steps_per_layer
        pace = "" if rate is None else f", {rate:,.3g} steps a layer"
        return (
            f"{provenance.get('checkpoint') or 'a model in memory'}: {verdict.answer}{pace}; "
            f"{self.layers.sizes['layer']} layers, {len(self.references)} references, "
            f"{provenance['prompts']:,} prompts"
        )


def open_result(path: str | Path) -> MatchResult:
    """Reads a file that `MatchResult.save` wrote, equal to what was saved.

    Raises:
        ResultError: The file is missing, damaged, or no such result.
    """
    return MatchResult(read_tree(path, FORMAT))


def make_result(
    layers: xarray.Dataset,
    references: Mapping[str, xarray.Dataset],
    controls: Mapping[str, xarray.Dataset],
    verdict: Verdict,
    provenance: Mapping[str, Any],
) -> MatchResult:
    """Puts the parts of a result together."""
    root = layers.assign_attrs(
        format=FORMAT,
        verdict=json.dumps(asdict(verdict)),
        provenance=json.dumps(dict(provenance)),
    )
    tree: dict[str, xarray.Dataset] = {"/": root}
    tree |= {f"/references/{name}": scores for name, scores in references.items()}
    tree |= {f"/controls/{name}": scores for name, scores in controls.items()}
    return MatchResult(xarray.DataTree.from_dict(tree))


def _rows(table: xarray.Dataset) -> pandas.DataFrame:
    """A row by `site` and `layer` of all that has a number, or an interval, for each of these."""
    axes = {"site", "layer"}
    columns = {}
    for name, values in table.data_vars.items():
        if set(values.dims) == axes:
            columns[str(name)] = values
        elif set(values.dims) == {*axes, "bound"}:
            for end in ("low", "high"):
                label = f"{str(name).removesuffix('_interval')}_{end}"
                columns[label] = values.sel(bound=end, drop=True)
    numbers = xarray.Dataset(columns).to_dataframe().dropna(how="all")
    return numbers.reset_index()


def _map(
    tree: xarray.DataTree, function: Callable[[xarray.Dataset], xarray.Dataset]
) -> xarray.DataTree:
    """A tree of its own whose every dataset is changed."""
    nodes = {node.relative_to(tree): node for node in tree.subtree}
    return xarray.DataTree.from_dict(
        {path: function(node.to_dataset()) for path, node in nodes.items()}
    )


def _own_axes(dataset: xarray.Dataset, view: str) -> dict[str, str]:
    """The names that a view's axes had before those that the result has too were renamed."""
    prefix = f"{view}_"
    names = (str(axis) for axis in dataset.dims)
    return {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def _without_gaps(dataset: xarray.Dataset) -> xarray.Dataset:
    """Without the axes, layers and points of a result that a view knows nothing of."""
    used = {axis for values in dataset.data_vars.values() for axis in values.dims}
    dataset = dataset.drop_dims([axis for axis in dataset.dims if axis not in used])
    for axis in ("layer", "point"):
        if axis in dataset.dims:
            dataset = dataset.dropna(axis, how="all")
    return dataset


def _plain(values: xarray.DataArray) -> list[Any]:
    return list(without_nan(values.values.tolist()))
