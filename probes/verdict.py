"""Which references does the evidence leave standing?

Two juries look at the same layers. One sees the similarity of errors between what each layer's
read-out says and the references (SimE); the other sees how well the activations themselves predict
the references' iterates (held-out R^2). Each asks of every reference whether one constant number of
steps a layer explains all layers, and how far it stays behind the best explanation; a reference
that stays behind by more than chance and `MARGIN` falls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from probes.growth import Ramp, fit_ramp, flat_score, free_score
from probes.growth_law import CurveLaw, growth_law
from probes.matching import StepGrid, best_match

MARGIN = 0.001
"""Mean similarity by which a reference may stay behind before it falls, chance aside."""

LOSS_MARGIN = 0.003
"""Mean similarity that a constant rate may cost it more than it costs the best, chance aside."""

GROWTH_MARGIN = 0.002
"""Mean similarity that growth with depth must gain over one fixed step for all layers."""

MIN_SIMILARITY = 0.7
"""Mean similarity below which no reference describes the layers."""

CLEAR_RATIO = 3.0
"""Evidence ratio from which on one law of growth is clearly better than the other."""

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and its confidence interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, replicates: Float[Tensor, " replicate"], level: float = LEVEL) -> Estimate:
        """From a point estimate (first) and its bootstrap replicates, by normal approximation."""
        value = replicates[0].item()
        spread = replicates[1:].std().item() if len(replicates) > 2 else 0.0
        reach = NormalDist().inv_cdf(0.5 + level / 2) * spread
        return cls(value, value - reach, value + reach)


@dataclass(frozen=True)
class Contender:
    """A reference and how similar it is to every layer."""

    name: str
    family: str
    """References that differ in a parameter only share one, such as GD's step size."""
    grid: StepGrid
    similarity: Float[Tensor, "replicate layer step"]
    """Over all prompts first, then over bootstrap replicates of them."""


@dataclass(frozen=True)
class Evidence:
    """What one jury finds about one reference."""

    name: str
    family: str
    constant_rate: Estimate
    """Mean similarity over layers along the best ramp."""
    behind: Estimate
    """Highest constant-rate similarity of any reference minus this one's."""
    constraint_loss: Estimate
    """What a constant rate costs against the best step of every layer."""
    growth_gain: Estimate
    """What growth gains over the best single step for all layers."""
    rate: Estimate
    """Steps a layer: slope of the match curve from `first_layer` to `last_layer`."""
    first_layer: int
    last_layer: int
    law: CurveLaw
    """Which law the match curve follows over the layers where the best reference grows."""
    evidence_ratio: float
    """Likelihood that its steps grow linearly with depth over that their logarithms do."""
    stands: bool
    reason: str
    """In words, why it stands or falls."""


@dataclass(frozen=True)
class Finding:
    """What one jury finds."""

    measure: str
    """What was compared, in words."""
    evidence: tuple[Evidence, ...]

    @property
    def standing(self) -> tuple[str, ...]:
        """Families with a reference that stands, best first."""
        ranked = sorted(
            (item for item in self.evidence if item.stands), key=lambda item: item.behind.value
        )
        return tuple(dict.fromkeys(item.family for item in ranked))

    def best(self, family: str) -> Evidence:
        """The family's member that stays least behind."""
        members = [item for item in self.evidence if item.family == family]
        return min(members, key=lambda item: item.behind.value)

    def representative(self, family: str) -> Evidence:
        """The family's namesake if it stands, else its best member."""
        for item in self.evidence:
            if item.name == family and item.stands:
                return item
        return self.best(family)


@dataclass(frozen=True)
class Verdict:
    """The answer: which algorithm, how fast, how sure, and why."""

    standing: tuple[str, ...]
    """References left standing; none means "none", several mean "undecided"."""
    steps_per_layer: float | None
    interval: tuple[float, float] | None
    text: str
    findings: tuple[Finding, ...] = ()

    @property
    def answer(self) -> str:
        """The one reference left standing, "none" or "undecided"."""
        if not self.standing:
            return "none"
        return self.standing[0] if len(self.standing) == 1 else "undecided"

    @property
    def quoted(self) -> tuple[Finding, Evidence] | None:
        """Where `steps_per_layer` comes from; None if nothing stands.

        Variants of an algorithm count steps of different size, so the family's namesake, which
        publications mean, is preferred over a variant that fits a little better, before the first
        jury that lets it stand. Where it stands nowhere, the best variant before the first jury.
        """
        if not self.standing:
            return None
        family = self.standing[0]
        heard = [finding for finding in self.findings if family in finding.standing]
        items = [(finding, finding.representative(family)) for finding in heard]
        return next((pair for pair in items if pair[1].name == family), items[0])

    @property
    def ruled_out(self) -> tuple[Evidence, ...]:
        """One member of each family that fell, before the first jury that lets none stand."""
        families = dict.fromkeys(
            item.family for finding in self.findings for item in finding.evidence
        )
        return tuple(
            next(
                finding.best(family)
                for finding in self.findings
                if finding.evidence and family not in finding.standing
            )
            for family in families
            if family not in self.standing
        )


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
    ramps = [fit_ramp(item.similarity, item.grid, depth=depth) for item in contenders]
    scores = torch.stack([ramp.score for ramp in ramps])  # [contender, replicate]
    losses = torch.stack(
        [
            free_score(item.similarity) - ramp.score
            for item, ramp in zip(contenders, ramps, strict=True)
        ]
    )
    best = int(scores[:, 0].argmax())
    # A loss is held against the reference that does best with its own loss counted twice: one that
    # describes the layers badly at any step loses nothing by a constant rate.
    steadiest = (scores[:, 0] - losses[:, 0]).argmax()
    strict = 1 - (1 - level) / max(1, len(contenders) - 1)
    evidence = []
    for index, (item, ramp) in enumerate(zip(contenders, ramps, strict=True)):
        behind = Estimate.of(scores[best] - scores[index], strict)
        extra_loss = Estimate.of(losses[index] - losses[steadiest], strict)
        gain = Estimate.of(scores[index] - flat_score(item.similarity), strict)
        score = Estimate.of(scores[index], strict)
        curves, curve_depth = _match_curves(item, ramp)
        best_curves, best_depth = _match_curves(item, ramps[best])
        law = growth_law(best_curves[0], best_depth)
        stands, reason = _judge(score, behind, extra_loss, gain, control)
        evidence.append(
            Evidence(
                name=item.name,
                family=item.family,
                constant_rate=score,
                behind=behind,
                constraint_loss=Estimate.of(losses[index], strict),
                growth_gain=gain,
                rate=Estimate.of(_slopes(curves, curve_depth), level),
                first_layer=layers[int(ramp.first_layer[0])],
                last_layer=layers[int(ramp.last_layer[0])],
                law=law.law,
                evidence_ratio=law.evidence_ratio,
                stands=stands,
                reason=reason,
            )
        )
    return Finding(measure, tuple(evidence))


def _judge(
    score: Estimate, behind: Estimate, extra_loss: Estimate, gain: Estimate, control: float
) -> tuple[bool, str]:
    if score.value < MIN_SIMILARITY:
        return False, f"similarity {score.value:.3f} is below {MIN_SIMILARITY}"
    if score.low <= control + MARGIN:
        return False, f"similarity {score.value:.3f} is no better than the control's {control:.3f}"
    if gain.low <= GROWTH_MARGIN:
        return False, f"steps need not grow with depth (gain {gain.value:.4f})"
    if extra_loss.low > LOSS_MARGIN:
        return False, (
            f"a constant rate costs {extra_loss.value:.4f} more similarity than it costs the best"
        )
    if behind.low > MARGIN:
        return False, f"stays {behind.value:.4f} behind the best at a constant rate"
    return True, f"a constant rate reaches similarity {score.value:.3f}"


def _match_curves(
    contender: Contender, ramp: Ramp
) -> tuple[Float[Tensor, "replicate layer"], Float[Tensor, " layer"]]:
    """Each replicate's match curve over the layers of the ramp fitted to all prompts."""
    window = slice(int(ramp.first_layer[0]), int(ramp.last_layer[0]) + 1)
    found = best_match(contender.similarity[:, window], contender.grid)
    return found.step, ramp.depth[window]


def _slopes(
    curves: Float[Tensor, "replicate layer"], depth: Float[Tensor, " layer"]
) -> Float[Tensor, " replicate"]:
    centred = depth - depth.mean()
    return (curves * centred).sum(-1) / centred.square().sum()


def conclude(findings: Sequence[Finding], labels: Mapping[str, str] | None = None) -> Verdict:
    """Joins the juries: what stands before all that found anything.

    Where they contradict each other, every reference that any of them lets stand is left
    standing, which reads "undecided".

    Args:
        findings: The juries' findings, the one whose rate is quoted first.
        labels: Names of families for the text, e.g. {"newton": "Iterative Newton"}.
    """
    labels = labels or {}
    voiced = [finding for finding in findings if finding.standing]
    if not voiced:
        return Verdict((), None, None, _explain_none(findings), tuple(findings))
    common = [
        family
        for family in voiced[0].standing
        if all(family in finding.standing for finding in voiced)
    ]
    every = dict.fromkeys(family for finding in voiced for family in finding.standing)
    standing = tuple(common) if common else tuple(every)
    verdict = Verdict(standing, None, None, "", tuple(findings))
    assert verdict.quoted is not None
    rate = verdict.quoted[1].rate
    return replace(
        verdict,
        steps_per_layer=rate.value,
        interval=(rate.low, rate.high),
        text=_explain(verdict, labels, contradicting=not common),
    )


def _explain(verdict: Verdict, labels: Mapping[str, str], *, contradicting: bool) -> str:
    assert verdict.quoted is not None
    leading, item = verdict.quoted
    name = labels.get(item.family, item.family)
    variant = "" if item.name == item.family else f" (as {item.name})"
    rate = f"{item.rate.value:.2f} (95 % interval {item.rate.low:.2f} to {item.rate.high:.2f})"
    where = f"steps a layer, from layer {item.first_layer} to layer {item.last_layer}"
    if len(verdict.standing) == 1:
        others = [f for f in verdict.findings if f is not leading and f.standing]
        measures = " and by ".join(finding.measure for finding in (leading, *others))
        text = f"{_capitalised(name)}{variant} at {rate} {where}, by {measures}"
        for best in (other.best(item.family) for other in others):
            if best.name != item.name:
                text += f" (the latter as {best.name}, {best.rate.value:.2f} steps a layer)"
        growth = f"Its matching step {_explain_growth(item)}"
    else:
        names = ", ".join(labels.get(family, family) for family in verdict.standing)
        reason = (
            "are each favoured by one measure"
            if contradicting
            else "explain the layers equally well"
        )
        text = f"Undecided: {names} {reason}; {name}{variant} would run at {rate} {where}"
        growth = f"The matching step of {name} {_explain_growth(item)}"
    return f"{text}. {growth}. {_explain_fallen(verdict, labels)}".strip()


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _explain_growth(item: Evidence) -> str:
    is_linear = item.evidence_ratio >= 1
    ratio = item.evidence_ratio if is_linear else 1 / item.evidence_ratio
    if ratio < CLEAR_RATIO:
        return "grows with depth, linearly or exponentially about equally well"
    amount = f"{ratio:.2g}" if ratio < 100 else "above 100"
    rival = "exponential" if is_linear else "linear"
    evidence = f"evidence ratio {amount} over {rival} growth"
    if item.law == "neither":
        nearer = "linear" if is_linear else "exponential"
        return f"grows unevenly with depth, nearer to {nearer} growth ({evidence})"
    return f"grows {'linearly' if is_linear else 'exponentially'} with depth ({evidence})"


def _explain_fallen(verdict: Verdict, labels: Mapping[str, str]) -> str:
    parts = []
    for item in verdict.ruled_out:
        part = f"{labels.get(item.family, item.family)}: {item.reason}"
        if item.law == "log-linear" and item.evidence_ratio < 1 / CLEAR_RATIO:
            part += ", and it would need exponentially growing steps"
        parts.append(part)
    return f"Ruled out: {'; '.join(parts)}." if parts else ""


def _explain_none(findings: Sequence[Finding]) -> str:
    seen = [item for finding in findings for item in finding.evidence]
    if not seen:
        return (
            "None: no layer predicts the targets better than the first, so nothing can be matched."
        )
    best = max(seen, key=lambda item: item.constant_rate.value)
    return f"None: of the references tried {best.name} comes closest, but {best.reason}."
