"""Scores of layers against references, which batches of prompts add up to, with replicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from interp.scoring.direct_targets import ExplainedVariance
from interp.scoring.readouts import other_prompts
from probes.readout import Readout
from probes.references import Prefixes
from probes.similarity import Convention, error_directions, group_similarity


@dataclass(frozen=True)
class Sample:
    """The first evaluation prompts, one by one, and what every site's read-out predicts on them."""

    prefixes: Prefixes
    """The prompts, decomposed once for all who need it."""
    said: Float[Tensor, "site prompt point"]
    activations: Float[Tensor, "first_kind few_prompts point d_model"] | None = None
    """Of the sites of the first kind, on the first few of these prompts."""


@dataclass(frozen=True)
class Scores:
    """Scores under resampling weights: over all prompts first, then over replicates of them."""

    similarity: dict[tuple[str, str, str], Float[Tensor, "replicate site _step"]]
    """SimE by comparison, treatment of the iterates and convention."""
    direct: dict[tuple[str, str], Float[Tensor, "replicate _site _step"]]
    """Held-out R^2 by comparison and target, of the sites that were regressed."""
    point_similarity: dict[str, Float[Tensor, "site _step point"]]
    """Cosine over prompts of the errors at each point, by comparison."""
    reference_error: dict[str, Float[Tensor, "_step point"]]
    """Squared error of the iterates as they are."""
    layer_error: Float[Tensor, "replicate site point"]
    """Squared error of each site's read-out of y."""
    shuffled_error: Float[Tensor, "replicate site point"]
    """Of the read-out of other prompts' y, as a prediction of those."""
    model_error: Float[Tensor, "replicate point"]
    target_square: Float[Tensor, "replicate point"]
    """Mean of y^2: the error of predicting 0."""
    change: Float[Tensor, " site"]
    """Largest relative change from the site before, over prompts and points."""
    n_groups: int
    sample: Sample


def average(
    table: Float[Tensor, " group *rest"], weights: Float[Tensor, "replicate group"]
) -> Float[Tensor, " replicate *rest"]:
    """Mean over groups under resampling weights."""
    mean = einsum(weights, table.flatten(1), "replicate group, group rest -> replicate rest")
    return (mean / weights.sum(1, keepdim=True)).unflatten(1, table.shape[1:])


Matching = Literal["matched", "raw"]
"""Whether an iterate gets its own affine read-out of y, as the layer has, or is taken as it is."""

COMPARED: tuple[tuple[Matching, Convention], ...] = (
    ("matched", "paper"),
    ("raw", "paper"),
    ("raw", "official"),
)
"""Treatments of the iterates and conventions under which SimE is computed."""


class Totals:
    """What the batches add up to: means within groups of prompts, and sums over all prompts."""

    def __init__(
        self, group_size: int, compared: Sequence[tuple[Matching, Convention]], by_point: bool
    ) -> None:
        self.group_size, self.compared, self.by_point = group_size, compared, by_point
        self.groups: defaultdict[str, list[Tensor]] = defaultdict(list)
        self.similarity: defaultdict[tuple[str, str, str], list[Tensor]] = defaultdict(list)
        self.sums: dict[str, dict[str, Tensor]] = {}
        self.changes: list[Tensor] = []

    def add_layers(
        self,
        ys: Float[Tensor, "prompt point"],
        said: Float[Tensor, "site prompt point"],
        shuffled: Float[Tensor, "site prompt point"],
        predictions: Float[Tensor, "prompt point"],
    ) -> None:
        """Squared errors of the layers, of the control, of the model and of predicting 0."""
        errors = {
            "layers": said - ys,
            "shuffled": shuffled - other_prompts(ys),
            "model": (predictions.double() - ys)[None],
            "zero": ys[None],
        }
        for name, error in errors.items():
            by_group = error.square().unflatten(1, (-1, self.group_size)).mean(2)
            self.groups[name].append(by_group.transpose(0, 1))

    def add_change(self, activations: Float[Tensor, "site prompt point d_model"]) -> None:
        """Largest change of each site from the one before, relative to its root mean square."""
        scale = activations.square().mean((1, 2, 3)).sqrt().clamp(min=1e-30)
        change = activations.diff(dim=0).abs().amax((1, 2, 3)) / scale[1:]
        self.changes.append(torch.cat([torch.full((1,), torch.inf), change.float()]))

    def add_references(
        self,
        iterates: Mapping[str, Float[Tensor, "_step prompt point"]],
        readouts: Mapping[str, Readout],
        said: Float[Tensor, "site prompt point"],
        ys: Float[Tensor, "prompt point"],
        n_unseen: int = 1,
    ) -> None:
        """SimE of the layers with every iterate, and the iterates' errors at each point."""
        n_groups = len(ys) // self.group_size
        layers = {key: error_directions(said, ys, key, n_unseen) for _, key in self.compared}
        errors = rearrange(said - ys, "site prompt point -> point site prompt")
        for name, raw in iterates.items():
            both = {"raw": raw, "matched": _matched(raw, readouts[name])}
            for treatment, convention in self.compared:
                theirs = error_directions(both[treatment], ys, convention, n_unseen)
                similarity = group_similarity(layers[convention], theirs, n_groups)
                self.similarity[name, treatment, convention].append(similarity)
            if self.by_point:
                self._add_points(name, both, errors, ys)

    def _add_points(
        self,
        name: str,
        iterates: Mapping[str, Float[Tensor, "step prompt point"]],
        layers: Float[Tensor, "point site prompt"],
        ys: Float[Tensor, "prompt point"],
    ) -> None:
        """Squared errors of the iterates, and products of theirs with the layers'."""
        matched = iterates["matched"] - ys
        products = layers @ rearrange(matched, "step prompt point -> point prompt step")
        sums = {
            "product": rearrange(products, "point site step -> site step point"),
            "raw": (iterates["raw"] - ys).square_().sum(1),
            "matched": matched.square_().sum(1),
        }
        before = self.sums.get(name)
        self.sums[name] = {k: v + before[k] for k, v in sums.items()} if before else sums

    def scores(
        self,
        weights: Float[Tensor, "replicate group"],
        direct: Sequence[ExplainedVariance],
        sample: Sample,
    ) -> Scores:
        """Everything averaged over the prompts and under every row of weights."""
        groups = {key: average(torch.cat(parts), weights) for key, parts in self.groups.items()}
        r2: dict[tuple[str, str], Tensor] = {}
        for variance in direct:
            some = weights[:, : len(variance.count)]
            r2 |= variance.r2(torch.where(some.sum(1, keepdim=True) > 0, some, 1.0))
        n_prompts = weights.shape[1] * self.group_size
        squares = groups["layers"][0, :, None] * n_prompts  # [site, 1, point]
        return Scores(
            similarity={k: average(torch.cat(v), weights) for k, v in self.similarity.items()},
            direct=r2,
            point_similarity={
                name: sums["product"] / (squares * sums["matched"]).sqrt().clamp(min=1e-300)
                for name, sums in self.sums.items()
            },
            reference_error={name: sums["raw"] / n_prompts for name, sums in self.sums.items()},
            layer_error=groups["layers"],
            shuffled_error=groups["shuffled"],
            model_error=groups["model"][:, 0],
            target_square=groups["zero"][:, 0],
            change=torch.stack(self.changes).amax(0),
            n_groups=weights.shape[1],
            sample=sample,
        )


def _matched(
    iterates: Float[Tensor, "step prompt point"], readout: Readout
) -> Float[Tensor, "step prompt point"]:
    return iterates * readout.weight[:, :, 0, None] + readout.bias[:, :, None]
