"""Fig. 5: the error on an example that is asked again, by how long ago it was seen."""

from __future__ import annotations

from collections.abc import Mapping

import xarray
from jaxtyping import Float
from torch import Tensor

from interp.analyses.algorithms import PAPER_TASK
from interp.analyses.benchmark_prompts import Recall
from interp.plots.panel import Panel
from interp.plots.style import INK, Look
from interp.studies.paper.claims import Claim, Quantity, Rule, bootstrap_means, not_shipped
from interp.studies.paper.models import PaperModels
from interp.studies.paper.plots import arranged, interval_line
from interp.studies.paper.reproduction import Drawing, RowResult
from interp.studies.paper.rows import Row
from probes.uncertainty.bootstrap import bootstrap_interval

N_PROMPTS = 512
FORGOTTEN = 0.05
"""Rise of squared error / d from the newest to the oldest example; saying 0 has an error of 1."""
LOOKS = {
    "transformer": Look("transformer", INK, "solid", "circle"),
    "lstm": Look("LSTM", "#d55e00", "dash", "square"),
    "ols": Look("OLS", "#0072b2", "dot", "diamond-open"),
    "ogd": Look("online GD", "#007a5a", "longdash", "triangle-up"),
}
CLAIMS = {
    "transformer": ("the transformer does not forget", False),
    "lstm": ("the LSTM forgets", True),
    "ols": ("least squares, which Newton converges to, does not forget", False),
    "ogd": ("online GD forgets", True),
}


def forgetting(row: Row, models: PaperModels) -> RowResult:
    """Error on x_{n-g} asked again after n = d examples, for models and for algorithms."""
    found, missing = models.among(row.needs)
    claims, panels, data = [], [], xarray.Dataset()
    curves: dict[str, Float[Tensor, "group gap"]] = {}
    for role in row.needs:
        if role in missing:
            claims.append(not_shipped(CLAIMS[role][0], missing[role]))
            continue
        model = found[role]
        recall = Recall.of(model.task, N_PROMPTS, models.settings.seed)
        curves[role] = recall.of_model(model.model)
        claims.append(_claim(role, curves[role], model.about))
    if curves:
        curves |= recall.of_references()
        panels.append(_panel(f"Models, d = {models.n_dims}", recall, curves))
        data = _data(recall, curves, "")
    recall = Recall.of(PAPER_TASK, N_PROMPTS, models.settings.seed)
    model_free = dict(recall.of_references())
    about = f"model-free, d = 20, after {recall.n_examples} examples"
    claims += [_claim(name, model_free[name], about) for name in ("ols", "ogd")]
    panels.append(_panel("Algorithms, d = 20", recall, model_free, with_legend=not curves))
    drawing = Drawing(
        row.key,
        "Error on an example asked again",
        "Squared error / d on x_{n-g}, asked again after n = d examples, against the gap g (0: the "
        "newest), with 95 % intervals.",
        arranged(*panels),
    )
    data = data.merge(_data(recall, model_free, "d20_"))
    return RowResult(row, tuple(claims), (drawing,), data=data, missing=tuple(missing.values()))


def _claim(name: str, groups: Float[Tensor, "group gap"], about: str) -> Claim:
    claim, forgets = CLAIMS[name]
    mean = groups.mean(0)
    replicates = bootstrap_means(groups[:, -1] - groups[:, 0])
    rise = Quantity.of_replicates(replicates, n_groups=len(groups))
    side = ("above", "below") if forgets else ("below", "above")
    criterion = f"95 % interval of the rise lies {side[0]} {FORGOTTEN}; disagrees if {side[1]}"
    return Claim(
        claim,
        f"error / d {mean[0]:.3f} on the newest example, {mean[-1]:.3f} on the oldest: rise "
        f"{rise.text('z.3f')}",
        Rule.side(criterion, FORGOTTEN, above=forgets),
        rise,
        about=about,
    )


def _panel(
    title: str,
    recall: Recall,
    curves: Mapping[str, Float[Tensor, "group gap"]],
    *,
    with_legend: bool = True,
) -> Panel:
    traces = []
    for name, groups in curves.items():
        means = bootstrap_means(groups)
        low, high = bootstrap_interval(means[1:], n_groups=len(groups))
        trace = interval_line(recall.gaps.numpy(), means[0], low, high, LOOKS[name])
        traces.append(trace.update(showlegend=with_legend))
    return Panel(
        title,
        traces,
        {"title": {"text": "gap g to the example asked again"}},
        {"title": {"text": "squared error / d"}, "rangemode": "tozero"},
    )


def _data(
    recall: Recall, curves: Mapping[str, Float[Tensor, "group gap"]], prefix: str
) -> xarray.Dataset:
    gap = f"{prefix}gap"
    return xarray.Dataset(
        {f"{prefix}{name}_error": (gap, groups.mean(0).numpy()) for name, groups in curves.items()},
        {gap: recall.gaps.numpy()},
    )
