from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.references import OLS, REFERENCES, Prefixes, build_reference
from probes.references.single_thread import single_thread


def prompts_with_singular_values(values: list[float], n_examples: int, seed: int = 0):
    """One prompt whose last prefix has these singular values, asked for a generic x."""
    generator = torch.Generator().manual_seed(seed)
    d = len(values)
    left, right = (
        torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))[0]
        for n in (n_examples, d)
    )
    examples = left[:, :d] * torch.tensor(values, dtype=torch.float64) @ right.T
    query = torch.randn(1, d, dtype=torch.float64, generator=generator)
    return torch.cat([examples, query])[None], torch.randn(
        1, n_examples + 1, dtype=torch.float64, generator=generator
    )


def test_threads_are_as_before_after_a_decomposition_and_after_an_error() -> None:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert Prefixes(*prompts_with_singular_values([2.0, 1.0], 4)).rank[0, -1] == 2
        assert torch.get_num_threads() == 2
        with pytest.raises(KeyError), single_thread():
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.parametrize("factor", [4.0, 0.1])
def test_numerical_rank_on_both_sides_of_its_threshold(factor: float) -> None:
    threshold = 6 * 2.0**-52  # max(t, d) * eps, s_max = 1
    xs, ys = prompts_with_singular_values([1.0, 0.5, factor * threshold], n_examples=6)
    prefixes = Prefixes(xs, ys)
    rank = 3 if factor > 1 else 2
    assert prefixes.rank[0, 6] == rank
    assert np.linalg.matrix_rank(xs[0, :6].numpy(), rtol=threshold) == rank
    weights, *_ = np.linalg.lstsq(xs[0, :6].numpy(), ys[0, :6].numpy(), rcond=threshold)
    error = np.abs(OLS().weights(prefixes)[0, 0, 6].numpy() - weights)
    assert error.max() <= (1e-8 if rank == 2 else 5.0) * np.abs(weights).max()
    assert np.abs(weights).max() < 1e3 if rank == 2 else np.abs(weights).max() > 1e10


def test_kappa_of_1e12_is_of_full_rank() -> None:
    xs, ys = prompts_with_singular_values([1.0, 1e-3, 1e-6], n_examples=3)
    assert Prefixes(xs, ys).rank[0].tolist() == [0, 1, 2, 3]


def test_duplicates_and_zeros_do_not_raise_the_rank() -> None:
    xs, ys = torch.randn(1, 6, 4, dtype=torch.float64), torch.randn(1, 6)
    xs[0, 1], xs[0, 2], xs[0, 3] = xs[0, 0], 0.0, 3 * xs[0, 0]
    assert Prefixes(xs, ys).rank[0].tolist() == [0, 1, 1, 1, 1, 2]


def test_null_queries_are_what_the_examples_do_not_span() -> None:
    xs, ys = torch.randn(3, 7, 4, dtype=torch.float64), torch.randn(3, 7)
    null = Prefixes(xs, ys).null_queries
    for t in range(7):
        assert (xs[:, :t] @ null[:, t, :, None]).abs().max() < 1e-13 if t else True
        projector = torch.linalg.pinv(xs[:, :t]) @ xs[:, :t]
        expected = xs[:, t] - (projector @ xs[:, t, :, None])[..., 0]
        torch.testing.assert_close(null[:, t], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("xs", "ys", "said"),
    [
        (torch.zeros(0, 3, 4), torch.zeros(0, 3), "must have a prompt"),
        (torch.zeros(2, 3, 4), torch.tensor([[0.0] * 3, [0.0, np.nan, 0.0]]), "prompt 1"),
    ],
)
def test_bad_prompts_are_named(xs: torch.Tensor, ys: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Prefixes(xs, ys)


@pytest.mark.parametrize("key", REFERENCES)
def test_every_reference_predicts_at_some_points_what_it_predicts_there_of_all(key: str) -> None:
    generator = torch.Generator().manual_seed(3)
    xs = torch.randn(8, 7, 3, dtype=torch.float64, generator=generator)
    ys = torch.randn(8, 7, dtype=torch.float64, generator=generator)
    whole, points = Prefixes(xs, ys), [0, 2, 3, 6]
    some = Prefixes(xs, ys).at_points(points)
    tasks = torch.randn(4, 3, dtype=torch.float64, generator=generator)
    reference = build_reference(key, **({"tasks": tasks} if key == "dmmse" else {}))
    expected = reference.predictions(whole, [0, 2, 5])[..., points]
    torch.testing.assert_close(reference.predictions(some, [0, 2, 5]), expected)
    part = some.part(2, 6)
    torch.testing.assert_close(reference.predictions(part, [0, 2, 5]), expected[:, 2:6])
    joined = Prefixes.joined([some.part(0, 3), some.part(3, 8)])
    torch.testing.assert_close(reference.predictions(joined, [0, 2, 5]), expected)
    try:
        weights = reference.weights(whole, [2])[:, :, points]
    except ValueError:
        return
    torch.testing.assert_close(reference.weights(some, [2]), weights)
    assert (whole.n_unseen, some.n_unseen, whole.at_points([3, 4]).n_unseen) == (1, 1, 0)
