"""The references that explain all layers by one constant number of steps a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from probes.matching import StepGrid, best_match, interpolation_error
from probes.uncertainty.estimate import LEVEL, Estimate
from probes.verdict.constant_rate_fit import ConstantRateFit
from probes.verdict.constant_rate_refinement import best_constant_rate
from probes.verdict.criteria import DEFAULT_CRITERIA, Criteria
from probes.verdict.evidence import Evidence, Measure, MeasureFinding, Reason
from probes.verdict.growth_law import growth_law


@dataclass(frozen=True)
class Contender:
    """A reference and how similar it is to every layer."""

    name: str
    family: str
    """References that differ in a parameter only share one, such as GD's step size."""
    grid: StepGrid
    similarity: Float[Tensor, "replicate layer step"]
    """Over all prompts first, then over bootstrap replicates of them."""
    scale: dict[str, float] = field(default_factory=dict)
    """See `Evidence`."""


def compare_constant_rates(
    measure: Measure,
    contenders: Sequence[Contender],
    layers: Sequence[int],
    depth: Float[Tensor, " layer"],
    *,
    control: float = 0.0,
    level: float = LEVEL,
    criteria: Criteria = DEFAULT_CRITERIA,
) -> MeasureFinding:
    """Finds which references one measure retains.

    Of every reference: does one constant number of steps a layer explain all layers, and how far
    behind the best is it? One that is further behind than chance and the margin is rejected.

    Args:
        measure: What the similarities are.
        contenders: References with their similarities, over the same layers and replicates.
        layers: Names of the layers of those tables, without those before the model has begun.
        depth: Depth of each layer; layers that do nothing share one.
        control: Mean similarity with free steps that a control reaches, which must be exceeded.
        level: Confidence level, kept over all references together (Bonferroni).
        criteria: The thresholds.

    Raises:
        ValueError: No contenders.
    """
    if not contenders:
        raise ValueError("contenders is empty: name at least one reference")
    if len(layers) < 3 or depth.diff().sum() <= 0:
        return MeasureFinding(measure, (), control)
    fits = [best_constant_rate(item.similarity, item.grid, depth) for item in contenders]
    matches = [best_match(item.similarity, item.grid) for item in contenders]
    scores = torch.stack([fit.score for fit in fits])  # [contender, replicate]
    losses = torch.stack([match.similarity.mean(-1) for match in matches]) - scores
    best = int(scores[:, 0].argmax())
    margin = criteria.margin_below(scores[best, 0].item())
    # A loss is compared with that of the reference that does best with its own loss counted twice:
    # one that describes the layers badly at any step loses nothing by a constant rate.
    steadiest = (scores[:, 0] - losses[:, 0]).argmax()
    strict = 1 - (1 - level) / max(1, len(contenders) - 1)
    evidence = []
    for index, (item, fit, match) in enumerate(zip(contenders, fits, matches, strict=True)):
        score = Estimate.of(scores[index], strict)
        behind = Estimate.of(scores[best] - scores[index], strict)
        extra_loss = Estimate.of(losses[index] - losses[steadiest], strict)
        flat = best_match(item.similarity.mean(1, keepdim=True), item.grid).similarity[:, 0]
        gain = Estimate.of(scores[index] - flat, strict)
        needed = min(criteria.growth_margin, criteria.growth_share * (1 - flat[0].item()))
        window, best_window = _window(fit), _window(fits[best])
        law = growth_law(
            match.step[0, best_window],
            depth[best_window],
            neither_misfit=criteria.neither_misfit,
        )
        slopes = _slopes(match.step[:, window], depth[window])
        between = interpolation_error(item.similarity[0, window], item.grid)
        if score.value < criteria.min_similarity:
            reason = Reason.UNLIKE
        elif score.low <= control + criteria.margin:
            reason = Reason.LIKE_CONTROL
        elif gain.low <= needed:
            reason = Reason.NO_GROWTH
        elif extra_loss.low > criteria.loss_margin:
            reason = Reason.COSTLY_RATE
        elif behind.low > margin:
            reason = Reason.BEHIND
        else:
            reason = Reason.RETAINED
        evidence.append(
            Evidence(
                name=item.name,
                family=item.family,
                constant_rate=score,
                behind=behind,
                constraint_loss=Estimate.of(losses[index], strict),
                extra_loss=extra_loss,
                growth_gain=gain,
                rate=Estimate.of(slopes, level).widened(
                    _slope_error(between, depth[window]), level
                ),
                first_layer=layers[window.start],
                last_layer=layers[window.stop - 1],
                law=law.law,
                evidence_ratio=law.evidence_ratio,
                reason=reason,
                layers=tuple(layers),
                steps=tuple(fit.steps[0].tolist()),
                scale=item.scale,
            )
        )
    return MeasureFinding(measure, tuple(evidence), control)


def _window(fit: ConstantRateFit) -> slice:
    """The layers of the growth fitted to all prompts, which are those of every replicate."""
    return slice(int(fit.first_layer[0]), int(fit.last_layer[0]) + 1)


def _slopes(
    curves: Float[Tensor, "replicate layer"], depth: Float[Tensor, " layer"]
) -> Float[Tensor, " replicate"]:
    centred = depth - depth.mean()
    return (curves * centred).sum(-1) / centred.square().sum()


def _slope_error(between: Float[Tensor, " layer"], depth: Float[Tensor, " layer"]) -> float:
    """The most that a slope is off where every layer's step is off by so much."""
    centred = depth - depth.mean()
    return ((between * centred.abs()).sum() / centred.square().sum()).item()
