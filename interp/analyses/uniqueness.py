"""What only one of the references explains, and where the two best disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.scoring.layer_matches import own_readouts
from interp.scoring.scores import Matching, Sample
from interp.scoring.tables import BOUNDS, Arrangement
from probes.candidate import Candidate, select
from probes.controls.unique_variance import unique_variance
from probes.disagreement import similarity_by_disagreement
from probes.references.divergence import bounded

N_PROMPTS = 512
"""Prompts that are looked at one by one."""
N_REPLICATES = 200
N_PARTS = 4


@dataclass(frozen=True)
class Rivals:
    """One reference of each family at its best step for every layer, beside the layers."""

    names: tuple[str, ...]
    """The member of each family that is most like the layers; retained families come first, then
    the most similar one."""
    ys: Float[Tensor, "prompt point"]
    n_unseen: int
    """Leading points that have seen no pair."""
    layers: Float[Tensor, "layer prompt point"]
    """What the layers' read-outs say, at the sites of the first kind."""
    predictions: Float[Tensor, "rival layer prompt point"]
    """Of those references, with a read-out of their own if the layers are matched with such."""

    @classmethod
    def of(
        cls,
        sample: Sample,
        comparisons: Sequence[Candidate],
        tables: Mapping[str, xarray.Dataset],
        readout: Matching,
        retained: Sequence[str],
    ) -> Rivals:
        """Takes the best steps from the tables of `interp.scoring.tables.reference_table`."""
        stepping = [item for item in comparisons if item.has_steps]
        closeness = {
            item.name: float(tables[item.name].best_similarity.isel(site=0).mean())
            for item in stepping
        }
        ranked = sorted(
            stepping, key=lambda item: (item.family not in retained, -closeness[item.name])
        )
        best: dict[str, str] = {}
        for item in ranked:
            best.setdefault(item.family, item.name)
        prefixes = sample.prefixes.part(0, N_PROMPTS)
        ys = prefixes.ys
        predictions = []
        for name in best.values():
            reference = select(comparisons, name).reference
            table = tables[name].isel(site=0)
            steps = table.best_step if reference.takes_real_steps else table.whole_best_step
            iterates = reference.predictions(prefixes, steps.dropna("layer").values)
            predictions.append(bounded(iterates))
        if readout == "matched":
            predictions = [own_readouts(iterates, ys) for iterates in predictions]
        rivals = torch.stack(predictions)
        said = sample.said[: rivals.shape[1], :N_PROMPTS]
        return cls(tuple(best.values()), ys, prefixes.n_unseen, said, rivals)


def unique_variables(rivals: Rivals, place: Arrangement) -> dict[str, dict[str, Any]]:
    """Variance of the layers that only one family explains, as variables by reference.

    `unique_r2` is the R^2 of the layer's prediction on the reference at its best step after every
    other family's best member at its own best step is partialled out, rejected ones among them;
    `unique_share` the same as a part of all the layer's variance. See
    `probes.controls.unique_variance`.
    """
    found = unique_variance(
        rivals.layers[..., rivals.n_unseen :],
        rivals.predictions.movedim(0, 1)[..., rivals.n_unseen :],
        n_replicates=N_REPLICATES,
    )
    return {
        name: {
            "unique_r2": place(found.r2[:, index]),
            "unique_r2_interval": place(found.interval[..., index].T, "bound"),
            "unique_share": place(found.share[:, index]),
        }
        for index, name in enumerate(rivals.names)
    }


def disagreement_variables(rivals: Rivals, layers: xarray.Dataset) -> dict[str, Any]:
    """Similarity with the two best families where they disagree, as variables of layers.

    See `probes.disagreement`; nothing for a single family.
    """
    if len(rivals.names) < 2:
        return {}
    found = similarity_by_disagreement(
        rivals.layers,
        rivals.predictions[:2],
        rivals.ys,
        n_parts=N_PARTS,
        n_replicates=N_REPLICATES,
        n_unseen=rivals.n_unseen,
    )
    own = layers.layer.values[: rivals.layers.shape[0]]
    table = xarray.Dataset(
        {
            "rival_disagreement": (("layer", "part"), found.disagreement.numpy()),
            "rival_similarity": (("rival", "layer", "part"), found.similarity.numpy()),
            "rival_margin": (("layer", "part"), found.margin.numpy()),
            "rival_margin_interval": (("bound", "layer", "part"), found.margin_interval.numpy()),
            "rival_point_similarity": (("rival", "layer", "point"), found.at_points.numpy()),
        },
        {
            "rival": list(rivals.names[:2]),
            "layer": own,
            "part": [f"{index + 1} of {N_PARTS}" for index in range(N_PARTS)],
            "bound": list(BOUNDS),
            "point": layers.point.values,
        },
    )
    reindexed = table.reindex(layer=layers.layer)
    return {str(name): reindexed[name] for name in reindexed.data_vars}
