"""What a verdict on a model's layers needs of its scores."""

from __future__ import annotations

from collections.abc import Sequence

from hooks.sites import Site
from interp.scoring.evaluation import Matching
from interp.scoring.scores import Scores
from probes.verdict import LayerScores


def layer_scores(scores: Scores, sites: Sequence[Site], readout: Matching) -> LayerScores:
    """The scores at sites of the first kind.

    Args:
        scores: The model's.
        sites: Its sites, those of the first kind first.
        readout: Whether similarities are those with matched or raw iterates.
    """
    chosen = [index for index, site in enumerate(sites) if site.kind == sites[0].kind]
    return LayerScores(
        layers=[sites[index].layer for index in chosen],
        similarity={
            name: table[:, chosen]
            for (name, treatment, convention), table in scores.similarity.items()
            if (treatment, convention) == (readout, "paper")
        },
        direct={key: table[:, chosen] for key, table in scores.direct.items()},
        error=scores.layer_error[0, chosen].mean(-1),
        change=scores.change[chosen],
        predictions=scores.sample.said[chosen],
        prefixes=scores.sample.prefixes,
    )
