"""The sizes that every architecture with attention heads has."""

from __future__ import annotations

from dataclasses import dataclass

from hooks.model import ModelConfig


@dataclass(frozen=True)
class AttentionConfig(ModelConfig):
    """Heads that share the model's width among them."""

    n_heads: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model must be a multiple of n_heads, got {self.d_model} and {self.n_heads}"
            )
