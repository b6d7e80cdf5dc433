"""Our GPT-2 on some prompts as a TransformerLens bridge on token ids."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import GPT2Config as HuggingFaceConfig
from transformers import GPT2LMHeadModel

from hooks.architectures.gpt2 import GPT2
from hooks.checkpoints.gpt2_names import to_huggingface
from hooks.checkpoints.transformers_logging import quiet_transformers
from hooks.model import SequenceModel
from hooks.tokens import make_tokens

with quiet_transformers():
    from transformer_lens.model_bridge.sources import build_bridge_from_module


class BridgedPrompts(NamedTuple):
    """A language model whose vocabulary is the tokens of some prompts."""

    bridge: Any
    """The `TransformerBridge`, in evaluation mode; its weights are copies."""
    tokens: Int[Tensor, "prompt token"]
    """Token ids: every x and every y is a word of its own."""

    def predictions(
        self, logits: Float[Tensor, "prompt token word"]
    ) -> Float[Tensor, "prompt point"]:
        """The model's predictions in the bridge's logits: word 0 at the x tokens."""
        return logits[:, ::2, 0]


def bridge_prompts(
    model: SequenceModel, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
) -> BridgedPrompts:
    """Gives TransformerLens's analysis tools what they take: a bridge and token ids.

    Attribution patching, path patching and the other functions of `transformer_lens.patching` and
    `transformer_lens.tools.analysis` run a bridge on ids and score its logits. Here every token of
    the prompts becomes a word embedded by the model's read-in, and logit 0 is its read-out.

    Args:
        model: A softmax GPT-2 with MLPs and x and y tokens in turn.
        xs: Inputs of the prompts, those to compare with each other among them.
        ys: Outputs of the prompts.

    Raises:
        ValueError: The model is another one, or the prompts do not fit it.
    """
    if not isinstance(model, GPT2):
        raise ValueError(f"model must be a GPT2, got {type(model).__name__}")
    config = model.config
    if config.attn_only or config.attention != "softmax" or config.tokens != "interleaved":
        raise ValueError(
            "model must have softmax attention, MLPs and interleaved tokens, got attention="
            f"{config.attention!r}, attn_only={config.attn_only}, tokens={config.tokens!r}"
        )
    model.check_prompts(xs, ys)
    with torch.no_grad():
        inputs = make_tokens("interleaved", xs.to(model.device), ys.to(model.device))
        words = model.read_in(inputs.to(model.dtype)).flatten(0, 1)
    language_model = _language_model(model, words)
    bridge = build_bridge_from_module(
        language_model, type(language_model).__name__, hf_config=language_model.config
    )
    ids = torch.arange(len(words), device=model.device)
    return BridgedPrompts(bridge.eval(), ids.reshape(inputs.shape[:2]))


def _language_model(model: GPT2, words: Float[Tensor, "word d_model"]) -> GPT2LMHeadModel:
    config = model.config
    with torch.random.fork_rng([]):
        language_model = GPT2LMHeadModel(
            HuggingFaceConfig(
                vocab_size=len(words),
                n_positions=2 * config.n_points,
                n_embd=config.d_model,
                n_layer=config.n_layers,
                n_head=config.n_heads,
                use_cache=False,
                tie_word_embeddings=False,
            )
        )
    language_model.lm_head = nn.Linear(config.d_model, len(words))
    nn.Module.to(language_model, model.device, model.dtype)
    language_model.transformer.load_state_dict(
        {**to_huggingface(model.state_dict()), "wte.weight": words}
    )
    with torch.no_grad():
        head = language_model.lm_head
        head.weight.zero_()[0] = model.read_out.weight[0]
        head.bias.zero_()[0] = model.read_out.bias[0]
    return language_model.requires_grad_(True).eval()
