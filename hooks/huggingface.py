"""Hugging Face backbones between a read-in of prompts and a read-out of predictions."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from hooks.checkpoints.transformers_logging import quiet_transformers
from hooks.foreign import unwrapped
from hooks.model import ModelConfig, SequenceModel
from hooks.tokens import make_tokens
from hooks.wiring import check_wiring

with quiet_transformers():
    from transformer_lens.model_bridge.sources import build_bridge_from_module

_KINDS = ("resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out", "mixer_out", "z")


class HuggingFaceModel(SequenceModel):
    """A causal language model's backbone, hooked by TransformerLens's `TransformerBridge`.

    Prompts are tokens x_1, y_1, x_2, y_2, … as for our GPT-2; the token embedding and the
    unembedding take no part. Hooks have the bridge's names, TransformerLens's aliases included;
    `model.bridge` is the bridge itself.
    """

    def __init__(
        self, bridge: Any, read_in: nn.Module, read_out: nn.Module, n_dims: int, n_points: int
    ) -> None:
        n_layers = len(bridge.blocks)
        super().__init__(ModelConfig(n_dims, n_points, n_layers, d_model=bridge.cfg.d_model))
        self.hook_dict = dict(bridge.hook_dict)
        self.mod_dict = dict(self.hook_dict)
        self.site_kinds = tuple(
            kind
            for kind in _KINDS
            if all(self._hook_name_in(layer, kind) in self.hook_dict for layer in range(n_layers))
        )
        self.backbone: PreTrainedModel = bridge.original_model.base_model
        self.backbone.config.use_cache = False
        self.read_in, self.read_out = read_in, read_out
        self.__dict__["bridge"] = bridge  # its modules are those of the backbone already

    @staticmethod
    def _hook_name_in(layer: int, kind: str) -> str:
        return f"blocks.{layer}.{'attn.' if kind == 'z' else ''}hook_{kind}"

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        self.check_prompts(xs, ys)
        tokens = make_tokens("interleaved", xs.to(self.dtype), ys.to(self.dtype))
        hidden = self.backbone(inputs_embeds=self.read_in(tokens)).last_hidden_state
        return self.read_out(hidden)[:, self.prediction_tokens(xs.shape[1]), 0]

    def final_norm(
        self, activations: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        norm = getattr(self.bridge, "ln_final", None)
        return activations if norm is None else norm.original_component(activations)

    @property
    def bridge(self) -> Any:
        """The TransformerLens bridge around the backbone."""
        return self.__dict__["bridge"]


def wrap_huggingface(
    model: PreTrainedModel,
    *,
    n_dims: int,
    n_points: int,
    read_in: nn.Module | None = None,
    read_out: nn.Module | None = None,
    seed: int = 0,
) -> HuggingFaceModel:
    """Gives a Hugging Face model the interface of our own models, offline.

    Args:
        model: A causal language model or its backbone, such as `GPT2Model`, `LlamaForCausalLM`,
            `MambaForCausalLM`. It is copied, because the bridge replaces modules inside of it.
        n_dims: Dimension of each x.
        n_points: Longest prompt, in (x, y) pairs; two positions a pair.
        read_in: Maps tokens [prompt, token, n_dims] to [prompt, token, d_model]; None for a
            random affine map, to be trained (`train_ends`).
        read_out: Maps [prompt, token, d_model] to [prompt, token, 1]; None as before.
        seed: Of the random maps.

    Warns:
        UserWarning: The bridge runs on copies of weights, as of a GPT-NeoX's joint queries, keys
            and values; training has to come before wrapping then.

    Raises:
        ValueError: The bridge does not know the architecture (then `hooks.attach` is the way),
            the model has too few positions, or a map has other sizes.
        WiringError: The model is not causal, as a BERT that is no decoder.
    """
    model = unwrapped(model)
    language_model = _with_head(copy.deepcopy(model))
    n_positions = getattr(model.config, "max_position_embeddings", None)
    if n_positions is not None and n_positions < 2 * n_points:
        raise ValueError(
            f"n_points={n_points} needs {2 * n_points} positions, the model has {n_positions}"
        )
    storages = _storages(language_model)
    try:
        with quiet_transformers():
            bridge = build_bridge_from_module(
                language_model, type(language_model).__name__, hf_config=language_model.config
            )
    except (ValueError, AttributeError, KeyError, NotImplementedError) as error:
        raise ValueError(
            f"TransformerBridge cannot wrap {type(language_model).__name__} ({error}); "
            "hooks.attach reads any module by the names of its layers"
        ) from error
    if not _storages(bridge.original_model) <= storages:
        warnings.warn(
            f"TransformerBridge runs a {type(language_model).__name__} on copies of some of its "
            "weights: train it before wrapping it, as save_huggingface cannot save training after",
            stacklevel=2,
        )
    d_model = bridge.cfg.d_model
    weight = next(model.parameters())
    generator = torch.Generator().manual_seed(seed)
    if read_in is None:
        read_in = _random_linear(n_dims, d_model, generator).to(weight)
    if read_out is None:
        read_out = _random_linear(d_model, 1, generator).to(weight)
    _check_end("read_in", read_in, n_dims, d_model, weight)
    _check_end("read_out", read_out, d_model, 1, weight)
    wrapped = HuggingFaceModel(bridge, read_in, read_out, n_dims, n_points)
    wrapped.provenance = {"format": "Hugging Face", "architecture": type(model).__name__}
    check_wiring(wrapped.eval())
    wrapped.is_wiring_checked = True
    return wrapped


def train_ends(
    model: HuggingFaceModel, prompts: Iterable[Any], *, learning_rate: float = 1e-3
) -> list[float]:
    """Trains read-in and read-out with Adam on a frozen backbone.

    Args:
        model: Changed in place, its backbone excepted.
        prompts: Batches that start with xs and ys; one step is taken for each.
        learning_rate: Adam's.

    Returns:
        The mean squared error of every batch, before its step.
    """
    parameters = [*model.read_in.parameters(), *model.read_out.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate)
    losses = []
    for batch in prompts:
        xs, ys = batch[0].to(model.device), batch[1].to(model.device, model.dtype)
        loss = (model(xs, ys) - ys).square().mean()
        gradients = torch.autograd.grad(loss, parameters)  # none is left in the backbone
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimiser.step()
        losses.append(loss.item())
    optimiser.zero_grad()
    return losses


def _storages(model: nn.Module) -> set[int]:
    return {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}


def _with_head(model: PreTrainedModel) -> PreTrainedModel:
    """The bridge knows models by their language modelling class; the head is never used."""
    if model.base_model is not model:
        return model
    with torch.random.fork_rng([]):
        language_model = AutoModelForCausalLM.from_config(model.config)
    setattr(language_model, language_model.base_model_prefix, model)
    return language_model


def _random_linear(width_in: int, width_out: int, generator: torch.Generator) -> nn.Linear:
    with torch.random.fork_rng([]):
        linear = nn.Linear(width_in, width_out)
    nn.init.normal_(linear.weight, std=width_in**-0.5, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear


def _check_end(name: str, end: nn.Module, width_in: int, width_out: int, weight: Tensor) -> None:
    try:
        with torch.no_grad():
            found = tuple(end(weight.new_zeros(1, 2, width_in)).shape)
    except RuntimeError as error:
        raise ValueError(f"{name} does not take tokens of width {width_in} ({error})") from None
    if found != (1, 2, width_out):
        raise ValueError(
            f"{name} maps [1, 2, {width_in}] to {list(found)}, not to [1, 2, {width_out}]"
        )
