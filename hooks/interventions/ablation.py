"""Ablation: a site, or one head of it, made independent of the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from hooks.interventions.intervention import ForwardHooks, Intervention
from hooks.model import SequenceModel
from hooks.sites import Site

Method = Literal["zero", "mean", "resample"]
"""What replaces an activation: 0, its mean over the prompts of the batch at the same token, or
that of another prompt of the batch, drawn at random, at the same token."""

METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Ablate(Intervention):
    """Replaces the activations of a site, such as `attn_out` or `mlp_out`, or of a head of `z`.

    Mean and resample ablation keep what prompts share, so that later layers see activations they
    know (resample: Chan et al. 2022, "Causal scrubbing").
    """

    site: Site
    method: Method = "zero"
    head: int | None = None
    """Which head, counted from 0; only for sites of kind `z`."""
    seed: int = 0
    """Decides which other prompt stands in for each one."""

    def __post_init__(self) -> None:
        check_method(self.method)
        check_head(self.site, self.head)

    def hooks(self, model: SequenceModel) -> ForwardHooks:
        def ablate(activation: Tensor, *, hook: HookPoint) -> Tensor:  # noqa: ARG001
            if self.head is None:
                return replacement(activation, self.method, self.seed)
            part = head_of(activation, self.site, self.head)
            changed = activation.clone()
            changed[:, :, self.head] = replacement(part, self.method, self.seed)
            return changed

        return [(model.hook_name(self.site), ablate)]


def check_method(method: str) -> None:
    """Raises a `ValueError` unless it is one of `METHODS`."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")


def check_head(site: Site, head: int | None) -> None:
    """Raises a `ValueError` unless a head can be meant at this site."""
    if head is not None and site.kind != "z":
        raise ValueError(f"head must be None at site {site}: only sites of kind 'z' have heads")
    if head is not None and head < 0:
        raise ValueError(f"head must be at least 0, got {head}")


def head_of(
    activation: Float[Tensor, "prompt token head d"], site: Site, head: int
) -> Float[Tensor, "prompt token d"]:
    """One head's part of what the hook of a `z` site sees.

    Raises:
        ValueError: There is no such head.
    """
    n_heads = activation.shape[2]
    if head >= n_heads:
        raise ValueError(f"head must be in 0..{n_heads - 1} at site {site}, got {head}")
    return activation[:, :, head]


def replacement(
    activation: Float[Tensor, "prompt *rest"], method: Method, seed: int
) -> Float[Tensor, "prompt *rest"]:
    """The replacement of an activation.

    Raises:
        ValueError: Fewer than two prompts, of which none has another to be replaced by.
    """
    if method == "zero":
        return torch.zeros_like(activation)
    if len(activation) < 2:
        raise ValueError(f"{method} ablation needs a batch of at least 2 prompts, got 1")
    if method == "mean":
        return activation.mean(0, keepdim=True).expand_as(activation)
    return activation[other_prompts(len(activation), seed).to(activation.device)]


def other_prompts(n_prompts: int, seed: int) -> Int[Tensor, " prompt"]:
    """Another prompt for each one, drawn as one random cycle through all of them."""
    cycle = torch.randperm(n_prompts, generator=torch.Generator().manual_seed(seed))
    others = torch.empty_like(cycle)
    others[cycle] = cycle.roll(1)
    return others
