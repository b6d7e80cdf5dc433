"""Prompts as tokens."""

from __future__ import annotations

import pytest
import torch

from hooks.tokens import check_token_layout, make_tokens, token_width, tokens_per_point

XS = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
YS = torch.tensor([[10.0, 20.0, 30.0]])


def test_interleaved_pads_y_with_zeros() -> None:
    expected = [[1, 2], [10, 0], [3, 4], [20, 0], [5, 6], [30, 0]]
    assert make_tokens("interleaved", XS, YS)[0].tolist() == expected


def test_joined_puts_the_pair_before_a_query_into_its_token() -> None:
    expected = [[0, 0, 0, 1, 2], [1, 2, 10, 3, 4], [3, 4, 20, 5, 6]]
    assert make_tokens("joined", XS, YS)[0].tolist() == expected


@pytest.mark.parametrize("layout", ["interleaved", "joined"])
def test_widths_and_counts_are_those_of_the_tokens(layout: str) -> None:
    _, n_tokens, width = make_tokens(layout, XS, YS).shape
    assert (n_tokens, width) == (3 * tokens_per_point(layout), token_width(layout, 2))


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="tokens must be 'interleaved' or 'joined', got 'x'"):
        check_token_layout("x")
