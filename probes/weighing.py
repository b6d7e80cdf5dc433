"""Which references does the evidence leave standing?

Two juries look at the same layers. One sees the similarity of errors between what each layer's
read-out says and the references (SimE); the other sees how well the activations themselves predict
the references' iterates (held-out R^2). Each asks of every reference whether one constant number of
steps a layer explains all layers, and how far it stays behind the best explanation; a reference
that stays behind by more than chance and `MARGIN` falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from probes.estimate import LEVEL, Estimate
from probes.growth import Ramp, end_step_spacing, fit_ramp
from probes.growth_law import growth_law
from probes.margins import MARGIN, MIN_SIMILARITY, margin_below
from probes.matching import StepGrid, best_match, interpolation_error
from probes.ramp_refinement import refine_ramp
from probes.verdict import Evidence, Finding

LOSS_MARGIN = 0.003
"""Mean similarity that a constant rate may cost it more than it costs the best, chance aside."""

GROWTH_MARGIN = 0.002
"""Mean similarity that growth with depth must gain over one fixed step for all layers …"""

GROWTH_SHARE = 0.25
"""… or this share of what the fixed step leaves to 1, if that is less."""


@dataclass(frozen=True)
class Contender:
    """A reference and how similar it is to every layer."""

    name: str
    family: str
    """References that differ in a parameter only share one, such as GD's step size."""
    grid: StepGrid
    similarity: Float[Tensor, "replicate layer step"]
    """Over all prompts first, then over bootstrap replicates of them."""


def weigh(
    measure: str,
    contenders: Sequence[Contender],
    layers: Sequence[int],
    depth: Float[Tensor, " layer"],
    *,
    control: float = 0.0,
    level: float = LEVEL,
) -> Finding:
    """Lets one jury find which references stand.

    Args:
        measure: What the similarities are, in words.
        contenders: References with their similarities, over the same layers and replicates.
        layers: Names of the layers of those tables; layers before the model has begun belong out.
        depth: Depth of each layer; layers that do nothing share one.
        control: Mean similarity with free steps that a control reaches, which must be beaten.
        level: Confidence level, kept over all references together (Bonferroni).

    Raises:
        ValueError: No contenders.
    """
    if not contenders:
        raise ValueError("contenders is empty: name at least one reference")
    if len(layers) < 3 or depth.diff().sum() <= 0:
        return Finding(measure, ())
    ramps = [_best_ramp(item, depth) for item in contenders]
    matches = [best_match(item.similarity, item.grid) for item in contenders]
    scores = torch.stack([ramp.score for ramp in ramps])  # [contender, replicate]
    losses = torch.stack([match.similarity.mean(-1) for match in matches]) - scores
    best = int(scores[:, 0].argmax())
    margin = margin_below(scores[best, 0].item())
    # A loss is held against the reference that does best with its own loss counted twice: one that
    # describes the layers badly at any step loses nothing by a constant rate.
    steadiest = (scores[:, 0] - losses[:, 0]).argmax()
    strict = 1 - (1 - level) / max(1, len(contenders) - 1)
    evidence = []
    for index, (item, ramp, match) in enumerate(zip(contenders, ramps, matches, strict=True)):
        behind = Estimate.of(scores[best] - scores[index], strict)
        extra_loss = Estimate.of(losses[index] - losses[steadiest], strict)
        flat = best_match(item.similarity.mean(1, keepdim=True), item.grid).similarity[:, 0]
        gain = Estimate.of(scores[index] - flat, strict)
        needed = min(GROWTH_MARGIN, GROWTH_SHARE * (1 - flat[0].item()))
        score = Estimate.of(scores[index], strict)
        window, best_window = _window(ramp), _window(ramps[best])
        law = growth_law(match.step[0, best_window], depth[best_window])
        slopes = _slopes(match.step[:, window], depth[window])
        between = interpolation_error(item.similarity[0, window], item.grid)
        rate = Estimate.of(slopes, level).widened(_slope_error(between, depth[window]), level)
        stands, reason = _judge(score, behind, margin, extra_loss, gain, needed, control)
        evidence.append(
            Evidence(
                name=item.name,
                family=item.family,
                constant_rate=score,
                behind=behind,
                constraint_loss=Estimate.of(losses[index], strict),
                growth_gain=gain,
                rate=rate,
                first_layer=layers[window.start],
                last_layer=layers[window.stop - 1],
                law=law.law,
                evidence_ratio=law.evidence_ratio,
                stands=stands,
                reason=reason,
                layers=tuple(layers),
                steps=tuple(ramp.steps[0].tolist()),
            )
        )
    return Finding(measure, tuple(evidence))


def _best_ramp(contender: Contender, depth: Float[Tensor, " layer"]) -> Ramp:
    ramp = fit_ramp(contender.similarity, contender.grid, depth=depth)
    reach = end_step_spacing(contender.grid)
    return refine_ramp(ramp, contender.similarity, contender.grid, reach=reach)


def _judge(
    score: Estimate,
    behind: Estimate,
    margin: float,
    extra_loss: Estimate,
    gain: Estimate,
    needed_gain: float,
    control: float,
) -> tuple[bool, str]:
    if score.value < MIN_SIMILARITY:
        return False, f"similarity {score.value:.3f} is below {MIN_SIMILARITY}"
    if score.low <= control + MARGIN:
        return False, f"similarity {score.value:.3f} is no better than the control's {control:.3f}"
    if gain.low <= needed_gain:
        return False, f"steps need not grow with depth (gain {gain.value:.4f})"
    if extra_loss.low > LOSS_MARGIN:
        return False, (
            f"a constant rate costs {extra_loss.value:.4f} more similarity than it costs the best"
        )
    if behind.low > margin:
        return False, f"stays {behind.value:.4f} behind the best at a constant rate"
    return True, f"a constant rate reaches similarity {score.value:.3f}"


def _window(ramp: Ramp) -> slice:
    """The layers of the growth fitted to all prompts, at which every replicate is looked at."""
    return slice(int(ramp.first_layer[0]), int(ramp.last_layer[0]) + 1)


def _slopes(
    curves: Float[Tensor, "replicate layer"], depth: Float[Tensor, " layer"]
) -> Float[Tensor, " replicate"]:
    centred = depth - depth.mean()
    return (curves * centred).sum(-1) / centred.square().sum()


def _slope_error(between: Float[Tensor, " layer"], depth: Float[Tensor, " layer"]) -> float:
    """The most that a slope is off where every layer's step is off by so much."""
    centred = depth - depth.mean()
    return ((between * centred.abs()).sum() / centred.square().sum()).item()
