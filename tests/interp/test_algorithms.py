from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from test_cli import assert_one_sentence, run

from interp import plots
from interp.analyses.algorithms import compare_algorithms, describe_growth, growth
from interp.tasks import LinearRegression
from probes.references import REFERENCES, Prefixes, build_reference

TASK = LinearRegression(n_dims=6, n_points=13)


@pytest.fixture(scope="module")
def newton_gd() -> xarray.Dataset:
    return compare_algorithms("newton", "gd", n_prompts=32)


@pytest.mark.parametrize("name", ["newton", "gd", "nesterov", "cg"])
def test_an_algorithm_against_itself_is_the_diagonal(name: str):
    found = compare_algorithms(name, name, TASK, n_prompts=32)
    moving = found.where(found.is_growing, drop=True)
    assert moving.sizes["step_a"] >= 4
    np.testing.assert_array_equal(moving.whole_best_step, moving.step_a)
    np.testing.assert_allclose(moving.best_step, moving.step_a, rtol=0.01)
    np.testing.assert_allclose(moving.best_similarity, 1, atol=1e-9)


def test_gd_takes_exponentially_more_steps_than_newton(newton_gd: xarray.Dataset):
    law = growth(newton_gd)
    assert law is not None
    assert law.law == "log-linear"
    assert law.evidence_ratio < 1e-6
    assert 0.4 < law.doubling_rate < 1
    assert "exponentially" in describe_growth(newton_gd)


def test_newton_takes_logarithmically_fewer_steps_than_gd(newton_gd: xarray.Dataset):
    found = compare_algorithms("gd", "newton", n_prompts=32)
    law = growth(found)
    assert law is not None
    assert "logarithm" in describe_growth(found)
    late = newton_gd.sel(step_a=slice(10, 20))
    back = np.interp(late.best_step, found.step_a, found.best_step)
    np.testing.assert_allclose(back, late.step_a, atol=0.5)


def test_third_order_takes_a_constant_share_of_the_steps_of_second_order():
    found = compare_algorithms("newton", "newton-schulz", n_prompts=32)
    law = growth(found)
    assert law is not None
    assert law.law == "linear"
    assert law.linear_rate == pytest.approx(np.log(2) / np.log(3), rel=0.05)


def test_similarities_are_those_of_the_definition():
    found = compare_algorithms("cg", "averaging", TASK, n_prompts=32, seed=3)
    [prompts] = TASK.stream(32, seed=3)
    prefixes = Prefixes(prompts.xs, prompts.ys)
    cosines = [
        torch.nn.functional.cosine_similarity(a[:, 1:], b[:, 1:], dim=1)
        for a, b in (
            (
                build_reference("cg").predictions(prefixes, [step])[0] - prompts.ys,
                build_reference("averaging").predictions(prefixes)[0] - prompts.ys,
            )
            for step in (0, 1, 4)
        )
    ]
    np.testing.assert_allclose(
        found.similarity.sel(step_a=[0, 1, 4])[:, 0], [c.mean().item() for c in cosines]
    )


@pytest.mark.parametrize("name", sorted(set(REFERENCES) - {"dmmse"}))
def test_every_reference_can_be_compared(name: str):
    found = compare_algorithms(name, "newton", LinearRegression(n_dims=2, n_points=4), n_prompts=1)
    assert np.isfinite(found.similarity).all()
    low, high = found.best_similarity_interval.values.T
    assert (low <= high).all()
    figure = plots.algorithms(found)
    assert figure.data[0].z.shape == (found.sizes["step_a"], found.sizes["step_b"])
    assert len(describe_growth(found)) > 0


def test_the_heatmap_marks_the_best_steps_where_they_are(newton_gd: xarray.Dataset):
    cells, marks = plots.algorithms(newton_gd).data
    assert all(left < right for left, right in pairwise(cells.x))
    np.testing.assert_allclose(marks.x, np.log2(np.maximum(newton_gd.best_step, 0.5)))
    np.testing.assert_array_equal(marks.y, newton_gd.step_a)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("newtown", "gd"), "reference must be one of"),
        (("dmmse", "gd"), "dmmse needs the tasks of its prior"),
        (("gd", "newton", LinearRegression(n_dims=2, n_points=1)), "n_points of at least 2"),
        (("gd", "newton", LinearRegression(n_dims=2, n_points=5, x_scale=1e3)), "gd diverges"),
    ],
)
@pytest.mark.filterwarnings("ignore::probes.references.DivergenceWarning")
def test_what_cannot_be_compared(arguments: tuple[object, ...], message: str):
    with pytest.raises(ValueError, match=message):
        compare_algorithms(*arguments, n_prompts=32)


def test_the_command_writes_what_it_prints(tmp_path: Path):
    out = tmp_path / "out"
    ending = run(
        "algorithms", "newton", "ridge-path", "--dims", 3, "--points", 7, "--prompts", 32,
        "--out", out, "--json", folder=tmp_path,
    )  # fmt: skip
    assert ending.code == 0, ending.stderr
    summary = json.loads(ending.stdout)
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["task"] == LinearRegression(n_dims=3, n_points=7).describe()
    with xarray.open_dataset(out / "algorithms.nc") as saved:
        np.testing.assert_array_equal(saved.best_step, summary["best_step"])
    assert "plotly" in (out / "heatmap.html").read_text()


def test_sizes_and_a_task_exclude_each_other(tmp_path: Path):
    ending = run("algorithms", "cg", "gd", "--task", "x", "--dims", 3, folder=tmp_path)
    assert_one_sentence(ending, "--dims and --points cannot be given with --task")
