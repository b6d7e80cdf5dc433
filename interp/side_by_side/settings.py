"""Options of a comparison of models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from interp.analyses.match_settings import MatchSettings

N_GROUPS = 128
"""Groups of prompts, the units of the bootstrap; the same prompts for all models of a task."""
N_REPLICATES = 1000


@dataclass(frozen=True)
class CompareSettings:
    """Options of `compare`, with the defaults of the command line."""

    n_prompts: int = 1024
    """Prompts to evaluate every model on, a quarter of what `match` takes for one; as many more
    are used to fit read-outs. Rounded up to a multiple of `N_GROUPS`."""
    seed: int = 0
    """Of all prompts, which models of one task share."""
    readout: Literal["matched", "raw"] = "matched"
    """See `interp.analyses.match_settings.MatchSettings`."""

    def __post_init__(self) -> None:
        self.for_match(())

    def for_match(self, site_kinds: tuple[str, ...]) -> MatchSettings:
        """The same options for `match`.

        Raises:
            ValueError: One of them is out of range.
        """
        return MatchSettings(
            site_kinds=site_kinds or None,
            readout=self.readout,
            n_prompts=self.n_prompts,
            seed=self.seed,
        )

    @property
    def n_whole_groups(self) -> int:
        """`n_prompts` rounded up to a multiple of `N_GROUPS`."""
        return -(-self.n_prompts // N_GROUPS) * N_GROUPS
