"""Models that run a known algorithm under known difficulties, to try probes on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.architectures.constructed import ConstructedModel, Sublayer, Target
from hooks.architectures.gd_exact import GDParts
from hooks.architectures.gdpp_exact import GDPPParts
from hooks.architectures.newton_exact import NewtonParts
from hooks.architectures.ogd_exact import OGDParts
from hooks.architectures.planted_config import PlantedConfig
from hooks.architectures.prefix_attention import call_hook
from hooks.architectures.prefix_segments import PrefixSegments, prefix_segments
from hooks.architectures.rotation import random_rotation, rotate_stream
from hooks.architectures.standard_prompts import standard_prompts
from hooks.architectures.stream_noise import PromptNoise


class PlantedBlock(nn.Module):
    """Hook points of a layer that is read at its end only."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_resid_pre = HookPoint()
        self.hook_resid_post = HookPoint()


class Planted(ConstructedModel):
    """A model that takes a known number of steps of a known algorithm in each layer.

    Built from the sub-layers of `NewtonExact`, `GDExact`, `GDPPExact` and `OGDExact`. A layer is as
    many of them as it takes steps; they share their weights. The first layer that does something
    also sets Newton up, and each ends with Newton's read-out, so that the stream holds x_t·w_k and
    phi_k(S) x_t of the same k (with `readable` false the read-out is only in the last one).

    Noise is normal, independent between coordinates, layers and points, of standard deviation
    `noise` times that of the noise-free stream at the prediction positions of the layer: the root
    mean square over coordinates, a constant of the model (buffer `noise_std`, measured on standard
    normal prompts or by `calibrate_noise`). It is a function of the seed, the layer and the
    prompt's content up to the point, so every pass over the same prompts sees the same noise, in
    whatever batches. As a rule it is in what hooks see at the prediction positions and in nothing
    that is computed; with `noise_enters` it is added at every token and what follows is computed
    from the result.
    """

    config: PlantedConfig
    site_kinds = ("resid_post", "resid_pre")

    def __init__(self, config: PlantedConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config, generator)
        self.sublayers.update(self._parts())
        blocks = [PlantedBlock() for _ in range(config.n_layers)]
        self.blocks = nn.ModuleList(blocks)
        self._hooks_after = [
            [block.hook_resid_post for block in blocks[layer - 1 : layer] if layer]
            + [block.hook_resid_pre for block in blocks[layer : layer + 1]]
            for layer in range(config.n_layers + 1)
        ]
        self.noise_std: Tensor
        self.register_buffer("noise_std", torch.zeros(config.n_layers + 1, dtype=torch.float64))
        if config.rotation_seed is not None:
            rotate_stream(self, random_rotation(config.d_model, config.rotation_seed))
        self.finish()
        if config.noise:
            self.calibrate_noise(*standard_prompts(config, 256))

    def _parts(self) -> dict[str, Sublayer]:
        config = self.config
        if config.algorithm == "newton":
            newton = NewtonParts(config, config.alpha)
            newton.set_ends(self)
            return {
                "set_up": newton.set_up(),
                "step": newton.iterate(readable=False),
                "read_out": newton.read_out(),
            }
        gd: GDParts | OGDParts
        if config.algorithm == "gd":
            gd = GDParts(config, config.eta)
        elif config.algorithm == "gdpp":
            gd = GDPPParts(config, config.eta, config.gamma)
        else:
            gd = OGDParts(config)
        gd.set_ends(self)
        return {"step": gd.step()}

    def schedule(self) -> Iterator[tuple[str, ...]]:
        """The names of the sub-layers of each layer."""
        config = self.config
        active = [layer for layer, is_active in enumerate(config.is_active) if is_active]
        for layer in range(config.n_layers):
            names = ["step"] * (config.iterations_per_layer if layer in active else 0)
            if config.algorithm == "newton" and layer == active[0]:
                names.insert(0, "set_up")
            reads_out = config.readable or layer == active[-1]
            if config.algorithm == "newton" and layer in active and reads_out:
                names.append("read_out")
            yield tuple(names)

    def steps_done(self, target: Target = "prediction") -> Float[Tensor, " layer"]:
        schedule = [(), *self.schedule()]
        steps = torch.tensor([float(names.count("step")) for names in schedule]).cumsum(0)
        steps = steps.to(torch.float64)
        if self.config.algorithm == "newton":
            needed = "set_up" if target == "filtered_query" else "read_out"
            ready = torch.tensor([needed in names for names in schedule]).cumsum(0) > 0
            return torch.where(ready, steps, torch.nan)
        if self.config.algorithm == "ogd":
            steps = steps.clamp(max=1)
        return steps if target == "prediction" else torch.full_like(steps, torch.nan)

    @torch.no_grad()
    def calibrate_noise(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> None:
        """Takes the stream's standard deviation from these prompts, for noise relative to it."""
        segments = prefix_segments(xs.shape[1])
        for layer, resid in enumerate(self._clean_streams(self.embed(xs, ys, segments), segments)):
            queries = resid[:, segments.query_tokens]
            self.noise_std[layer] = queries.var(dim=(1, 2)).mean().sqrt()

    def _clean_streams(
        self, resid: Float[Tensor, "d_model token prompt"], segments: PrefixSegments
    ) -> Iterator[Float[Tensor, "d_model token prompt"]]:
        yield resid
        for names in self.schedule():
            resid = self._run_layer(resid, names, segments)
            yield resid

    def _run_layer(
        self,
        resid: Float[Tensor, "d_model token prompt"],
        names: tuple[str, ...],
        segments: PrefixSegments,
    ) -> Float[Tensor, "d_model token prompt"]:
        for name, times in groupby(names):
            resid = self.sublayers[name](resid, segments, len(list(times)))
        return resid

    def run_layers(
        self, resid: Float[Tensor, "d_model token prompt"], segments: PrefixSegments
    ) -> Float[Tensor, "d_model token prompt"]:
        return self._run(resid, segments, None)

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        if not self.config.noise:
            return super().forward(xs, ys)
        self.check_prompts(xs, ys)
        segments = prefix_segments(xs.shape[1])
        noise = PromptNoise(xs, ys, self.config.noise_seed)
        return self.read_out(self._run(self.embed(xs, ys, segments), segments, noise), segments)

    def _run(
        self,
        resid: Float[Tensor, "d_model token prompt"],
        segments: PrefixSegments,
        noise: PromptNoise | None,
    ) -> Float[Tensor, "d_model token prompt"]:
        for layer, names in enumerate([(), *self.schedule()]):
            resid = self._run_layer(resid, names, segments)
            added = self._noise(noise, layer, resid, segments) if noise else None
            resid = resid if added is None else resid + added
            for hook in self._hooks_after[layer]:
                resid = call_hook(hook, resid)
            if added is not None and not self.config.noise_enters:
                resid = resid - added
        return resid

    def _noise(
        self,
        noise: PromptNoise,
        layer: int,
        resid: Float[Tensor, "d_model token prompt"],
        segments: PrefixSegments,
    ) -> Float[Tensor, "d_model token prompt"]:
        d_model, std = self.config.d_model, self.config.noise * self.noise_std[layer]
        if self.config.noise_enters:
            return std * noise.at_tokens(segments, layer, d_model).to(resid)
        added = torch.zeros_like(resid)
        added[:, segments.query_tokens] = std * noise.at_points(layer, d_model).to(resid)
        return added


def build_planted(**dials: Any) -> Planted:
    """Builds a planted model, in evaluation mode, for prompts of standard normal x.

    Args:
        **dials: Fields of `PlantedConfig`.

    Raises:
        ValueError: A field that there is not, or a value that it cannot have.
    """
    if unknown := sorted(set(dials) - set(PlantedConfig.__dataclass_fields__)):
        raise ValueError(
            f"there is no dial {', '.join(unknown)}; there are "
            f"{', '.join(sorted(PlantedConfig.__dataclass_fields__))}"
        )
    model = Planted(PlantedConfig(**dials)).eval()
    model.provenance = {"planted": model.describe(), "task": model.config.task()}
    return model


def truth(model: ConstructedModel, target: Target = "prediction") -> Float[Tensor, " layer"]:
    """Steps that each layer of a constructed model's stream holds, see `steps_done`."""
    return model.steps_done(target)
