"""How much a reproduction computes."""

from __future__ import annotations

from dataclasses import dataclass

N_GROUPS = 32
"""Groups of prompts that the bootstrap draws from."""
N_REPLICATES = 200


@dataclass(frozen=True)
class Settings:
    """Sizes that every row shares."""

    n_prompts: int = 1024
    """To score on; read-outs are fitted on twice as many others."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_prompts < N_GROUPS:
            raise ValueError(f"n_prompts must be at least {N_GROUPS}, got {self.n_prompts}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    @property
    def n_scored(self) -> int:
        """`n_prompts`, rounded up to a multiple of `N_GROUPS`."""
        return -(-self.n_prompts // N_GROUPS) * N_GROUPS

    def few(self, most: int) -> int:
        """As `n_scored` but at most about `most`, for what costs more a prompt."""
        return min(self.n_scored, -(-most // N_GROUPS) * N_GROUPS)
