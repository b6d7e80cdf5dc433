"""Models of calibration cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hooks.architectures.planted import Planted, build_planted
from hooks.model import SequenceModel
from hooks.randomised_twin import randomised_twin
from interp.studies.calibration.cell import Cell
from probes.controls.shuffles import derangement, shuffle_pairs


def planted(cell: Cell) -> Planted:
    """What a cell plants, rotation and noise included, in prompts of 2 d pairs and a point.

    It is the same for every seed and every number of prompts, so that cells of one model can be
    compared.
    """
    return build_planted(
        algorithm=cell.algorithm,
        iterations_per_layer=cell.iterations_per_layer,
        n_dims=cell.n_dims,
        n_points=2 * cell.n_dims + 1,
        n_layers=cell.n_layers,
        noise=cell.noise,
        noise_seed=cell.model_seed,
        rotation_seed=cell.model_seed if cell.is_rotated else None,
        dtype="float64",
    )


def build(cell: Cell, seed: int) -> SequenceModel:
    """The model of a cell: what is planted, or the control made from it with a seed."""
    model = planted(cell)
    if cell.control == "random weights":
        return randomised_twin(model, seed)
    if cell.control in _REORDERINGS:
        reorder = _REORDERINGS[cell.control]

        def before(_: nn.Module, prompts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return reorder(*prompts, torch.Generator().manual_seed(seed))

        model.register_forward_pre_hook(before)
    return model


def _shuffled_pairs(xs: Tensor, ys: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return xs, shuffle_pairs(ys, generator)


def _exchanged_prompts(xs: Tensor, ys: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    order = derangement(len(ys), generator)
    return xs[order], ys[order]


_REORDERINGS = {"shuffled pairs": _shuffled_pairs, "exchanged prompts": _exchanged_prompts}
