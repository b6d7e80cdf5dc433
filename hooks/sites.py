"""Places in a model that can be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Site:
    """A layer and a kind, in TransformerLens's names.

    Layer 0 is the embedding (only `resid_post` has it); layer l is the l-th block.
    """

    layer: int
    kind: str = "resid_post"

    def __str__(self) -> str:
        return f"{self.kind}[{self.layer}]"
