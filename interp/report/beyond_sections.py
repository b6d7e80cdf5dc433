"""Sections on what controls and rival references do not reach."""

from __future__ import annotations

from interp import plots
from interp.plots.style import reference_label
from interp.report.section import Section
from interp.results.result import MatchResult
from interp.results.selection import choose_site


def beyond_sections(result: MatchResult) -> tuple[Section | None, ...]:
    """Where the two best families disagree, and what is beyond the controls."""
    return _rivals(result), _selectivity(result)


def order_note(result: MatchResult) -> str | None:
    """The order of convergence in a sentence, or why it cannot be told."""
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


def _rivals(result: MatchResult) -> Section | None:
    root = result.layers
    if "rival_margin" not in root:
        return None
    first, second = (reference_label(str(name)) for name in root.rival.values)
    pictures = [plots.disagreement(result)]
    if any("unique_r2" in result.reference(name) for name in result.references):
        pictures.append(plots.unique_variance(result))
    return Section(
        anchor="rivals",
        title="What tells the best two families apart",
        pictures=tuple(pictures),
        see=(
            f"How much more similar each layer is to {first} than to {second}, each at its best "
            "step for the layer, on four quarters of the prompts, sorted by how much the two "
            "disagree with each other; and the share of what a layer predicts that one family "
            "explains once all others are held fixed. With 95 % intervals over prompts."
        ),
        means=(
            "On most prompts two algorithms err alike and the margin is about 0 whoever is right. "
            "Where they disagree, a margin that stays on one side decides between them. A partial "
            "R² near 0 means that the others explain the layer as well without this family."
        ),
    )


def _selectivity(result: MatchResult) -> Section | None:
    if not any("selectivity" in result.reference(name) for name in result.references):
        return None
    pictures = [plots.selectivity(result, "similarity")]
    if any("prediction_selectivity" in result.reference(name) for name in result.references):
        pictures.append(plots.selectivity(result, "prediction"))
    return Section(
        anchor="selectivity",
        title="What remains of every score without its control's",
        pictures=tuple(pictures),
        see=(
            "Selectivity: the score of each reference at its best step minus the score that the "
            "random-initialised twin reaches at the same layer, at a best step of its own, with "
            "95 % intervals over prompts."
        ),
        means=(
            "A score that the twin reaches as well comes from the prompts and the read-outs and is "
            "no work of training. A similarity of .9 that has a selectivity of 0 says nothing."
        ),
    )
