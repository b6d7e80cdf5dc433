"""How far every score lies above that of a control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from hooks.sites import Site
from interp.analyses.comparisons import Comparison
from interp.scoring.scores import Scores
from interp.scoring.tables import Arrangement
from probes.controls.selectivity import selectivity
from probes.uncertainty.bootstrap import bootstrap_interval


def error_selectivity(scores: Scores, sites: Sequence[Site]) -> dict[str, Any]:
    """What the read-outs of y explain beyond those of other prompts' y, as variables of layers.

    `error_selectivity` is the shuffled control's error minus the layer's, both as shares of the
    error of predicting 0; it is the R^2 of the layer minus that of the control.
    """
    zero = scores.target_square.mean(-1, keepdim=True)
    real, control = (error.mean(-1) / zero for error in (scores.layer_error, scores.shuffled_error))
    return _variables("error_selectivity", selectivity(control, real), scores, sites)


def reference_selectivity(
    scores: Scores,
    twin: Scores | None,
    item: Comparison,
    sites: Sequence[Site],
    treatment: tuple[str, str],
) -> dict[str, Any]:
    """Scores of one reference beyond those of the random-initialised twin, as variables.

    `selectivity` is SimE at each layer's best step minus the twin's at the best step of its same
    layer, and `prediction_selectivity` the same of the direct R^2; at the sites of the first kind,
    NaN at others. Both have 95 % intervals over prompts. Without a twin there are none.
    """
    if twin is None:
        return {}
    n = sum(site.kind == sites[0].kind for site in sites)
    key = (item.name, *treatment)
    found = _variables(
        "selectivity",
        selectivity(scores.similarity[key][:, :n].amax(-1), twin.similarity[key].amax(-1)),
        scores,
        sites,
    )
    direct = (item.name, "prediction")
    if item.has_steps and direct in scores.direct and direct in twin.direct:
        # below 0 nothing is read, and how far below says how many read-outs were tried
        real, control = (
            table.amax(-1).clamp(min=0)
            for table in (scores.direct[direct][:, :n], twin.direct[direct])
        )
        found |= _variables("prediction_selectivity", selectivity(real, control), scores, sites)
    return found


def _variables(
    name: str, replicates: Float[Tensor, "replicate site"], scores: Scores, sites: Sequence[Site]
) -> dict[str, Any]:
    bounds = bootstrap_interval(replicates[1:], n_groups=scores.n_groups).T
    place = Arrangement(sites)
    return {name: place(replicates[0]), f"{name}_interval": place(bounds, "bound")}
