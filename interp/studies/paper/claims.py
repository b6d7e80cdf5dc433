"""Claims of the paper, decided by computed rules, which stand in `claims.toml`.

A `Claim` holds what the paper says, a `Quantity` of ours and the `Rule` that decides between the
two; its `outcome` follows from these and is never set.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, get_args

import msgspec
import torch
from jaxtyping import Float
from torch import Tensor

from interp.studies.paper.paper_setup import N_GROUPS, N_REPLICATES
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

Outcome = Literal["agrees", "disagrees", "undecided"]


@dataclass(frozen=True)
class Quantity:
    """A number with its 95 % interval, which is the number itself where there is none."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float | Tensor, bounds: Float[Tensor, " bound"] | None = None) -> Quantity:
        """The estimate of a number, without an interval unless `bounds` are given."""
        number = float(value)
        low, high = (number, number) if bounds is None else bounds.tolist()
        return cls(number, low, high)

    @classmethod
    def of_replicates(
        cls, values: Float[Tensor, " replicate"], n_groups: int = N_GROUPS
    ) -> Quantity:
        """The estimate from bootstrap replicates, the first of which is the original."""
        return cls.of(values[0], bootstrap_interval(values[1:], n_groups=n_groups))

    def __sub__(self, other: Quantity) -> Quantity:
        """The difference; its interval is above 0 only where the two intervals do not overlap."""
        return Quantity(self.value - other.value, self.low - other.high, self.high - other.low)

    def text(self, form: str = ".3f") -> str:
        """The number with its interval, in a format of `format`."""
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"


def bootstrap_means(groups: Float[Tensor, "group *rest"]) -> Float[Tensor, "replicate *rest"]:
    """Means over groups of prompts and of bootstrap replicates of them, the original first."""
    n_groups = len(groups)
    weights = bootstrap_weights(n_groups, N_REPLICATES, 0, with_original=True)
    return torch.tensordot(weights, groups, 1) / n_groups


@dataclass(frozen=True)
class Rule:
    """Where the interval of an estimate must lie for a claim to agree, and where it disagrees."""

    text: str
    above: float = -math.inf
    """It agrees if the whole interval lies above this …"""
    below: float = math.inf
    """… and below this."""
    fails_to: float | None = None
    """It disagrees if the whole interval lies at or below this; by default below `above`."""
    fails_from: float | None = None
    """It disagrees if the whole interval lies at or above this; by default above `below`."""

    def decide(self, found: Quantity | None) -> Outcome:
        """Which of the two regions the interval lies in; undecided if in neither."""
        if found is None:
            return "undecided"
        if self.above < found.low and found.high < self.below:
            return "agrees"
        is_low = found.high < self.above if self.fails_to is None else found.high <= self.fails_to
        is_high = (
            found.low > self.below if self.fails_from is None else found.low >= self.fails_from
        )
        return "disagrees" if is_low or is_high else "undecided"


@dataclass(frozen=True)
class Statement:
    """What the paper says, as `claims.toml` lists it."""

    claim: str
    """With places for words that are filled in."""
    rule: str
    """Key of the rule."""
    published: str = "–"
    about: str = ""
    tolerance: float = 0.0
    """Largest difference from a published number at which ours agrees with it."""


DECLARED = tomllib.loads((files("interp.studies.paper") / "claims.toml").read_text("utf-8"))
RULES = msgspec.convert(DECLARED["rule"], dict[str, Rule])
STATEMENTS = msgspec.convert(DECLARED["claim"], dict[str, Statement])


@dataclass(frozen=True)
class Claim:
    """What the paper says, what we find, and the rule that decides."""

    claim: str
    found: str
    """Our numbers in words."""
    rule: Rule
    estimate: Quantity | None = None
    """What the rule is applied to; None where it cannot be measured."""
    published: str = "–"
    """The number that the paper prints."""
    about: str = ""
    """Which model and prompts, or "model-free" at which d."""
    is_decided: bool = True
    """Whether the rule is applied; a number for the paper's scale is only shown at another."""

    @classmethod
    def of(
        cls,
        key: str,
        found: str,
        estimate: Quantity | None,
        *,
        about: str = "",
        published: str = "",
        is_decided: bool = True,
        rule: Rule | None = None,
        **words: object,
    ) -> Claim:
        """A claim of `claims.toml`.

        Args:
            key: Its name there.
            found: Our numbers in words.
            estimate: What its rule is applied to; None where it cannot be measured.
            about: Which model and prompts, where the file does not say.
            published: The number that the paper prints, where the file does not say.
            is_decided: Whether the rule is applied.
            rule: In place of the file's.
            words: For the places in its text.
        """
        stated = STATEMENTS[key]
        return cls(
            stated.claim.format(**words),
            found,
            rule or RULES[stated.rule],
            estimate,
            published or stated.published,
            about or stated.about,
            is_decided,
        )

    @property
    def outcome(self) -> Outcome:
        """What the rule makes of the estimate."""
        return self.rule.decide(self.estimate) if self.is_decided else "undecided"

    def describe(self) -> dict[str, str]:
        """The claim in plain values, as `--json` prints it."""
        return {
            "claim": self.claim,
            "found": self.found,
            "criterion": self.rule.text,
            "outcome": self.outcome,
            "published": self.published,
            "about": self.about,
        }


def number_claim(
    key: str, found: Quantity, published: float, *, at_scale: bool, about: str, **words: object
) -> Claim:
    """The claim that a number is the one that the paper prints.

    Args:
        key: Of the claim in `claims.toml`, which has a tolerance.
        found: Ours; its interval is shown and does not decide.
        published: The paper's.
        at_scale: Whether ours was measured in the paper's set-up; otherwise the two are shown side
            by side and nothing is decided.
        about: Which model and prompts.
        words: For the places in its text.
    """
    tolerance = STATEMENTS[key].tolerance
    text = RULES["number" if at_scale else "shown-number"].text.format(tolerance=tolerance)
    return Claim.of(
        key,
        found.text(",.3g") if found.low < found.high else f"{found.value:,.3g}",
        Quantity.of(found.value),
        about=about,
        published=f"{published:,.4g}",
        is_decided=at_scale,
        rule=Rule(text, published - tolerance, published + tolerance),
        **words,
    )


def not_shipped(claim: str, sentence: str) -> Claim:
    """A claim about a model that is not there."""
    return Claim(claim, sentence, RULES["missing"])


def describe_outcomes(outcomes: Sequence[Outcome]) -> str:
    """One word where all came out alike, else how many came out how: "agrees 2, disagrees 1"."""
    counts = {name: outcomes.count(name) for name in get_args(Outcome) if name in outcomes}
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "undecided"
