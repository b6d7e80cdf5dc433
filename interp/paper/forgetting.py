"""Fig. 5: the error on an example that is asked again, by how long ago it was seen."""

from __future__ import annotations

import xarray
from jaxtyping import Float
from torch import Tensor

from interp.analyses.algorithms import PAPER_TASK
from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Check, Drawing, Finding, Outcome, not_shipped
from interp.paper.pictures import arranged, interval_line
from interp.paper.scale import describe
from interp.paper.settings import N_REPLICATES
from interp.plots.panel import Panel
from interp.plots.style import INK, Look
from interp.side_by_side.forgetting import Recall
from probes.controls.bootstrap import bootstrap_weights, interval

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


def forgetting(row: Row, cast: Cast) -> Finding:
    """Error on x_{n-g} asked again after n = d examples, for models and for algorithms."""
    checks, panels, missing, data = [], [], [], xarray.Dataset()
    curves: dict[str, Float[Tensor, "group gap"]] = {}
    for role in row.needs:
        member = cast.find(role)
        if member is None:
            missing.append(cast.lacks(role))
            checks.append(not_shipped(CLAIMS[role][0], missing[-1]))
            continue
        asked = Recall.of(member.task, N_PROMPTS, cast.settings.seed)
        curves[role] = asked.of_model(member.model)
        checks.append(_check(role, curves[role], describe(cast, role)))
        references = asked.of_references()
    if curves:
        curves |= references
        panels.append(_panel(f"Models, d = {cast.n_dims}", asked, curves))
        data = _data(asked, curves, "")
    asked = Recall.of(PAPER_TASK, N_PROMPTS, cast.settings.seed)
    model_free = dict(asked.of_references())
    about = f"model-free, d = 20, after {asked.n_examples} examples"
    checks += [_check(name, model_free[name], about) for name in ("ols", "ogd")]
    panels.append(_panel("Algorithms, d = 20", asked, model_free, with_legend=not curves))
    drawing = Drawing(
        row.key,
        "Error on an example asked again",
        "Squared error / d on x_{n-g}, asked again after n = d examples, against the gap g (0: the "
        "newest), with 95 % intervals.",
        arranged(*panels),
    )
    data = data.merge(_data(asked, model_free, "d20_"))
    return Finding(row, tuple(checks), (drawing,), data=data, missing=tuple(missing))


def _check(name: str, groups: Float[Tensor, "group gap"], about: str) -> Check:
    claim, forgets = CLAIMS[name]
    mean = groups.mean(0)
    rise, rise_low, rise_high = (part[0] for part in _intervals(groups[:, -1:] - groups[:, :1]))
    outcome: Outcome = "cannot be told"
    if rise_low > FORGOTTEN:
        outcome = "agrees" if forgets else "disagrees"
    elif rise_high < FORGOTTEN:
        outcome = "disagrees" if forgets else "agrees"
    side = ("above", "below") if forgets else ("below", "above")
    return Check(
        claim,
        f"error / d {mean[0]:.3f} on the newest example, {mean[-1]:.3f} on the oldest: rise "
        f"{rise:z.3f} ({rise_low:z.3f} to {rise_high:z.3f})",
        f"95 % interval of the rise lies {side[0]} {FORGOTTEN}; disagrees if {side[1]}",
        outcome,
        about=about,
    )


def _intervals(
    groups: Float[Tensor, "group gap"],
) -> tuple[Float[Tensor, " gap"], Float[Tensor, " gap"], Float[Tensor, " gap"]]:
    n_groups = len(groups)
    weights = bootstrap_weights(n_groups, N_REPLICATES, 0, with_original=True)
    replicates = weights @ groups / n_groups
    low, high = interval(replicates[1:], n_groups=n_groups)
    return replicates[0], low, high


def _panel(
    title: str,
    asked: Recall,
    curves: dict[str, Float[Tensor, "group gap"]],
    *,
    with_legend: bool = True,
) -> Panel:
    traces = []
    for name, groups in curves.items():
        mean, low, high = _intervals(groups)
        trace = interval_line(asked.gaps.numpy(), mean, low, high, LOOKS[name])
        traces.append(trace.update(showlegend=with_legend))
    return Panel(
        title,
        traces,
        {"title": {"text": "gap g to the example asked again"}},
        {"title": {"text": "squared error / d"}, "rangemode": "tozero"},
    )


def _data(
    asked: Recall, curves: dict[str, Float[Tensor, "group gap"]], prefix: str
) -> xarray.Dataset:
    gap = f"{prefix}gap"
    return xarray.Dataset(
        {f"{prefix}{name}_error": (gap, groups.mean(0).numpy()) for name, groups in curves.items()},
        {gap: asked.gaps.numpy()},
    )
