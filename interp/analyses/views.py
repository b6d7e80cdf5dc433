"""Costlier looks into a model that a match can be asked for. A new one is a line in `VIEWS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import xarray

from hooks.gradients import lacks_gradient
from hooks.model import SequenceModel
from interp.analyses.anatomy import LEAST_PROMPTS, anatomy
from interp.analyses.heads import lacks_heads, read_heads
from interp.analyses.induced_weights import compare_induced_weights
from interp.analyses.influence import N_PROMPTS, influence
from interp.analyses.patterns import attention_patterns, lacks_patterns
from interp.scoring.stream import Progress
from interp.tasks import Task
from probes.candidate import Candidate

HALVES = ("resid_mid", "attn_out", "mlp_out")
"""Kinds of site that show which half of a layer does the work."""
ALL, NONE = "all", "none"


@dataclass(frozen=True)
class ViewRequest:
    """What a view is computed from."""

    model: SequenceModel
    task: Task
    comparisons: Sequence[Candidate]
    n_prompts: int
    """Of the match."""
    seed: int
    progress: Progress


@dataclass(frozen=True)
class View:
    """Something that a match can show beside its verdict."""

    lacks: Callable[[SequenceModel], str | None]
    """Why a model cannot be shown so; None if it can."""
    compute: Callable[[ViewRequest], xarray.DataTree | xarray.Dataset]


def _anatomy(asked: ViewRequest) -> xarray.Dataset:
    return anatomy(
        asked.model,
        asked.task,
        n_prompts=max(asked.n_prompts, LEAST_PROMPTS),
        comparisons=asked.comparisons,
        seed=asked.seed,
        progress=asked.progress,
    ).table


def _influence(asked: ViewRequest) -> xarray.Dataset:
    n_prompts = min(asked.n_prompts, N_PROMPTS)
    return influence(
        asked.model, asked.task, n_prompts=n_prompts, seed=asked.seed, progress=asked.progress
    )


def _by_reference(
    analysis: Callable[..., xarray.DataTree | xarray.Dataset],
) -> Callable[[ViewRequest], xarray.DataTree | xarray.Dataset]:
    """A view by an analysis that is given the references of the match."""

    def compute(asked: ViewRequest) -> xarray.DataTree | xarray.Dataset:
        return analysis(
            asked.model,
            asked.task,
            comparisons=asked.comparisons,
            seed=asked.seed,
            progress=asked.progress,
        )

    return compute


def _patterns(asked: ViewRequest) -> xarray.Dataset:
    return attention_patterns(asked.model, asked.task, seed=asked.seed, progress=asked.progress)


VIEWS: dict[str, View] = {
    "anatomy": View(lambda model: None, _anatomy),
    "influence": View(lacks_gradient, _influence),
    "weights": View(lambda model: None, _by_reference(compare_induced_weights)),
    "heads": View(lacks_heads, _by_reference(read_heads)),
    "patterns": View(lacks_patterns, _patterns),
}
OWN_POINTS = frozenset({"anatomy", "influence"})
"""Views that choose the points they read; others read every point of a prompt."""
SITES = "sites"
"""Shows more kinds of site, for which the match itself is run on them."""


def parse_show(show: str | Sequence[str]) -> tuple[str, ...]:
    """Names of views, from a list of them or names separated by commas, each once.

    Raises:
        ValueError: There is no such view.
    """
    given = [show] if isinstance(show, str) else list(show)
    names = [name.strip() for item in given for name in item.split(",") if name.strip()]
    known = (SITES, *VIEWS, ALL, NONE)
    for name in names:
        if name not in known:
            raise ValueError(f"show must be among {', '.join(known)}, got {name!r}")
    if NONE in names and len(set(names)) > 1:
        raise ValueError(f"show must be {NONE} or views, not both, got {', '.join(names)}")
    return tuple(dict.fromkeys(name for name in names if name != NONE))


def usual_views(model: object, n_prompts: int) -> tuple[str, ...]:
    """What a report shows where nothing else is asked for: the anatomy of a model that can run."""
    can_run = isinstance(model, SequenceModel) and n_prompts >= LEAST_PROMPTS
    return ("anatomy",) if can_run else ()


def choose_views(
    show: Sequence[str], model: object, *, has_points: bool = False
) -> tuple[str, ...]:
    """The views to compute for a model: those named, or with `all` those that it can have.

    Args:
        show: Their names.
        model: A model, or activations that were saved.
        has_points: Whether not all points of a prompt are to be read.

    Raises:
        ValueError: A view is named that the model cannot be shown in, or views of no model are.
    """
    if not show:
        return ()
    if not isinstance(model, SequenceModel):
        raise ValueError(f"show={', '.join(show)} needs the model, not activations that were saved")
    has_points |= model.first_point > 0
    if ALL in show:
        return tuple(
            name
            for name, view in VIEWS.items()
            if view.lacks(model) is None and (name in OWN_POINTS or not has_points)
        )
    named = tuple(name for name in show if name != SITES)
    for name in named:
        if reason := VIEWS[name].lacks(model):
            raise ValueError(f"show={name}: {reason}")
        if has_points and name not in OWN_POINTS:
            raise ValueError(f"show={name}: it reads every point, and only some are to be read")
    return named


def compute_views(names: Sequence[str], asked: ViewRequest) -> dict[str, xarray.DataTree]:
    """Every view's data, by name."""
    found = {}
    for name in names:
        data = VIEWS[name].compute(asked)
        found[name] = data if isinstance(data, xarray.DataTree) else xarray.DataTree(data)
    return found


def shown_kinds(
    kinds: Sequence[str], show: Sequence[str], site_kinds: Sequence[str]
) -> tuple[str, ...]:
    """Kinds of site to read: with `sites` or `all` also the halves of a layer, where there are."""
    if SITES not in show and ALL not in show:
        return tuple(kinds)
    halves = (kind for kind in HALVES if kind in site_kinds)
    return tuple(dict.fromkeys((*kinds, *halves)))
