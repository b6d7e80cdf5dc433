"""A model like another but with random weights, to see what probes find without learning."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from hooks.architectures import architecture_of, build_model
from hooks.architectures.constructed import ConstructedModel
from hooks.architectures.planted import Planted
from hooks.architectures.prefix_attention import PrefixAttention
from hooks.architectures.rectified_mlp import RectifiedMLP
from hooks.architectures.standard_prompts import standard_prompts
from hooks.foreign import own_model
from hooks.model import SequenceModel

LARGEST_GROWTH = 10.0
"""How many times as large as what enters the first layer a randomised stream may become, …"""
INPUT_SCALE = 3.0
"""… on standard normal prompts that are this much larger: on ordinary ones it is then far less."""


def randomised_twin(model: SequenceModel, seed: int) -> SequenceModel:
    """The same architecture and configuration with fresh random weights.

    An architecture that is trained gets its own initialisation. A constructed model gets normal
    weights, each matrix with the norm of the one that it replaces. As random attention of that size
    would feed on itself from layer to layer, what the layers write is quartered until the stream
    stays small (`LARGEST_GROWTH`) even on large prompts (`INPUT_SCALE`).

    Args:
        model: Stays as it is.
        seed: The same seed gives the same twin.

    Returns:
        A model in evaluation mode, of the same precision and on the same device. Its provenance is
        the model's task and `randomised`, the seed.

    Raises:
        ValueError: The model's architecture is not a registered one, so cannot be built again.
    """
    model = own_model(model)
    twin = build_model(architecture_of(model), model.describe(), seed=seed)
    if isinstance(twin, ConstructedModel):
        twin.load_state_dict(model.state_dict())
        _randomise(twin, torch.Generator().manual_seed(seed))
    twin.provenance = {key: value for key, value in model.provenance.items() if key == "task"} | {
        "randomised": seed
    }
    return twin.to(model.device, model.dtype).eval()


@torch.no_grad()
def _randomise(model: ConstructedModel, generator: torch.Generator) -> None:
    for weight in model.parameters():
        noise = torch.randn(weight.shape, dtype=torch.float64, generator=generator)
        weight.copy_(noise * (weight.norm() / noise.norm()))
    while _growth(model) > LARGEST_GROWTH:
        for module in model.modules():
            if isinstance(module, PrefixAttention):
                module.W_O.mul_(0.25)
            elif isinstance(module, RectifiedMLP):
                module.W_out.mul_(0.25)
    if isinstance(model, Planted):
        model.calibrate_noise(*standard_prompts(model.config, 32))


def _growth(model: ConstructedModel) -> float:
    """Root mean square of the largest stream, in those of the first; infinite where it diverges."""
    sizes: list[Tensor] = []

    def measure(activations: Tensor, *, hook: HookPoint) -> None:  # noqa: ARG001
        sizes.append(activations.double().square().mean().sqrt())

    names = [model.hook_name(site) for site in model.sites()]
    xs, ys = (INPUT_SCALE * values for values in standard_prompts(model.config, 32))
    model.run_with_hooks(xs, ys, fwd_hooks=[(name, measure) for name in names])
    growth = float((torch.stack(sizes) / sizes[0]).max())
    return torch.inf if math.isnan(growth) else growth
