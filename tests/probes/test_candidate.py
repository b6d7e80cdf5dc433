"""Candidates between whole steps, and references at parameters that other tests leave at rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

import probes
from probes.candidate import Candidate, rivals_without_steps, select
from probes.references import (
    REFERENCES,
    Bayes,
    Lasso,
    PreconditionedGD,
    Prefixes,
    Ridge,
    RidgePath,
    family_phrase,
    reference_classes,
)
from probes.references.ols import OLS


@pytest.fixture(scope="module")
def prefixes() -> Prefixes:
    generator = torch.Generator().manual_seed(0)
    xs, ys = (
        torch.randn(*shape, dtype=torch.float64, generator=generator)
        for shape in ((6, 8, 3), (6, 8))
    )
    return Prefixes(xs, ys)


def test_between_whole_steps_a_candidate_is_on_the_line_between_them(prefixes):
    cg = Candidate.of("cg", "cg")
    two, three = cg.reference.predictions(prefixes, [2, 3])
    found = cg.at_steps(prefixes, [2.5, 2.0, 2.25])
    torch.testing.assert_close(
        found, torch.stack([(two + three) / 2, two, 0.75 * two + 0.25 * three])
    )


def test_a_ridge_path_is_ridge_with_a_penalty_halved_at_every_step(prefixes):
    path = RidgePath(start=3.0).predictions(prefixes, [0, 1, 4])
    for step, found in zip((0, 1, 4), path, strict=True):
        [expected] = Ridge(3.0 * 2.0**-step).predictions(prefixes)
        torch.testing.assert_close(found, expected)


def test_default_strengths_are_those_of_the_documentation():
    assert Ridge().lam == 1.0
    assert (Lasso().alpha, Lasso().tolerance) == (0.01, 1e-4)


@pytest.mark.parametrize("eta", [0.5, 1.0, 1.7])
def test_preconditioned_gd_is_its_plain_loop_at_any_step_size(prefixes, eta):
    [found] = PreconditionedGD(eta=eta, damping=0.7).predictions(prefixes, [3])
    xs, ys = prefixes.xs.numpy(), prefixes.ys.numpy()
    for prompt, t in ((0, 2), (3, 7)):
        x, y = xs[prompt, :t], ys[prompt, :t]
        s, w = x.T @ x, np.zeros(3)
        for _ in range(3):
            w = w - eta * np.linalg.solve(s + 0.7 * np.eye(3), s @ w - x.T @ y)
        assert found[prompt, t].item() == pytest.approx(xs[prompt, t] @ w)


def test_preconditioned_gd_warns_where_it_diverges(prefixes):
    with pytest.warns(probes.references.DivergenceWarning):
        PreconditionedGD(eta=2.5, damping=1e-6).predictions(prefixes, [1])


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_bayes_under_noise_is_ridge_below_full_rank_too(prefixes, noise):
    reference = Bayes(noise)
    expected = Ridge(noise**2)
    torch.testing.assert_close(
        reference.filtered_queries(prefixes, [0]), expected.filtered_queries(prefixes, [0])
    )


def test_every_public_name_of_probes_is_there_and_no_other():
    assert all(getattr(probes, name) is not None for name in probes.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = probes.no_such_name


def test_every_reference_says_its_names_and_rivals_have_no_steps():
    for one in reference_classes():
        assert all((one.key, one.family, one.label, one.phrase))
    rivals = rivals_without_steps()
    assert {item.name for item in rivals} == {"ogd", "rls", "averaging", "knn"}
    assert not any(item.has_steps for item in rivals)
    with pytest.raises(ValueError, match="'gd' was not compared"):
        select(rivals, "gd")


def test_a_new_reference_is_one_class_and_one_line(monkeypatch):
    @dataclass(frozen=True)
    class Toy(OLS):
        key: ClassVar[str] = "toy"
        family: ClassVar[str] = "toy"
        label: ClassVar[str] = "Toy"
        phrase: ClassVar[str] = "a toy"
        rivals: ClassVar = {"toy": {}}

    monkeypatch.setitem(REFERENCES, "toy", Toy)
    assert family_phrase("toy") == "a toy"
    assert Toy in reference_classes()
    assert select(rivals_without_steps(), "toy").family == "toy"
    assert Candidate.of("toy", "toy").family == "toy"
