"""Sections of a report about what a match was asked to show beside its verdict."""

from __future__ import annotations

import numpy as np

from interp import plots
from interp.plots.induced_weights import references_of
from interp.report.section import Section
from interp.results.result import MatchResult
from interp.results.selection import quoted_reference


def view_sections(result: MatchResult) -> tuple[Section, ...]:
    """A section for each view that the result holds."""
    made = {"weights": _weights, "heads": _heads, "patterns": _patterns}
    return tuple(made[name](result) for name in result.views if name in made)


def _weights(result: MatchResult) -> Section:
    weights = result.view("weights")
    known = references_of(weights)
    quoted = quoted_reference(result)
    names = [str(n) for n in dict.fromkeys((quoted, "newton", "gd")) if n in known]
    pictures = [plots.weights(weights, name) for name in names]
    pictures += [plots.weights_by_examples(weights, name) for name in (*names[:1], "ols")]
    pictures.append(plots.span(weights))
    return Section(
        anchor="weights",
        title="Weights that the layers' predictions imply",
        pictures=tuple(pictures),
        see=(
            "After a prefix, what a layer's read-out says is a function of the next x. Regressed "
            "on fresh x it gives the layer's induced weights. Cells and lines are their mean "
            "cosine with a reference's weight vector (SimW), over prompts and prefixes; the white "
            "dot is the best match. The last picture is how much of the induced weights the "
            "examples span; a random direction has the dashed line's share there."
        ),
        means=(
            "SimW compares what the layers would answer to any question, not only to the one that "
            "was asked, and does not see how long a weight vector is: a shrunken iterate needs no "
            "read-out of its own. A share in the span near 1 with few examples says that the "
            "layer learns from the examples alone, as gradient descent and Newton do from zero."
        ),
        note=_how(result),
    )


def _how(result: MatchResult) -> str:
    root = result.view("weights").to_dataset(inherit=False)
    attrs = root.attrs
    text = f"From {attrs['n_queries']} fresh x after every prefix of {attrs['n_prompts']} prompts."
    if not attrs["shared_prefix"]:
        text += (
            " This model runs every fresh x by itself, which is slow; that is why there are so "
            "few prompts."
        )
    return text


def _heads(result: MatchResult) -> Section:
    heads = result.view("heads")
    table = heads.to_dataset()
    chance = float(np.nanmax(table.shuffled_r2.values))
    how = "averages over" if table.attrs["per_example"] else "sums over"
    return Section(
        anchor="heads",
        title="What each attention head holds",
        pictures=(plots.heads(heads, "iterates"), plots.heads(heads, "moments")),
        see=(
            "Held-out R² of a linear regression from the output of one head, at the tokens where "
            "predictions are made, onto a reference's weights w and its prediction x·w, each at "
            "the step that is read best (the number in the cell), and onto the moments "
            "Sʲb of the examples, from which those weights are made. One row a head."
        ),
        means=(
            "A head that is bright for x·b has averaged y over examples that resemble x: one step "
            "of gradient descent. A head that looks at its own token alone can be bright only for "
            "what the stream held there before. Dark for "
            "w and bright for x·w means that the head answers the question and does not carry "
            "the weights."
        ),
        note=(
            f"Onto the targets of other prompts no head exceeds an R² of {max(chance, 0):.3f}. "
            f"S and b are {how} the pairs seen."
        ),
    )


def _patterns(result: MatchResult) -> Section:
    patterns = result.view("patterns")
    return Section(
        anchor="patterns",
        title="What the attention heads look at",
        pictures=(plots.looked_at(patterns), plots.patterns(patterns)),
        see=(
            "First, how the attention of the tokens that predict is divided between the token "
            "itself, the x and the y before it. Then every head's whole pattern: a tile has one "
            "row a token, from the first at the top, and one column for each token it can look "
            "at; tokens that it cannot see are left white. The buttons switch between the average "
            "and single prompts."
        ),
        means=(
            "A head whose average is a smooth band looks by position, whatever the prompt says. "
            "One whose single prompts differ from the average looks by content, as a head does "
            "that weighs examples by how much they resemble the question."
        ),
        note=f"The average is over {patterns.to_dataset().attrs['n_prompts']} prompts.",
    )
