"""Similarity where two references disagree."""

from __future__ import annotations

import pytest
import torch

from probes.disagreement import similarity_by_disagreement
from probes.references import GD, Newton, Prefixes
from probes.similarity import error_directions, similarity_of_errors


@pytest.fixture(scope="module")
def predictions() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Newton after 4 to 6 steps, GD at steps that resemble it, and the targets."""
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(80, 11, 5, dtype=torch.float64, generator=generator)
    ys = (xs @ torch.randn(80, 5, 1, dtype=torch.float64, generator=generator))[..., 0]
    prefixes = Prefixes(xs, ys)
    newton = Newton().predictions(prefixes, [4, 5, 6])
    return newton, GD(0.03).predictions(prefixes, [6, 12, 25]), ys


def test_a_layer_that_is_one_of_the_rivals_shows_it_most_where_they_disagree(predictions):
    newton, gd, ys = predictions
    found = similarity_by_disagreement(newton, torch.stack([newton, gd]), ys)
    assert torch.allclose(found.similarity[0], torch.ones(3, 4).double())
    assert torch.allclose(found.similarity[1], 1 - found.disagreement)
    assert torch.allclose(found.margin, found.disagreement)
    assert (found.disagreement.diff(dim=1) > 0).all()
    assert (found.disagreement[:, 3] > 3 * found.disagreement.mean(1) / 2).all()
    low, high = found.margin_interval
    assert (low <= found.margin).all()
    assert (found.margin <= high).all()
    assert torch.allclose(found.at_points[0, :, 1:], torch.ones(3, 10).double())


def test_parts_average_to_the_similarity_of_all_prompts(predictions):
    newton, gd, ys = predictions
    layers = (newton + 2 * gd) / 3
    found = similarity_by_disagreement(layers, torch.stack([newton, gd]), ys, n_parts=8)
    for similarity, rival in zip(found.similarity, (newton, gd), strict=True):
        whole = similarity_of_errors(error_directions(layers, ys), error_directions(rival, ys))
        assert torch.allclose(similarity.mean(-1), whole.diagonal())


def test_exchanging_the_rivals_turns_the_margin(predictions):
    newton, gd, ys = predictions
    there = similarity_by_disagreement(gd.flip(0), torch.stack([newton, gd]), ys)
    back = similarity_by_disagreement(gd.flip(0), torch.stack([gd, newton]), ys)
    assert torch.allclose(there.margin, -back.margin)
    assert torch.allclose(there.margin_interval, -back.margin_interval.flip(0))


@pytest.mark.parametrize("n_parts", [0, 41, -1])
def test_parts_of_fewer_than_two_prompts_are_refused(predictions, n_parts):
    newton, gd, ys = predictions
    with pytest.raises(ValueError, match="n_parts must leave 2 of 80 prompts"):
        similarity_by_disagreement(newton, torch.stack([newton, gd]), ys, n_parts=n_parts)
