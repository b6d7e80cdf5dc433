"""Predictions of the layers beside those of all candidates, on prompts kept one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from probes.affine import affine_r2
from probes.candidate import Candidate, rivals_without_steps
from probes.matching import Match, best_match
from probes.references import GD, Prefixes
from probes.similarity import error_directions
from probes.verdict.criteria import DEFAULT_CRITERIA, Criteria
from probes.verdict.lack_of_fit import LackOfFit, lack_of_fit
from probes.verdict.non_iterative import NonIterativeFit, compare_non_iterative
from probes.verdict.pairwise_test import read_out

OTHER_STEPS = tuple(4.0**k for k in range(6))
"""Of GD with every prefix's own step size: smooth functions of S that explain deviations."""


@dataclass(frozen=True)
class Readings:
    """Predictions of the layers that have begun, and what they are compared with."""

    predictions: Float[Tensor, "layer prompt point"]
    prefixes: Prefixes
    candidates: Mapping[str, Candidate]
    """Those with steps."""
    matches: Mapping[str, Match]
    """The best step of each for every layer, by similarity of errors."""
    non_iterative: Mapping[str, Candidate]
    """Those without steps …"""
    answers: Mapping[str, Float[Tensor, "1 prompt point"]]
    """… and their predictions."""

    @classmethod
    def of(
        cls,
        predictions: Float[Tensor, "layer prompt point"],
        prefixes: Prefixes,
        candidates: Sequence[Candidate],
        similarity: Mapping[str, Float[Tensor, "layer _step"]],
        without: Sequence[str] = (),
    ) -> Readings:
        """Matches the candidates and evaluates those without steps.

        Args:
            predictions: Of the layers' read-outs.
            prefixes: The prompts.
            candidates: References; those without steps are left out.
            similarity: Of errors of every layer with every step, by name of the candidate.
            without: Families left out of those without steps.
        """
        stepping = {item.name: item for item in candidates if item.has_steps}
        others = {item.name: item for item in rivals_without_steps() if item.family not in without}
        return cls(
            predictions,
            prefixes,
            stepping,
            {name: best_match(similarity[name], item.grid) for name, item in stepping.items()},
            others,
            {name: item.reference.predictions(prefixes, [0]) for name, item in others.items()},
        )

    def compare_non_iterative(
        self, criteria: Criteria = DEFAULT_CRITERIA
    ) -> tuple[NonIterativeFit, ...]:
        """How well references without steps explain the layers; none where all are left out."""
        if not self.answers:
            return ()
        ys = self.prefixes.ys
        n_unseen = self.prefixes.n_unseen
        layers = error_directions(self.predictions, ys, n_unseen=n_unseen)

        def cosines(predictions: Tensor) -> Tensor:
            theirs = error_directions(read_out(predictions, ys), ys, n_unseen=n_unseen)
            return (layers * theirs).sum(-1)

        return compare_non_iterative(
            {
                (name, self.non_iterative[name].family): cosines(answer)
                for name, answer in self.answers.items()
            },
            {
                name: cosines(item.at_steps(self.prefixes, self.matches[name].step.tolist()))
                for name, item in self.candidates.items()
            },
            criteria=criteria,
        )

    def lack_of_fit(self, family: str) -> LackOfFit:
        """Lack of fit of a family's member that explains most of the layers' predictions.

        Each layer's step is the one from which an affine map explains most: similarity of errors
        would favour early steps where noise has shrunk a layer's read-out.
        """
        others = [GD(eta="inverse_largest").predictions(self.prefixes, OTHER_STEPS)]
        members = [item for item in self.candidates.values() if item.family == family]
        if members:
            nearest = {item.name: self._nearest_steps(item) for item in members}
            name = max(nearest, key=lambda one: nearest[one].similarity.mean().item())
            steps = nearest[name].step.tolist()
            iterates = self.candidates[name].at_steps(self.prefixes, steps)
        else:
            name = next(one for one, item in self.non_iterative.items() if item.family == family)
            iterates = self.answers[name].expand(len(self.predictions), -1, -1)
        others += [answer for one, answer in self.answers.items() if one != name]
        return lack_of_fit(
            name,
            self.predictions[..., self._seen],
            iterates[..., self._seen],
            torch.cat(others)[..., self._seen],
            self.prefixes.ys[:, self._seen],
        )

    def _nearest_steps(self, item: Candidate) -> Match:
        iterates = item.iterates(self.prefixes)
        seen = self._seen
        return best_match(affine_r2(iterates[..., seen], self.predictions[..., seen]), item.grid)

    @property
    def _seen(self) -> slice:
        """Points that have seen a pair."""
        return slice(self.prefixes.n_unseen, None)
