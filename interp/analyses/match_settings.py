"""What a match reads, and on how many prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hooks.activation_files import ActivationFile
from hooks.capture import FinalNorm
from interp.analyses.views import parse_show
from interp.points import check_points
from interp.scoring.readouts import PromptBudget

DEFAULT_KINDS = ("resid_post", "attn_out")
N_GROUPS = 128
MAX_PREDICTION_PROMPTS = 2048
MAX_VECTOR_PROMPTS = 512


@dataclass(frozen=True)
class MatchSettings:
    """Options of `match`, with the defaults of the command line."""

    site_kinds: tuple[str, ...] | None = None
    """Kinds of site to read, the verdict being about the first; by default those of
    `DEFAULT_KINDS` that the model has."""
    readout: Literal["matched", "raw"] = "matched"
    """Whether references get a read-out of their own (see `interp.scoring.scores`)."""
    n_prompts: int = 4096
    """Prompts to evaluate on; as many more are used to fit read-outs."""
    seed: int = 0
    batch_size: int | None = None
    """Prompts of a forward pass, about; by default 512, fewer where activations are large."""
    final_norm: FinalNorm = "official"
    """See `hooks.capture`."""
    points: Sequence[int] | str | None = None
    """Points to read, such as "3-10", see `interp.points`; by default all that the model or file
    can be read at. Read-outs are fitted on them alone."""
    show: str | tuple[str, ...] = ()
    """Costlier views to add, names of `interp.analyses.views.VIEWS`, "sites" or "all"."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "show", parse_show(self.show))
        object.__setattr__(self, "points", check_points(self.points))
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.n_prompts < 128:
            raise ValueError(f"n_prompts must be at least 128, got {self.n_prompts}")
        if self.readout not in ("matched", "raw"):
            raise ValueError(f"readout must be 'matched' or 'raw', got {self.readout!r}")
        if self.site_kinds is not None and not self.site_kinds:
            raise ValueError("site_kinds must name at least one kind, for example resid_post")


def budget_of(n_prompts: int) -> PromptBudget:
    """What each part of a match gets, in whole groups, if it evaluates on so many prompts."""
    group_size = -(-n_prompts // N_GROUPS)
    n_evaluate = group_size * N_GROUPS

    def whole_groups(n: int) -> int:
        return min(n_evaluate, max(1, n // group_size) * group_size)

    return PromptBudget(
        n_fit=n_evaluate,
        n_held_out=max(256, n_evaluate // 4),
        n_evaluate=n_evaluate,
        n_predictions=whole_groups(MAX_PREDICTION_PROMPTS),
        n_vectors=whole_groups(MAX_VECTOR_PROMPTS),
    )


def affordable(file: ActivationFile, n_prompts: int) -> int:
    """The most prompts to evaluate on, up to `n_prompts`, that a file has enough prompts for.

    Raises:
        ValueError: It has too few for any.
    """
    for n_groups in range(-(-n_prompts // N_GROUPS), 0, -1):
        budget = budget_of(n_groups * N_GROUPS)
        if budget.n_fit + budget.n_held_out + budget.n_evaluate <= file.n_prompts:
            return budget.n_evaluate
    raise ValueError(
        f"{file.path}: has {file.n_prompts} prompts; at least 512 are needed, to fit read-outs, to "
        "choose their strength and to evaluate them"
    )
