"""The match curve of a model whose computation is being changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from interp.analyses.comparisons import Comparison
from probes.duel import read_out
from probes.matching import Match, best_match
from probes.readout import Readout
from probes.references import Prefixes
from probes.similarity import error_directions


class CurveReader:
    """Compares layers with references by read-outs that were fitted on the model left alone.

    A read-out that keeps its direction finds what a change did to the quantity that it reads; one
    fitted anew would find whatever is left of it anywhere. Its scale is fitted anew, as that of
    every iterate is on the same prompts: a layer that fell back by a step holds an iterate that is
    shorter, and the old scale would show it as further back.
    """

    def __init__(self, readout: Readout, comparisons: Sequence[Comparison]) -> None:
        """Takes read-outs of y from every layer, and the references to compare them with."""
        self.readout = readout
        self.comparisons = tuple(comparisons)

    def iterates(self, prefixes: Prefixes) -> dict[str, Float[Tensor, "_step prompt point"]]:
        """Error directions of every reference's iterates."""
        ys = prefixes.ys
        return {
            item.name: error_directions(
                read_out(item.reference.predictions(prefixes, item.grid.steps), ys), ys
            )
            for item in self.comparisons
        }

    def cosines(
        self,
        activations: Float[Tensor, "layer prompt point d_model"],
        ys: Float[Tensor, "prompt point"],
        iterates: Mapping[str, Float[Tensor, "_step prompt scored_point"]],
    ) -> dict[str, Float[Tensor, "prompt layer _step"]]:
        """Cosines of the errors of layers and iterates on every prompt, by reference.

        Raises:
            ValueError: What a layer's read-out says is not finite.
        """
        layers = error_directions(read_out(self.readout(activations)[..., 0], ys), ys)
        return {
            name: einsum(
                layers, theirs, "layer prompt point, step prompt point -> prompt layer step"
            )
            for name, theirs in iterates.items()
        }

    def match(self, name: str, similarity: Float[Tensor, "*batch layer _step"]) -> Match:
        """Best-matching steps of one reference; NaN where a similarity is."""
        grid = next(item.grid for item in self.comparisons if item.name == name)
        is_missing = similarity.isnan().any(-1)
        found = best_match(torch.nan_to_num(similarity), grid)
        steps, whole, height = (
            torch.where(is_missing, torch.nan, part)
            for part in (found.step, found.whole_step, found.similarity)
        )
        return Match(steps, whole, height)
