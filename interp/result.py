"""What `match` found: every score with its axes named, saved and reopened whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import xarray

from interp.saved_result import read_tree, save_netcdf, without_nan
from interp.saved_verdict import verdict_from
from probes.verdict import Verdict

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FORMAT = "icl-interp-match/1"
SHARED_AXES = ("layer", "point", "bound")
"""Axes that views have in common with the rest of a result, and are stored along."""


@dataclass(frozen=True)
class MatchResult:
    """Scores of every layer against every reference, the verdict, and where they come from.

    `data` is a tree: at its root errors of layers by `site`, `layer` and `point`; under
    `/references/<name>` similarities, direct R^2 and best-matching steps by `site`, `layer` and
    `step`; under `/controls/<name>` the same scores where nothing should be found; under
    `/views/<name>` what else the match was asked to show.
    """

    data: xarray.DataTree

    @cached_property
    def verdict(self) -> Verdict:
        """Which references are left standing, at how many steps a layer, and why."""
        return verdict_from(json.loads(self.data.attrs["verdict"]))

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
        return _map(self.data["views"].children[name], _without_gaps)

    def with_views(self, views: Mapping[str, xarray.DataTree]) -> MatchResult:
        """The same result with views added."""
        if not views:
            return self
        tree = self.data.copy()
        axes = {name: self.layers[name] for name in SHARED_AXES}

        def on_axes(dataset: xarray.Dataset) -> xarray.Dataset:
            return dataset.reindex({name: axes[name] for name in SHARED_AXES if name in dataset})

        for name, view in views.items():
            tree[f"views/{name}"] = _map(view, on_axes)
        return MatchResult(tree)

    @property
    def layers(self) -> xarray.Dataset:
        """Errors of the layers' read-outs and of the model, by site, layer and point."""
        return self.data.to_dataset(inherit=False)

    @property
    def provenance(self) -> dict[str, Any]:
        """Checkpoint, recipe, task, seed, versions and command."""
        return json.loads(self.data.attrs["provenance"])

    def summary(self) -> dict[str, Any]:
        """The content of `summary.json`: the first kind of site, in plain values."""
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
            "site": site,
            "readout": provenance["readout"],
            "layers": root.layer.values.tolist(),
            "references": references,
            "verdict": {
                "answer": verdict.answer,
                "standing": list(verdict.standing),
                "is_nearest_only": verdict.is_nearest_only,
                "steps_per_layer": verdict.steps_per_layer,
                "interval": list(verdict.interval) if verdict.interval else None,
                "text": verdict.text,
                "error_rate": verdict.error_rate,
            },
        }

    def save(self, path: str | Path) -> None:
        """Writes everything to one netCDF file, atomically.

        Raises:
            OSError: The file cannot be written; an existing one is left as it was.
        """
        save_netcdf(self.data, path)

    def plot_curve(self, **options: Any) -> Figure:
        """The match curve: best-matching step against layer. See `interp.plots.curve`."""
        from interp.plots.curve import plot_curve

        return plot_curve(self, **options)

    def plot_heatmap(self, reference: str = "newton", **options: Any) -> Figure:
        """SimE of every layer with every step of a reference. See `interp.plots.heatmap`."""
        from interp.plots.heatmap import plot_heatmap

        return plot_heatmap(self, reference, **options)

    def plot_error(self, **options: Any) -> Figure:
        """Error against layer and against examples. See `interp.plots.error`."""
        from interp.plots.error import plot_error

        return plot_error(self, **options)

    def plot_direct(self, references: Sequence[str] | None = None, **options: Any) -> Figure:
        """Held-out R^2 of each iterate from every layer. See `interp.plots.direct`."""
        from interp.plots.direct import plot_direct

        return plot_direct(self, references, **options)

    def plot_points(self, reference: str | None = None, **options: Any) -> Figure:
        """Similarity at every layer's best step, by examples. See `interp.plots.points`."""
        from interp.plots.points import plot_points

        return plot_points(self, reference, **options)

    def plot_sites(
        self, value: Literal["step", "similarity", "error"] = "step", **options: Any
    ) -> Figure:
        """Kinds of site side by side. See `interp.plots.sites`."""
        from interp.plots.sites import plot_sites

        return plot_sites(self, value, **options)

    def plot_halves(self, value: Literal["step", "error"] = "step", **options: Any) -> Figure:
        """What attention and MLP of every layer add. See `interp.plots.halves`."""
        from interp.plots.halves import plot_halves

        return plot_halves(self, value, **options)

    def plot_controls(self, value: Literal["error", "r2"] = "error", **options: Any) -> Figure:
        """The model beside its controls. See `interp.plots.controls`."""
        from interp.plots.controls import plot_controls

        return plot_controls(self, value, **options)

    def plot_weights(self, reference: str = "newton", **options: Any) -> Figure:
        """Similarity of induced weights (SimW). See `interp.plots.induced_weights`."""
        from interp.plots.induced_weights import plot_weights

        return plot_weights(self.view("weights"), reference, **options)

    def plot_heads(self, **options: Any) -> Figure:
        """What can be read from every attention head. See `interp.plots.heads`."""
        from interp.plots.heads import plot_heads

        return plot_heads(self.view("heads"), **options)

    def plot_patterns(self, **options: Any) -> Figure:
        """What every attention head looks at. See `interp.plots.patterns`."""
        from interp.plots.patterns import plot_patterns

        return plot_patterns(self.view("patterns"), **options)

    def write_report(self, path: str | Path) -> None:
        """Writes the report, one HTML file that opens offline. See `interp.report`."""
        from interp.report import write_report

        write_report(self, path)

    def _repr_html_(self) -> str:
        from interp.report import verdict_html

        return verdict_html(self)


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


def _map(
    tree: xarray.DataTree, function: Callable[[xarray.Dataset], xarray.Dataset]
) -> xarray.DataTree:
    """A tree of its own whose every dataset is changed."""
    nodes = {node.relative_to(tree): node for node in tree.subtree}
    return xarray.DataTree.from_dict(
        {path: function(node.to_dataset()) for path, node in nodes.items()}
    )


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
