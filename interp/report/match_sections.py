"""The sections of the report of a match: which pictures, in which order, and their notes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interp import plots
from interp.plots.induced_weights import references_of
from interp.plots.sites import has_halves
from interp.plots.style import MEASURE_LABELS
from interp.report.anatomy_text import anatomy_text, mixture_text
from interp.report.section import Section, written_section
from interp.report.view_notes import influence_note
from interp.results.result import MatchResult
from interp.results.selection import (
    AT_LEAST,
    Measure,
    choose_site,
    is_measured,
    leading_measure,
    quoted_reference,
    stepping,
    steps_of,
)
from probes.references import legend_of


def match_sections(result: MatchResult) -> tuple[Section, ...]:
    """All sections that the result has the data for."""
    views = {
        "influence": _influence,
        "weights": _weights,
        "heads": _heads,
        "patterns": _patterns,
    }
    made = (
        _curve(result),
        _anatomy(result),
        written_section("match", "heatmaps", [plots.heatmap(result, n) for n in stepping(result)]),
        _errors(result),
        _direct(result),
        _points(result),
        _sites(result),
        *(views[name](result) for name in result.views if name in views),
        _rivals(result),
        _selectivity(result),
        _controls(result),
    )
    return tuple(section for section in made if section is not None and section.pictures)


def last_steps_note(result: MatchResult, measures: Sequence[Measure]) -> str | None:
    """A sentence for every measure by which a layer is most like the end of a grid of steps."""
    parts = [
        f"The best step {MEASURE_LABELS[measure]} is the last that was compared, and so at least "
        f"that, for: {'; '.join(places)}."
        for measure in measures
        if (places := _last_steps(result, measure))
    ]
    return " ".join(parts) or None


def _last_steps(result: MatchResult, measure: Measure) -> list[str]:
    places = []
    for name in stepping(result):
        scores = result.reference(name).sel(site=choose_site(result, None))
        if not is_measured(scores, measure):
            continue
        found = steps_of(scores, measure)
        layers = [str(layer) for layer in found.layers[found.is_last]]
        if layers:
            where = f"layer{'s' if len(layers) > 1 else ''} {', '.join(layers)}"
            last = f"{AT_LEAST} {found.step[found.is_last][0]:,.0f} steps"
            places.append(f"{legend_of(name)} ({where}: {last})")
    return places


def order_note(result: MatchResult) -> str | None:
    """The order of convergence in a sentence, or why it is not known."""
    root = result.layers
    if "convergence_order" not in root:
        return None
    site = choose_site(result, None)
    order = float(root.convergence_order.sel(site=site))
    attrs = root.convergence_order.attrs
    if order != order:
        reason = attrs.get("reason")
        return f"The order of convergence cannot be told: {reason}." if reason else None
    low, high = (float(bound) for bound in root.convergence_order_interval.sel(site=site))
    layers = [int(layer) for layer in attrs.get("layers", [])]
    where = f", from single predictions at layers {layers[0]} to {layers[-1]}" if layers else ""
    interval = f" (95 % interval {low:.2f} to {high:.2f})" if low == low else ""
    return (
        f"Order of convergence from layer to layer: {order:.2f}{interval}{where}. 1 is linear "
        "convergence, as of gradient descent at any number of steps a layer; 2 is quadratic, as of "
        "one Newton step a layer, and s steps a layer make it 2^s."
    )


def _main_references(result: MatchResult, known: Sequence[str] | None = None) -> list[str]:
    """The reference that the verdict quotes, Newton and gradient descent, if they are known."""
    known = stepping(result) if known is None else known
    names = dict.fromkeys((quoted_reference(result), "newton", "gd"))
    return [name for name in names if name is not None and name in known]


def _curve(result: MatchResult) -> Section:
    leading = leading_measure(result)
    other: Measure = "prediction" if leading == "similarity" else "similarity"
    pictures = [
        plots.curve(result, group, measure=measure)
        for measure in (leading, other)
        for group in _by_spacing(result, measure)
    ]
    note = last_steps_note(result, (leading, other))
    return written_section("match", "curve", pictures, note=note)


def _by_spacing(result: MatchResult, measure: Measure) -> list[list[str]]:
    names = [name for name in stepping(result) if is_measured(result.reference(name), measure)]
    spacing = {name: result.reference(name).attrs["spacing"] for name in names}
    groups = [[name for name in names if spacing[name] == kind] for kind in ("linear", "log")]
    return [group for group in groups if group]


def _errors(result: MatchResult) -> Section:
    pictures = [plots.error(result, "layer")]
    pictures += [plots.error(result, "step", reference=name) for name in _main_references(result)]
    pictures.append(plots.error(result, "examples"))
    return written_section("match", "errors", pictures, note=order_note(result))


def _direct(result: MatchResult) -> Section | None:
    names = [name for name in stepping(result) if is_measured(result.reference(name), "prediction")]
    if not names:
        return None
    pairs = [name for name in ("newton", "gd") if name in names] or names[:2]
    return written_section("match", "direct", [plots.direct(result, [name]) for name in pairs])


def _points(result: MatchResult) -> Section:
    pictures = [plots.points(result, name) for name in _main_references(result)]
    return written_section("match", "points", pictures)


def _sites(result: MatchResult) -> Section | None:
    if result.layers.sizes["site"] < 2:
        return None
    name = quoted_reference(result)
    pictures = [plots.sites(result, "error")]
    if name is not None:
        pictures = [plots.sites(result, value, name) for value in ("step", "similarity", "error")]
        if has_halves(result):
            pictures = [
                plots.halves(result, "step", name),
                plots.halves(result, "error"),
                *pictures,
            ]
    return written_section("match", "sites", pictures)


def _controls(result: MatchResult) -> Section | None:
    if "controls" not in result.data or not result.data["controls"].children:
        return None
    pictures = [plots.controls(result, "error")]
    site = choose_site(result, None)
    controls = result.data["controls"].children.values()
    r2 = [control.to_dataset()["prediction_r2"].sel(site=site).values for control in controls]
    if np.isfinite(np.concatenate(r2)).any():
        pictures.append(plots.controls(result, "r2"))
    return written_section("match", "controls", pictures)


def _rivals(result: MatchResult) -> Section | None:
    root = result.layers
    if "rival_margin" not in root:
        return None
    first, second = (legend_of(str(name)) for name in root.rival.values)
    pictures = [plots.disagreement(result)]
    if any("unique_r2" in result.reference(name) for name in result.references):
        pictures.append(plots.unique_variance(result))
    return written_section("match", "rivals", pictures, first=first, second=second)


def _selectivity(result: MatchResult) -> Section | None:
    if not any("selectivity" in result.reference(name) for name in result.references):
        return None
    pictures = [plots.selectivity(result, "similarity")]
    if any("prediction_selectivity" in result.reference(name) for name in result.references):
        pictures.append(plots.selectivity(result, "prediction"))
    return written_section("match", "selectivity", pictures)


def _anatomy(result: MatchResult) -> Section | None:
    if "anatomy" not in result.views:
        return None
    table = result.view("anatomy").to_dataset()
    few = [int(one) for one in table.point.values]
    pictures = [plots.resolved(table), *(plots.shares(table, point) for point in few)]
    pictures.append(plots.filters(table))
    words = list(anatomy_text(table))
    if "mixture_gain" in table:  # results of earlier versions have none
        pictures.append(plots.mixtures(table))
        words.append(mixture_text(table))
    note = " ".join(filter(None, (*words, str(table.attrs["missing"]))))
    return written_section("match", "anatomy", pictures, note=note)


def _influence(result: MatchResult) -> Section:
    table = result.view("influence").to_dataset()
    return written_section(
        "match", "influence", [plots.influence(table)], note=influence_note(table)
    )


def _weights(result: MatchResult) -> Section:
    weights = result.view("weights")
    names = _main_references(result, references_of(weights))
    pictures = [plots.weights(weights, name) for name in names]
    pictures += [plots.weights_by_examples(weights, name) for name in (*names[:1], "ols")]
    attrs = weights.to_dataset(inherit=False).attrs
    note = f"From {attrs['n_queries']} fresh x after every prefix of {attrs['n_prompts']} prompts."
    if not attrs["shared_prefix"]:
        note += (
            " This model runs every fresh x by itself, which is slow; that is why there are so "
            "few prompts."
        )
    return written_section("match", "weights", [*pictures, plots.span(weights)], note=note)


def _heads(result: MatchResult) -> Section:
    heads = result.view("heads")
    table = heads.to_dataset()
    chance = float(np.nanmax(table.shuffled_r2.values))
    how = "averages over" if table.attrs["per_example"] else "sums over"
    note = (
        f"Onto the targets of other prompts no head exceeds an R² of {max(chance, 0):.3f}. "
        f"S and b are {how} the pairs seen."
    )
    pictures = [plots.heads(heads, "iterates"), plots.heads(heads, "moments")]
    return written_section("match", "heads", pictures, note=note)


def _patterns(result: MatchResult) -> Section:
    patterns = result.view("patterns")
    note = f"The average is over {patterns.to_dataset().attrs['n_prompts']} prompts."
    pictures = [plots.looked_at(patterns), plots.patterns(patterns)]
    return written_section("match", "patterns", pictures, note=note)
