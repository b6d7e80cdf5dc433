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
from interp.studies.paper.claims import Claim, Quantity, bootstrap_means
from interp.studies.paper.models import PaperModels
from interp.studies.paper.plots import arranged, plain_line
from interp.studies.paper.reproduction import Drawing, Part
from probes.uncertainty.bootstrap import bootstrap_interval

N_PROMPTS = 512
LOOKS = {
    "transformer": Look("transformer", INK, "solid", "circle"),
    "lstm": Look("LSTM", "#d55e00", "dash", "square"),
    "ols": Look("OLS", "#0072b2", "dot", "diamond-open"),
    "ogd": Look("online GD", "#007a5a", "longdash", "triangle-up"),
}


def forgetting(models: PaperModels) -> Part:
    """Error on x_{n-g} asked again after n = d examples, for models and for algorithms."""
    claims, panels, data = [], [], xarray.Dataset()
    curves: dict[str, Float[Tensor, "group gap"]] = {}
    for role, model in models.given.items():
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
    return Part(
        tuple(claims),
        (Drawing.of("forgetting", arranged(*panels)),),
        data=data.merge(_data(recall, model_free, "d20_")),
    )


def _claim(name: str, groups: Float[Tensor, "group gap"], about: str) -> Claim:
    mean = groups.mean(0)
    replicates = bootstrap_means(groups[:, -1] - groups[:, 0])
    rise = Quantity.of_replicates(replicates, n_groups=len(groups))
    found = (
        f"error / d {mean[0]:.3f} on the newest example, {mean[-1]:.3f} on the oldest: rise "
        f"{rise.text('z.3f')}"
    )
    return Claim.of(f"{name}-forgets", found, rise, about=about)


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
        bounds = bootstrap_interval(means[1:], n_groups=len(groups))
        gaps, look = recall.gaps.numpy(), LOOKS[name]
        traces.append(plain_line(gaps, means[0], look, bounds=bounds, showlegend=with_legend))
    y = {"title": "squared error / d", "rangemode": "tozero"}
    return Panel(title, traces, {"title": "gap g to the example asked again"}, y)


def _data(
    recall: Recall, curves: Mapping[str, Float[Tensor, "group gap"]], prefix: str
) -> xarray.Dataset:
    gap = f"{prefix}gap"
    return xarray.Dataset(
        {f"{prefix}{name}_error": (gap, groups.mean(0).numpy()) for name, groups in curves.items()},
        {gap: recall.gaps.numpy()},
    )
