"""Patching: activations of one run put into another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from hooks.inference import inference, on_device_of
from hooks.interventions.ablation import check_head, head_of
from hooks.interventions.intervention import ForwardHooks, Intervention
from hooks.model import SequenceModel
from hooks.sites import Site


def record(
    model: SequenceModel,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    sites: Sequence[Site],
) -> dict[Site, Tensor]:
    """What the hooks of some sites see of these prompts, as they see it, to patch in elsewhere.

    `hooks.capture` is for reading activations; this keeps every token, heads apart, without norms.

    Args:
        model: The model, whose hooks and interventions in force are part of the run.
        xs: Inputs.
        ys: Outputs.
        sites: Where to read.

    Returns:
        Activations `[prompt, token, *width]` by site.

    Raises:
        ValueError: The model lacks a site, the prompts do not fit it, or it runs prefix by prefix.
    """
    model.check_prompts(xs, ys)
    seen: dict[Site, Tensor] = {}

    def reader(site: Site) -> Callable[..., None]:
        def read(activation: Tensor, *, hook: HookPoint) -> None:  # noqa: ARG001
            if site in seen:
                raise ValueError(
                    f"site {site} is reached more than once in a pass: a model that is run prefix "
                    "by prefix cannot be patched; attach it with causal=True, if its predictions "
                    "see nothing that comes after them"
                )
            seen[site] = activation.detach().clone()

        return read

    with (
        inference(model),
        model.hooks(fwd_hooks=[(model.hook_name(site), reader(site)) for site in sites]),
    ):
        model(on_device_of(model, xs), on_device_of(model, ys))
    with torch.inference_mode(False):
        return {site: activation.clone() for site, activation in seen.items()}


@dataclass(frozen=True, eq=False)
class Patch(Intervention):
    """Replaces activations of a site by those of another run, as `record` gives them."""

    site: Site
    activations: Float[Tensor, "prompt token *width"]
    points: Sequence[int] | None = None
    """At which points' prediction positions; at all tokens by default."""
    head: int | None = None
    """Which head, counted from 0; only for sites of kind `z`."""

    def __post_init__(self) -> None:
        check_head(self.site, self.head)

    def hooks(self, model: SequenceModel) -> ForwardHooks:
        def patch(activation: Tensor, *, hook: HookPoint) -> Tensor:  # noqa: ARG001
            check_shape("activations", self.activations, activation, self.site)
            tokens = torch.arange(activation.shape[1], device=activation.device)
            if self.points is not None:
                tokens = self._tokens(model, tokens)
            new = self.activations.to(activation)
            changed = activation.clone()
            if self.head is None:
                changed[:, tokens] = new[:, tokens]
            else:
                head_of(activation, self.site, self.head)
                changed[:, tokens, self.head] = new[:, tokens, self.head]
            return changed

        return [(model.hook_name(self.site), patch)]

    def _tokens(self, model: SequenceModel, tokens: Tensor) -> Tensor:
        n_points = len(tokens) if self.points is None else max(self.points, default=0) + 1
        longest = model.config.n_points
        if self.points is None or not all(0 <= point < longest for point in self.points):
            raise ValueError(f"points must be in 0..{longest - 1}, got {self.points}")
        return tokens[model.prediction_tokens(n_points)][list(self.points)]


def check_shape(name: str, given: Tensor, activation: Tensor, site: Site) -> None:
    """Raises a `ValueError` unless an argument has the shape of what the site's hook sees."""
    if given.shape != activation.shape:
        raise ValueError(
            f"{name} must be {list(activation.shape)} at site {site}, the shape of what is there "
            f"in this run, got {list(given.shape)}"
        )
