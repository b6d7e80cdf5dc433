"""What growth from layer to layer does not show: references without steps, and lack of fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.analyses.comparisons import Comparison
from interp.analyses.evaluation import Sample
from interp.analyses.settling import at_steps
from probes.affine import affine_r2
from probes.candidate import Candidate
from probes.duel import read_out
from probes.matching import Match, best_match
from probes.misfit import Misfit, misfit
from probes.references import GD, Prefixes, reference_classes
from probes.similarity import error_directions
from probes.stepless import Stepless, weigh_stepless

STEPLESS = {
    name: Candidate.of(name, one.key, one.family, parameters)
    for one in reference_classes()
    for name, parameters in one.rivals.items()
}
"""References without steps that every verdict weighs, by name.

All are cheap. Least squares is none of them: it is where the references with steps end."""

OTHER_STEPS = tuple(4.0**k for k in range(6))
"""Of GD with every prefix's own step size: smooth functions of S, which deviations are explained
by."""


@dataclass(frozen=True)
class Readings:
    """What layers say on the prompts that are kept one by one, beside all contenders."""

    said: Float[Tensor, "layer prompt point"]
    ys: Float[Tensor, "prompt point"]
    prefixes: Prefixes
    comparisons: Mapping[str, Comparison]
    """Those with steps."""
    matches: Mapping[str, Match]
    """The best step of each for every layer."""
    stepless: Mapping[str, Float[Tensor, "1 prompt point"]]
    """What those without steps say."""

    @classmethod
    def of(
        cls,
        sample: Sample,
        places: Sequence[int],
        comparisons: Sequence[Comparison],
        similarity: Mapping[str, Float[Tensor, "site _step"]],
        without: Sequence[str] = (),
    ) -> Readings:
        """Reads the sites at some places of a sample.

        Args:
            sample: Prompts, and what every site says on them.
            places: Indices of the sites of the layers that have begun.
            comparisons: References; those without steps are left out.
            similarity: Of errors of every site with every step, by comparison.
            without: Families left out of those without steps.
        """
        chosen = list(places)
        stepping = {item.name: item for item in comparisons if item.has_steps}
        prefixes = sample.prefixes
        return cls(
            sample.said[chosen],
            sample.ys,
            prefixes,
            stepping,
            {
                name: best_match(similarity[name][chosen], item.grid)
                for name, item in stepping.items()
            },
            {
                name: item.reference.predictions(prefixes, [0])
                for name, item in STEPLESS.items()
                if item.family not in without
            },
        )

    def weigh_stepless(self) -> tuple[Stepless, ...]:
        """Lets the references without steps stand that are ahead of all others."""
        layers = error_directions(self.said, self.ys)

        def cosines(predictions: Tensor) -> Tensor:
            directions = error_directions(read_out(predictions, self.ys), self.ys)
            return (layers * directions).sum(-1)

        return weigh_stepless(
            {(name, STEPLESS[name].family): cosines(said) for name, said in self.stepless.items()},
            {name: cosines(self._iterates(name)) for name in self.comparisons},
        )

    def misfit(self, family: str) -> Misfit:
        """Lack of fit of a family's member that comes nearest to what the layers say.

        Each layer's step is the one from which an affine map comes nearest: similarity of errors
        would favour early steps where noise has shrunk a layer's read-out.
        """
        others = [GD(eta="inverse_largest").predictions(self.prefixes, OTHER_STEPS)]
        members = [name for name, item in self.comparisons.items() if item.family == family]
        if members:
            nearest = {name: self._nearest_steps(self.comparisons[name]) for name in members}
            name = max(members, key=lambda one: nearest[one].similarity.mean().item())
            steps = nearest[name].step.tolist()
            iterates = at_steps(self.comparisons[name].reference, self.prefixes, steps)
        else:
            name = next(one for one, item in STEPLESS.items() if item.family == family)
            iterates = self.stepless[name].expand(len(self.said), -1, -1)
        others += [said for one, said in self.stepless.items() if one != name]
        return misfit(
            name,
            self.said[..., 1:],
            iterates[..., 1:],
            torch.cat(others)[..., 1:],
            self.ys[:, 1:],
        )

    def _nearest_steps(self, item: Comparison) -> Match:
        iterates = item.iterates(self.prefixes)
        return best_match(affine_r2(iterates[..., 1:], self.said[..., 1:]), item.grid)

    def _iterates(self, name: str) -> Float[Tensor, "layer prompt point"]:
        steps = self.matches[name].step.tolist()
        return at_steps(self.comparisons[name].reference, self.prefixes, steps)
