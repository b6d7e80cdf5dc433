"""The report's sections: which pictures, in which order, and how to read them."""

from __future__ import annotations

import numpy as np

from interp import plots
from interp.plots.sites import has_halves
from interp.report.beyond_sections import beyond_sections, order_note
from interp.report.last_steps import last_steps_note
from interp.report.section import Section
from interp.report.view_sections import view_sections
from interp.results.result import MatchResult
from interp.results.selection import (
    Measure,
    choose_site,
    is_measured,
    leading_measure,
    quoted_reference,
    stepping,
)


def sections(result: MatchResult) -> tuple[Section, ...]:
    """All sections that the result has the data for."""
    made = (
        _curve(result),
        _heatmaps(result),
        _errors(result),
        _direct(result),
        _points(result),
        _sites(result),
        *view_sections(result),
        *beyond_sections(result),
        _controls(result),
    )
    return tuple(section for section in made if section is not None and section.pictures)


def _curve(result: MatchResult) -> Section:
    leading = leading_measure(result)
    other: Measure = "prediction" if leading == "similarity" else "similarity"
    pictures = [
        plots.curve(result, group, measure=measure)
        for measure in (leading, other)
        for group in _by_spacing(result, measure)
    ]
    return Section(
        anchor="curve",
        title="How the matching step grows from layer to layer",
        pictures=tuple(pictures),
        see=(
            "For every layer, the number of iterations after which each reference is most like it, "
            "with a 95 % bootstrap interval over prompts. Filled markers are the layers that the "
            "line, a constant number of steps a layer, was fitted to; hollow ones lie outside: "
            "not started yet, or converged. Gradient descent is on a logarithmic axis, where a "
            "constant rate is a bent line."
        ),
        means=(
            "A model that runs an algorithm at a steady pace lies on its line. Iterates of Newton "
            "and of gradient descent resemble a layer equally well at some step, so the size of "
            "the similarity decides nothing. What tells them apart is how the step grows: markers "
            "straight on a linear axis for Newton and straight on a logarithmic axis for gradient "
            "descent mean that the layers converge exponentially faster than gradient descent."
        ),
        note=last_steps_note(result, (leading, other)),
    )


def _by_spacing(result: MatchResult, measure: Measure) -> list[list[str]]:
    names = [name for name in stepping(result) if is_measured(result.reference(name), measure)]
    spacing = {name: result.reference(name).attrs["spacing"] for name in names}
    groups = [[name for name in names if spacing[name] == kind] for kind in ("linear", "log")]
    return [group for group in groups if group]


def _heatmaps(result: MatchResult) -> Section:
    return Section(
        anchor="heatmaps",
        title="Similarity of every layer with every step",
        pictures=tuple(plots.heatmap(result, name) for name in stepping(result)),
        see=(
            "Each cell is the mean cosine, over prompts, of two error vectors: that of a layer's "
            "read-out and that of a reference after so many steps (SimE). Bright is similar. "
            "The white dot is the best match of the layer. The buttons switch between iterates "
            "with a read-out of their own (matched) and as they are (raw, as published)."
        ),
        means=(
            "Dots that climb evenly are a steady number of steps a layer. A broad bright region "
            "means that many steps are nearly as good, and the dot's place is uncertain. Raw "
            "comparison places layers too high where their read-out undoes a shrinkage that the "
            "iterate still has."
        ),
    )


def _errors(result: MatchResult) -> Section:
    pictures = [plots.error(result, "layer")]
    quoted = quoted_reference(result)
    names = dict.fromkeys(name for name in (quoted, "newton", "gd") if name in stepping(result))
    pictures += [plots.error(result, "step", reference=str(name)) for name in names]
    pictures.append(plots.error(result, "examples"))
    return Section(
        anchor="errors",
        title="Error of layers and references",
        pictures=tuple(pictures),
        see=(
            "Squared error divided by d, on a logarithmic axis: of each layer's read-out, of "
            "references after each step, and against the number of examples in the prompt. "
            "Curves that end at the lower edge go on below it: least squares is exact once it "
            "has d examples without noise."
        ),
        means=(
            "The layers' curves have the shape of the algorithm that they run: a bend that gets "
            "steeper from layer to layer is superlinear convergence, as Newton's. Where the last "
            "layer lies on OLS, the model has learned all there is to learn."
        ),
        note=order_note(result),
    )


def _direct(result: MatchResult) -> Section | None:
    names = [name for name in stepping(result) if is_measured(result.reference(name), "prediction")]
    if not names:
        return None
    pairs = [name for name in ("newton", "gd") if name in names] or names[:2]
    pictures = [plots.direct(result, [name]) for name in pairs]
    return Section(
        anchor="direct",
        title="What can be read from the activations directly",
        pictures=tuple(pictures),
        see=(
            "How well a linear regression predicts, from a layer's activations on held-out "
            "prompts, each of three things an algorithm carries: its prediction, its weight "
            "vector, and the filtered query (the query as the algorithm has transformed it so "
            "far). Each is taken at the step that is read best."
        ),
        means=(
            "A quantity that rises towards 1 with depth is one that the layers compute. One that "
            "is high from layer 0 on says nothing: it is determined by the query alone. A weight "
            "vector that cannot be read means that the model carries predictions, not weights."
        ),
    )


def _points(result: MatchResult) -> Section:
    names = [name for name in ("newton", "gd") if name in stepping(result)]
    quoted = quoted_reference(result)
    shown = dict.fromkeys(name for name in (quoted, *names) if name is not None)
    return Section(
        anchor="points",
        title="Where in the prompt they agree",
        pictures=tuple(plots.points(result, name) for name in shown),
        see=(
            "The cosine of the errors of each layer and of the reference at the layer's best step, "
            "separately for each number of examples seen."
        ),
        means=(
            "With few examples nearly all methods err alike. Late in the prompt, once a prediction "
            "can be nearly exact, the errors are small and tell algorithms apart; dark cells "
            "there are where the description stops."
        ),
    )


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
    return Section(
        anchor="sites",
        title="Residual stream, attention and MLP",
        pictures=tuple(pictures),
        see=(
            "The same scores for each kind of site that was read. The residual stream is what has "
            "been computed so far; attention and MLP outputs are what a layer adds to it. Where "
            "the stream was read between the two as well, bars say what each half of a layer does "
            "to the step and to the error."
        ),
        means=(
            "Outputs that carry the same step as the stream repeat the running answer; outputs "
            "with a large error carry corrections or something else."
        ),
    )


def _controls(result: MatchResult) -> Section | None:
    if "controls" not in result.data or not result.data["controls"].children:
        return None
    pictures = [plots.controls(result, "error")]
    site = choose_site(result, None)
    controls = result.data["controls"].children.values()
    r2 = [control.to_dataset()["prediction_r2"].sel(site=site).values for control in controls]
    if np.isfinite(np.concatenate(r2)).any():
        pictures.append(plots.controls(result, "r2"))
    return Section(
        anchor="controls",
        title="Controls: where nothing should be found",
        pictures=tuple(pictures),
        see=(
            "The same measurements on a model with random weights, and with read-outs fitted to "
            "targets that belong to other prompts."
        ),
        means=(
            "Controls must stay at an error of 1 (no better than predicting 0) and at an R² of 0. "
            "What the trained model shows beyond them is learned, and not made by the "
            "read-outs."
        ),
    )
