"""What every example is worth to an answer: J, its derivatives by the y that came before.

The answer of a linear smoother is J y. Least squares has J = q^T S^+ X^T, and any spectral
reference, with w = phi(S) X^T y, J = q^T phi(S) X^T.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references import Prefixes, Reference, Steps
from probes.references.spectral import SpectralReference

N_BINS = 5
NEGLIGIBLE = 1e-14
"""Of |J|²; where it is less, an answer does not depend on y, and its influences mean nothing."""


def reference_jacobian(
    reference: Reference, xs: Float[Tensor, "prompt point dim"], steps: Steps = None
) -> Float[Tensor, "step prompt example"]:
    """The exact J of a reference that is linear in y, at the last point of prompts.

    Args:
        reference: A spectral one, or any other whose predictions are linear in y.
        xs: Inputs, the last one being the query.
        steps: As for `reference.predictions`.
    """
    examples = xs[:, :-1].double()
    n_prompts, n_examples, _ = examples.shape
    if isinstance(reference, SpectralReference):
        prefixes = Prefixes(xs, torch.zeros_like(xs[..., 0])).at_points([n_examples])
        filtered = reference.filtered_queries(prefixes, steps)[:, :, 0]
        return torch.einsum("ptd,spd->spt", examples, filtered)
    units = torch.eye(n_examples, n_examples + 1, dtype=torch.float64).repeat(n_prompts, 1)
    prefixes = Prefixes(xs.repeat_interleave(n_examples, 0), units)
    return reference.predictions(prefixes, steps)[..., -1].unflatten(1, (n_prompts, n_examples))


def measure_influence(
    jacobian: Float[Tensor, "answer prompt example"],
    answers: Float[Tensor, "answer prompt"],
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
) -> dict[str, Float[Tensor, "answer *of"]]:
    """What J says of every answer, by name of the measure.

    `by_age`, `by_leverage`, `by_distance`: mean over prompts of the share of |J|² that is of
    examples of an age (the newest first), or of a fifth of all examples by their leverage
    x·S^+ x, or by their distance to the query. Up to the dimension all leverages are 1, and this
    share is missing. `by_age_error`: standard error of the mean. `noise_gain`: median of |J|², by
    which noise of y with variance 1 enters. `in_span`, `in_span_error`: share of |J|² in the
    column space of X. `given_back`: 1 - E (f - J y)² / E f², which is 1 if the answer f is linear
    in y.
    """
    examples = xs[:, :-1].double()
    basis = _column_space(examples)
    squared = jacobian.square()
    gain = squared.sum(-1)
    weighed = torch.where(gain > NEGLIGIBLE, gain, torch.nan)
    share = squared / weighed[..., None]
    in_span = torch.einsum("apt,ptk->apk", jacobian, basis).square().sum(-1) / weighed
    deviation = answers - torch.einsum("apt,pt->ap", jacobian, ys[:, :-1].double())
    energy = answers.square().mean(1)
    values = example_values(xs)
    return {
        "by_age": share.nanmean(1).flip(-1),
        "by_age_error": _standard_error(share).flip(-1),
        "by_leverage": _by_quantile(share, values["leverage"]),
        "by_distance": _by_quantile(share, values["distance"]),
        "noise_gain": gain.median(1).values,
        "in_span": in_span.nanmean(1),
        "in_span_error": _standard_error(in_span),
        "given_back": 1 - deviation.square().mean(1) / torch.where(energy > 0, energy, torch.nan),
    }


def example_values(
    xs: Float[Tensor, "prompt point dim"],
) -> dict[str, Float[Tensor, "prompt example"]]:
    """The `leverage` of every example, and its `distance` to the query, the last x.

    Up to the dimension all leverages are 1; they are NaN there.
    """
    examples = xs[:, :-1].double()
    leverage = _column_space(examples).square().sum(-1)
    n_examples, n_dims = examples.shape[1:]
    return {
        "leverage": leverage if n_examples > n_dims else torch.full_like(leverage, torch.nan),
        "distance": (examples - xs[:, -1:].double()).norm(dim=-1),
    }


def quantile_means(values: Float[Tensor, "prompt example"]) -> Float[Tensor, " bin"]:
    """The mean of each fifth of some values."""
    parts = values.flatten().sort().values.tensor_split(N_BINS)
    return torch.stack([part.mean() for part in parts])


def _column_space(
    examples: Float[Tensor, "prompt example dim"],
) -> Float[Tensor, "prompt example direction"]:
    """An orthonormal basis of the columns of X; what is past the rank is 0."""
    left, values, _ = torch.linalg.svd(examples, full_matrices=False)
    tolerance = max(examples.shape[1:]) * torch.finfo(values.dtype).eps * values[:, :1]
    return left * (values > tolerance)[:, None]


def _by_quantile(
    share: Float[Tensor, "answer prompt example"], values: Float[Tensor, "prompt example"]
) -> Float[Tensor, "answer bin"]:
    if values.isnan().any():
        return share.new_full((len(share), N_BINS), torch.nan)
    order = values.flatten().argsort()
    counted = share.isfinite().all(-1).sum(1, keepdim=True)
    sums = [part.nansum(1) for part in share.flatten(1)[:, order].tensor_split(N_BINS, dim=1)]
    return torch.where(counted > 0, torch.stack(sums, dim=1) / counted, torch.nan)


def _standard_error(values: Float[Tensor, "answer prompt *of"]) -> Float[Tensor, "answer *of"]:
    n = values.isfinite().sum(1)
    variance = (values - values.nanmean(1, keepdim=True)).square().nansum(1) / (n - 1)
    return torch.where(n > 1, (variance / n).sqrt(), torch.nan)
