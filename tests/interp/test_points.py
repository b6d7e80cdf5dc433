"""A match of some points is what these points of the whole give, and looks at nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from hooks import attach, open_activations
from hooks.architectures.planted import build_planted
from hooks.capture import capture
from hooks.finite import NonFiniteError
from hooks.model import SequenceModel
from interp.analyses.ablation import ablate
from interp.analyses.compare import compare
from interp.analyses.layer_order import reorder_layers
from interp.analyses.match import match
from interp.analyses.robustness import conditions
from interp.analyses.separation import separate
from interp.analyses.steering import steer
from interp.cli import build_app
from interp.points import points_to_read
from interp.results.result import MatchResult
from interp.tasks import LinearRegression
from probes.references import GD, Prefixes

SIZES = {"n_dims": 2, "n_points": 6}
TASK = LinearRegression(**SIZES)
MODEL = build_planted(
    algorithm="newton", iterations_per_layer=2, n_layers=3, dtype="float64", **SIZES
)
N_PROMPTS = 512
CONSTANTS = {
    "gd": {"eta": 0.05}, "newton-fixed": {"alpha": 0.02}, "ridge": {"start": 20.0},
}  # fmt: skip
"""Of references that are otherwise set from the longest prefixes of a task."""


def saved(path: Path, points: slice = slice(None), outside: float | None = None) -> Path:
    """What the planted model holds at some points; at others nothing, or one number."""
    xs, ys, _ = TASK.sample(N_PROMPTS, torch.Generator().manual_seed(1))
    [captured] = capture(MODEL, (xs, ys), MODEL.sites())
    said, streams = captured.predictions, captured.activations
    if outside is None:
        xs, ys, said, streams = xs[:, points], ys[:, points], said[:, points], streams[:, :, points]
    else:
        is_outside = torch.ones(TASK.n_points, dtype=torch.bool)
        is_outside[points] = False
        said[:, is_outside] = outside
        streams[:, :, is_outside] = outside
    arrays = {"xs": xs, "ys": ys, "predictions": said, "resid_post": streams}
    np.savez(path, **{name: values.numpy() for name, values in arrays.items()})
    return path


def assert_same(one: MatchResult, other: MatchResult) -> None:
    assert one.verdict == other.verdict
    assert one.layers.drop_attrs().equals(other.layers.drop_attrs())
    for name in one.references:
        assert one.reference(name).equals(other.reference(name)), name


def test_nothing_outside_of_the_points_is_read(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{n}.npz", slice(2, 5), n) for n in (np.nan, 1e9)]
    results = [match(open_activations(file), points="2-4") for file in files]
    assert_same(*results)
    assert results[0].layers.point.values.tolist() == [2, 3, 4]
    assert results[0].provenance["points"] == [2, 3, 4]


def test_the_first_points_of_long_prompts_are_shorter_prompts(tmp_path: Path) -> None:
    short = open_activations(saved(tmp_path / "short.npz", slice(5)))
    whole = open_activations(saved(tmp_path / "whole.npz"))
    first = match(whole, points=range(5), parameters=CONSTANTS)
    assert_same(first, match(short, parameters=CONSTANTS))


def test_scores_that_no_readout_enters_are_a_slice_of_all_points(tmp_path: Path) -> None:
    file = open_activations(saved(tmp_path / "whole.npz"))
    whole, some = match(file), match(file, points=[1, 3, 4])
    at = {"point": [1, 3, 4]}
    for name in ("model_error", "zero_error"):
        np.testing.assert_allclose(some.layers[name], whole.layers[name].sel(at), rtol=1e-12)
    for name in whole.references:
        expected = whole.reference(name).error.sel(at)
        np.testing.assert_allclose(some.reference(name).error, expected, rtol=1e-9)
    assert some.verdict.answer == whole.verdict.answer == "newton"


def test_only_a_point_without_an_example_is_left_out_of_similarities(tmp_path: Path) -> None:
    """Where all points follow a pair, the paper's convention and the official code's are one."""
    file = open_activations(saved(tmp_path / "whole.npz"))
    for points, is_same in (([2, 3, 5], True), ([0, 3, 5], False)):
        similarity = match(file, points=points).reference("newton").similarity
        paper, official = (similarity.sel(treatment=f"raw/{one}") for one in ("paper", "official"))
        assert np.allclose(paper, official, rtol=1e-12) == is_same, points


class Foreign(nn.Module):
    """Gives NaN before point 2, as what a window of examples is fitted on does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Identity(), nn.Identity()])

    def forward(self, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        said = GD(eta=0.05).predictions(Prefixes(xs, ys), [3])[0].to(xs)
        stream = torch.cat((xs, said[..., None]), -1)
        stream[:, :2] = torch.nan
        for layer in self.layers:
            stream = layer(stream)
        return stream[..., -1]


def foreign(**options: int) -> SequenceModel:
    run = {"predict": lambda module, xs, ys: module(xs, ys), "layers": "layers.*", "name": "window"}
    return attach(Foreign(), **run, **SIZES, points=slice(None), **options)


def test_a_model_is_matched_at_the_points_it_can_be_read_at() -> None:
    result = match(foreign(points_from=2), TASK, n_prompts=128)
    assert result.layers.point.values.tolist() == [2, 3, 4, 5]
    assert result.layers.model_error.notnull().all()
    with pytest.raises(ValueError, match=r"points must be from 2 to 5, .* got 1"):
        match(foreign(points_from=2), TASK, n_prompts=128, points=[1, 2, 3])


def test_what_is_nan_is_named_with_the_points_to_take(tmp_path: Path) -> None:
    message = r"points 0 to 1\); attach\(…, points_from=2\) leaves these points out"
    with pytest.raises(NonFiniteError, match=message):
        foreign()
    path = saved(tmp_path / "last.npz", slice(0, 4), np.nan)
    message = r"predictions: .* prompt 0 and .* \(points 4 to 5\); points=\"0-3\" in a match"
    with pytest.raises(NonFiniteError, match=message):
        match(open_activations(path))
    assert match(open_activations(path), points="0-3").verdict


def readable_late() -> SequenceModel:
    late = build_planted(
        algorithm="newton", iterations_per_layer=1, n_layers=2, dtype="float64", **SIZES
    )
    late.first_point = 3
    return late


def test_a_comparison_of_some_points() -> None:
    options = {"n_prompts": 128, "progress": lambda *_: None}
    whole = compare({"a": MODEL}, TASK, **options).summary
    some = compare({"a": MODEL}, TASK, **options, points="2-4")
    at = {"point": [2, 3, 4]}
    for name in ("point_error", "point_baseline_error"):
        np.testing.assert_allclose(some.summary[name], whole[name].sel(at), rtol=1e-9)
    mean = some.summary.point_error.mean("point")
    np.testing.assert_allclose(some.summary.error, mean, rtol=1e-9)
    assert some.match("a").layers.point.values.tolist() == [2, 3, 4]
    both = compare({"a": MODEL, "late": readable_late()}, TASK, **options)
    assert both.summary.point.values.tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("3-9", "points must be from 0 to 5, those that can be read of 6, got 6"),
        ("4-2", "points 4-2 end before they begin"),
        ("a-b", 'points must be such as "3-10"'),
        ("", 'points must be such as "3-10"'),
        ([2, 2, 3], "must each be given once"),
        ([0, 3], "at least two that follow a pair"),
        ([], "at least two that follow a pair"),
        ([-1, 2, 3], "got -1"),
    ],
)
def test_points_that_there_are_not(points: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        match(MODEL, TASK, points=points)


def test_points_as_text() -> None:
    assert list(points_to_read("3-", 6)) == [3, 4, 5]
    assert list(points_to_read("-2", 6)) == [0, 1, 2]
    assert list(points_to_read("-2", 6, 1)) == [1, 2]
    assert list(points_to_read("1, 3-4", 6)) == [1, 3, 4]
    assert list(points_to_read(None, 6, 2)) == [2, 3, 4, 5]


@pytest.mark.parametrize("command", ["match", "compare"])
def test_the_command_line_refuses_other_texts_at_once(command: str) -> None:
    ended = CliRunner().invoke(build_app(), [command, "newton-exact", "--points", "3..10"])
    assert ended.exit_code == 2
    assert "must be such as 3-10" in ended.output


def test_views_that_read_every_point_are_refused() -> None:
    with pytest.raises(ValueError, match="show=weights: it reads every point"):
        match(MODEL, TASK, points="2-4", show="weights")
    with pytest.raises(ValueError, match="show=weights: it reads every point"):
        match(readable_late(), TASK, show="weights")


@pytest.mark.parametrize("analyse", [conditions, separate, ablate, steer, reorder_layers])
def test_analyses_of_every_point_say_so(analyse: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="can be read from point 3 on only, and this analysis"):
        analyse(readable_late(), task=TASK)
