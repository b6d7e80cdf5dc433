"""The parts that models play in the paper's figures, and the recipes that train for them."""

from __future__ import annotations

from dataclasses import dataclass

PAPER_DIMS = 20
"""Dimension of x in every experiment of the paper."""


@dataclass(frozen=True)
class Role:
    """A trained model that a figure is about."""

    name: str
    """In words, as tables call it."""
    small: str
    """Recipe at d = 5, and the name in the zoo once its checkpoint ships."""
    large: str | None = None
    """Recipe at the paper's scale, where one ships."""

    def recipe(self, n_dims: int) -> str | None:
        """The recipe for models of this dimension."""
        return self.large if n_dims == PAPER_DIMS else self.small


ROLES: dict[str, Role] = {
    "transformer": Role("transformer", "gpt2-d5", "gpt2-d20"),
    "lstm": Role("LSTM", "lstm-d5-10-plain-layers", "lstm-d20"),
    "ill-conditioned": Role(
        "transformer on ill-conditioned prompts",
        "gpt2-d5-ill-conditioned",
        "gpt2-d20-ill-conditioned",
    ),
    "noisy": Role("transformer on noisy prompts", "gpt2-d5-noisy", "gpt2-d20-noisy"),
    "relu-network": Role("transformer on ReLU networks", "gpt2-d5-relu-network"),
    "tanh-network": Role("transformer on Tanh networks", "gpt2-d5-tanh-network"),
    "one-head": Role("transformer with 1 head", "gpt2-d5-1-head"),
    "deep": Role("transformer of twice the depth", "gpt2-d5-16-layers"),
    "width-8": Role("transformer with 1 head, width 8", "gpt2-d5-width-8"),
    "width-16": Role("transformer with 1 head, width 16", "gpt2-d5-width-16"),
    "width-32": Role("transformer with 1 head, width 32", "gpt2-d5-width-32"),
    "width-64": Role("transformer with 1 head, width 64", "gpt2-d5-1-head"),
}


def how_to_get(role: str, n_dims: int) -> str:
    """One sentence on the checkpoint that a role lacks."""
    recipe = ROLES[role].recipe(n_dims)
    if recipe is None:
        return (
            f"needs a checkpoint that is not shipped: a {ROLES[role].name} at d = {n_dims}, for "
            "which no recipe ships either; give one with --checkpoint"
        )
    return f"needs a checkpoint that is not shipped: interp train {recipe}"
