"""The delta rule, all tokens at once, against its recurrence and online gradient descent."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hooks.architectures.delta_net import delta_rule


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    n_tokens=st.integers(1, 12),
    n_heads=st.integers(1, 3),
    d_head=st.integers(1, 5),
)
def test_all_tokens_at_once_equal_the_recurrence(
    seed: int, n_tokens: int, n_heads: int, d_head: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 2, n_tokens, n_heads, d_head, dtype=torch.float64, generator=generator)
    beta = torch.rand(2, n_tokens, n_heads, dtype=torch.float64, generator=generator)
    k = F.normalize(k, dim=-1)
    z = delta_rule(q, k, v, beta)
    for batch in range(2):
        for head in range(n_heads):
            memory = torch.zeros(d_head, d_head, dtype=torch.float64)
            for token in range(n_tokens):
                at = (batch, token, head)
                memory = memory + beta[at] * torch.outer(v[at] - memory @ k[at], k[at])
                torch.testing.assert_close(z[at], memory @ q[at])


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), n_dims=st.integers(1, 5))
def test_with_beta_one_and_scaled_values_it_is_online_gradient_descent(
    seed: int, n_dims: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(8, n_dims, dtype=torch.float64, generator=generator)
    ys = torch.randn(8, dtype=torch.float64, generator=generator)
    weights = torch.zeros(n_dims, dtype=torch.float64)
    expected = []
    for x, y in zip(xs, ys, strict=True):
        weights = weights - (weights @ x - y) * x / x.square().sum()
        expected.append(weights @ xs[0])
    values = F.pad((ys / xs.norm(dim=1))[:, None], (0, n_dims - 1))[None, :, None]
    z = delta_rule(
        xs[:1].expand(8, n_dims)[None, :, None],
        F.normalize(xs, dim=1)[None, :, None],
        values,
        torch.ones(1, 8, 1, dtype=torch.float64),
    )
    torch.testing.assert_close(z[0, :, 0, 0], torch.stack(expected))
