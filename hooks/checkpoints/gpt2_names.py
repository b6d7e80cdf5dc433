"""GPT-2 weights under our names and under Hugging Face's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

_NAMES = {
    "W_pos": "wpe",
    "blocks.#.ln1": "h.#.ln_1",
    "blocks.#.attn.W_QKV": "h.#.attn.c_attn",
    "blocks.#.attn.W_O": "h.#.attn.c_proj",
    "blocks.#.ln2": "h.#.ln_2",
    "blocks.#.mlp.W_in": "h.#.mlp.c_fc",
    "blocks.#.mlp.W_out": "h.#.mlp.c_proj",
    "ln_final": "ln_f",
}
_OURS = {theirs: ours for ours, theirs in _NAMES.items()}
_CONV1D = re.compile(r"c_(attn|proj|fc)\.weight$")
"""Hugging Face stores these maps as [in, out], the transpose of a `Linear`."""
_IGNORED = re.compile(r"wte\.weight$|h\.\d+\.attn\.(masked_)?bias$")
"""Unused token embedding, and the causal mask that older transformers kept as buffers."""


def to_huggingface(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names and lays out a GPT-2's weights as `transformers.GPT2Model` does.

    Read-in and read-out, which `GPT2Model` does not have, are left out; so is `wte`, which it has
    and does not use when it is given embeddings.
    """
    renamed = {}
    for name, weight in weights.items():
        if not name.startswith(("read_in.", "read_out.")):
            theirs = _rename(name, _NAMES)
            renamed[theirs] = weight.T.contiguous() if _CONV1D.search(theirs) else weight
    return renamed


def from_huggingface(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of `to_huggingface`; names it does not know stay as they are.

    nanoGPT has the same names and `Linear` layouts, which the shape of its joint queries, keys and
    values tells.
    """
    is_linear = any(
        name.endswith("c_attn.weight") and weight.ndim == 2 and weight.shape[0] > weight.shape[1]
        for name, weight in weights.items()
    )
    return {
        _rename(name, _OURS): weight.T.contiguous()
        if _CONV1D.search(name) and not is_linear
        else weight
        for name, weight in weights.items()
        if not _IGNORED.fullmatch(name)
    }


def _rename(name: str, names: Mapping[str, str]) -> str:
    stem, _, kind = name.rpartition(".")
    layer = re.search(r"\.(\d+)\.", stem)
    pattern = re.sub(r"\.\d+\.", ".#.", stem, count=1)
    renamed = names.get(pattern, stem)
    if layer and pattern in names:
        renamed = renamed.replace("#", layer.group(1))
    return f"{renamed}.{kind}"
