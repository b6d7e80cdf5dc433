"""Noise that is a function of what it is added to, not of when or in which batch."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from hooks.architectures.prefix_segments import PrefixSegments

# Constants of splitmix64 (Steele, Lea and Flood 2014), as signed 64-bit integers.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


class PromptNoise:
    """Standard normal numbers for every layer and point of some prompts.

    Those of a point are a function of the seed, the layer, the pairs before the point and its own
    x (as float32), so they are the same whenever the prompt is seen and whatever follows the point.
    """

    def __init__(
        self,
        xs: Float[Tensor, "prompt point dim"],
        ys: Float[Tensor, "prompt point"],
        seed: int,
    ) -> None:
        self._keys = prefix_keys(xs, ys, seed)

    def at_points(self, layer: int, d_model: int) -> Float[Tensor, "d_model point prompt"]:
        """The noise of each point's own token."""
        points = torch.arange(self._keys.shape[1], device=self._keys.device)
        return _noise(self._keys, points, layer, d_model)

    def at_tokens(
        self, segments: PrefixSegments, layer: int, d_model: int
    ) -> Float[Tensor, "d_model token prompt"]:
        """The noise of every token of every segment; at queries, that of `at_points`."""
        segment = torch.repeat_interleave(torch.arange(1, segments.n_points + 1))
        points = segments.points.to(self._keys.device)
        return _noise(self._keys[:, segment], points, layer, d_model)


def prefix_keys(
    xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"], seed: int
) -> Int[Tensor, "prompt point"]:
    """A number for every point that depends on the pairs before it, on its own x, and on a seed."""
    x_bits = _mixed_sum(_bits(xs), 2 * seed)
    pair_bits = _mixed_sum(_bits(torch.cat([xs, ys[..., None]], dim=-1)), 2 * seed + 1)
    position = torch.arange(xs.shape[1], device=xs.device)
    pairs = _mix(pair_bits + _GOLDEN * position)
    return _mix(pairs.cumsum(dim=1) - pairs + _mix(x_bits + _GOLDEN * (position + 1)))


def _noise(
    keys: Int[Tensor, "prompt token"], points: Int[Tensor, " token"], layer: int, d_model: int
) -> Float[Tensor, "d_model token prompt"]:
    keys = _mix(_mix(keys + _GOLDEN * (points + 1)) + _wrapped(_GOLDEN * (layer + 1)))
    return rearrange(keyed_normal(keys, d_model), "prompt token d_model -> d_model token prompt")


def keyed_normal(keys: Int[Tensor, "*batch"], n: int) -> Float[Tensor, "*batch {n}"]:
    """`n` standard normal numbers for every key, in float32 (Box and Muller 1958)."""
    half = -(-n // 2)
    counter = torch.arange(1, half + 1, device=keys.device)
    bits = _mix(keys[..., None] + _GOLDEN * counter)
    high = (bits >> 32) & 0xFFFFFFFF
    radius = (-2 * ((high.float() + 0.5) * 2.0**-32).log()).sqrt()
    angle = (bits & 0xFFFFFF).float() * (2 * math.pi * 2.0**-24)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)[..., :n]


def _bits(values: Float[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    return values.to(torch.float32).contiguous().view(torch.int32).to(torch.int64)


def _mixed_sum(bits: Int[Tensor, "*batch n"], seed: int) -> Int[Tensor, "*batch"]:
    counter = torch.arange(1, bits.shape[-1] + 1, device=bits.device)
    return _mix(_mix(bits + _GOLDEN * counter) + _wrapped(_GOLDEN * seed)).sum(dim=-1)


def _mix(bits: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """The finaliser of splitmix64: every bit of the result depends on every bit given."""
    bits = (bits ^ _shifted(bits, 30)) * _MIX_1
    bits = (bits ^ _shifted(bits, 27)) * _MIX_2
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Int[Tensor, "*batch"], n: int) -> Int[Tensor, "*batch"]:
    return (bits >> n) & ((1 << (64 - n)) - 1)


def _wrapped(number: int) -> int:
    """A Python integer modulo 2^64, as a signed one."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)
