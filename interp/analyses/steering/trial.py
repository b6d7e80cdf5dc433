"""Prompts on which layers are moved from one iterate to another, one move at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hooks.finite import check_finite
from hooks.inference import predict
from hooks.interventions import Shift, intervene, record
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.steering.iterate_readouts import IterateKind, IterateReadouts
from interp.analyses.steering.token_positions import TokenPositions, values_at
from interp.tasks import Prompts
from probes.references import Prefixes
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

DIRECTIONS = ("read-out", "random", "shuffled targets")
"""Where activations are moved: along the read-out of the iterate; as far at every token along
directions drawn at random; as far along the read-out of other prompts' iterates, fitted alike. In a
narrow stream the last has by chance much in common with the first."""
N_REPLICATES = 400


class SteeringTrial:
    """The prompts that are steered, and what the model makes of them by itself."""

    def __init__(
        self,
        model: SequenceModel,
        prompts: Prompts,
        roles: Sequence[TokenPositions],
        *,
        min_r2: float,
        level: float,
        seed: int,
    ) -> None:
        """Runs the model once, unchanged.

        Args:
            model: A model whose hooks see all tokens of a prompt in one pass.
            prompts: What is steered.
            roles: The tokens that are moved, queries first.
            min_r2: Layers and tokens that hold an iterate less well are left alone.
            level: Of the intervals.
            seed: Of random directions and resampled prompts.

        Raises:
            NonFiniteError: A prediction is NaN or infinite.
        """
        self.model, self.roles, self.min_r2, self.level = model, roles, min_r2, level
        self.xs, self.ys, _ = prompts
        self.generator = torch.Generator().manual_seed(seed)
        self.prefixes = Prefixes(self.xs, self.ys)
        first = Site(0)
        self.stream_shape = record(model, self.xs, self.ys, [first])[first].shape
        self.plain = self._predict()
        self.weights = bootstrap_weights(len(self.xs), N_REPLICATES, seed, with_original=True)
        self._grids: dict[str, tuple[list[float], Tensor, float]] = {}

    def _predict(self, *shifts: Shift) -> Float[Tensor, "prompt point"]:
        with intervene(self.model, *shifts):
            predictions = predict(self.model, self.xs, self.ys, len(self.xs))
        if not shifts:
            check_finite(predictions, "predictions")
        return predictions

    def _grid(
        self, pair: IterateKind
    ) -> tuple[list[float], Float[Tensor, "step prompt point"], float]:
        """Iterates' predictions, and the step whose are most like the model's own."""
        name = pair.comparison.name
        if name not in self._grids:
            steps = IterateKind(pair.comparison, "prediction").steps
            iterates = pair.comparison.reference.predictions(self.prefixes, steps)
            nearest = (iterates - self.plain).square().sum((1, 2)).argmin()
            self._grids[name] = steps, iterates, steps[int(nearest)]
        return self._grids[name]

    def final_step(self, pair: IterateKind) -> float:
        """The step whose predictions are most like those of the model left alone."""
        return self._grid(pair)[2]

    def run(
        self, pair: IterateKind, readouts: IterateReadouts, layer: int, to_layer: int
    ) -> dict[str, Any]:
        """Steers one layer to the iterate of another.

        Empty if either holds none, or the same; or if iterates have converged on so many of the
        prompts that the jump changes no prediction on some resample of them.
        """
        if not 0 <= to_layer <= self.model.n_layers:
            return {}
        is_held = readouts.r2[0] >= self.min_r2
        before, after = readouts.steps[layer].item(), readouts.steps[to_layer].item()
        if not (is_held[layer] and is_held[to_layer]) or before == after:
            return {}
        steps, iterates, final = self._grid(pair)
        predicted_step = max(final + after - before, 0.0)
        reference = pair.comparison.reference
        ends = reference.predictions(self.prefixes, [final, predicted_step, before, after])
        changes = ends[1] - ends[0], ends[3] - ends[2]
        sizes = torch.stack([expected.square().sum(1) for expected in changes], 1)
        if bool((self.weights @ sizes == 0).any()):
            return {}
        scores = []
        for shift in self._shifts(pair, readouts, layer, before, after):
            change = self._predict(Shift(Site(layer), shift)) - self.plain
            if not change.isfinite().all():
                scores.append((np.nan, np.full(2, np.nan), *[np.nan] * 3))
                continue
            continuation, bounds, cosine = self._compare(change, changes[0])
            carried, _, _ = self._compare(change, changes[1])
            reached = (iterates - ends[0] - change).square().sum((1, 2)).argmin()
            scores.append((continuation, bounds, cosine, carried, steps[int(reached)]))
        columns = [np.array(column) for column in zip(*scores, strict=True)]
        names = ("continuation", "continuation_interval", "cosine", "carried", "reached_step")
        return {
            "steered_to": after,
            "predicted_step": predicted_step,
            **dict(zip(names, columns, strict=True)),
        }

    def _compare(
        self, change: Float[Tensor, "prompt point"], expected: Float[Tensor, "prompt point"]
    ) -> tuple[float, np.ndarray, float]:
        """How much of an expected change happened, with its interval, and their cosine."""
        along = (change * expected).sum(1)
        size = expected.square().sum(1)
        ratios = (self.weights @ along) / (self.weights @ size)
        bounds = bootstrap_interval(ratios[1:], self.level, n_groups=len(self.xs))
        moved = change.square().sum() * size.sum()
        cosine = (along.sum() / moved.sqrt()).item() if moved > 0 else 0.0
        return ratios[0].item(), bounds.numpy(), cosine

    def _shifts(
        self, pair: IterateKind, readouts: IterateReadouts, layer: int, before: float, after: float
    ) -> list[Float[Tensor, "prompt token d_model"]]:
        """What is added to the stream, for each of `DIRECTIONS`."""
        shifts = [torch.zeros(self.stream_shape, dtype=torch.float64) for _ in DIRECTIONS]
        for index, role in enumerate(self.roles):
            if readouts.r2[index, layer] < self.min_r2:
                continue
            low, high = sorted((before, after))
            values = values_at(
                role, pair.target, pair.comparison.reference, self.prefixes, [low, high]
            )
            wanted = (values[1] - values[0]) * (1 if after > before else -1)
            weight = readouts.weights[index][layer]
            amount = wanted @ _inverse(weight)
            size = amount.norm(dim=-1, keepdim=True)
            random = torch.randn(amount.shape, dtype=torch.float64, generator=self.generator)
            others = wanted @ _inverse(readouts.shuffled[index][layer])
            for shift, direction in zip(shifts, (amount, random, others), strict=True):
                length = direction.norm(dim=-1, keepdim=True)
                safe = torch.where(length > 0, length, 1.0)
                shift[:, role.tokens] = direction * size / safe
        return shifts


def _inverse(weight: Float[Tensor, "d width"]) -> Float[Tensor, "width d"]:
    """The smallest change of activations that a read-out sees as a given change of its target."""
    return torch.linalg.pinv(weight, rtol=1e-6)
