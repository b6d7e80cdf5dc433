"""What holds for every reference."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest
import torch

from probes.references import (
    BFGS,
    GD,
    REFERENCES,
    Chebyshev,
    DivergenceWarning,
    HeavyBall,
    Nesterov,
    Newton,
    NewtonSchulz,
    Prefixes,
    Reference,
    Ridge,
    SpectralReference,
    build_reference,
)

TASKS = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

EVERY: dict[str, Reference] = {
    name: build_reference(name, **({"tasks": TASKS} if name == "dmmse" else {}))
    for name in REFERENCES
}
SPECTRAL = {name: r for name, r in EVERY.items() if isinstance(r, SpectralReference)}
OTHERS: list[SpectralReference] = [
    Newton(ridge=0.4),
    Newton("spectral", ridge=0.4),
    NewtonSchulz(order=4),
    Chebyshev(0.1, 20.0),
    HeavyBall(0.02, 0.7),
    Nesterov(beta="convex"),
    Nesterov(0.02, 0.7),
]


@pytest.fixture(scope="module")
def prefixes() -> Prefixes:
    generator = torch.Generator().manual_seed(9)
    xs = torch.randn(5, 8, 3, dtype=torch.float64, generator=generator)
    xs[0, 1], xs[1, :2] = xs[0, 0], 0
    return Prefixes(xs, torch.randn(5, 8, dtype=torch.float64, generator=generator))


@pytest.fixture(autouse=True)
def diverging_is_fine() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        yield


@pytest.mark.parametrize("name", REFERENCES)
def test_names_and_registry(name: str) -> None:
    reference = EVERY[name]
    if name != "dmmse":
        assert reference.name == name
        assert eval(repr(reference), {type(reference).__name__: type(reference)}) == reference


def test_changed_parameters_show_in_name_and_repr() -> None:
    assert GD(0.02).name == "gd(eta=0.02)"
    assert Newton("spectral", ridge=0.1).name == "newton-spectral(ridge=0.1)"
    assert build_reference("l-bfgs", memory=5).name == "l-bfgs(memory=5)"
    assert repr(build_reference("gd-adaptive")) == "GD(eta='inverse_largest')"
    assert len({r.name for r in [*EVERY.values(), *OTHERS]}) == len(EVERY) + len(OTHERS)


@pytest.mark.parametrize("name", REFERENCES)
def test_any_step_grid(name: str, prefixes: Prefixes) -> None:
    reference = EVERY[name]
    grid = [5, 0, 2, 2, 9]
    predicted = reference.predictions(prefixes, grid)
    if not reference.is_iterative:
        assert predicted.shape == (1, 5, 8)
        assert torch.equal(predicted, reference.predictions(prefixes))
        return
    streamed = list(reference.stream_predictions(prefixes, grid))
    assert [step for step, _ in streamed] == sorted(grid)
    for step, values in streamed:
        assert torch.equal(values, predicted[grid.index(int(step))])
        alone = reference.predictions(prefixes, torch.tensor([step]))[0]
        torch.testing.assert_close(alone, values)


@pytest.mark.parametrize("name", REFERENCES)
def test_predictions_are_the_weights_on_the_query(name: str, prefixes: Prefixes) -> None:
    if name in ("knn", "network-gd"):  # not linear in x
        return
    predicted = EVERY[name].predictions(prefixes, [0, 1, 6])
    weights = EVERY[name].weights(prefixes, [0, 1, 6])
    torch.testing.assert_close((weights * prefixes.xs).sum(-1), predicted)


@pytest.mark.parametrize("name", REFERENCES)
def test_point_0_has_seen_nothing(name: str, prefixes: Prefixes) -> None:
    predicted = EVERY[name].predictions(prefixes, [3])[0, :, 0]
    expected = prefixes.xs[:, 0] @ TASKS.mean(0) if name == "dmmse" else torch.zeros(5)
    torch.testing.assert_close(predicted, expected.to(torch.float64))


@pytest.mark.parametrize("name", REFERENCES)
def test_no_prediction_sees_its_own_y_or_what_follows(name: str, prefixes: Prefixes) -> None:
    xs, ys = prefixes.xs.clone(), prefixes.ys.clone()
    ys[:, 5:], xs[:, 6:] = 50.0, -3.0
    changed = EVERY[name].predictions(Prefixes(xs, ys), [4])
    assert torch.equal(changed[..., :6], EVERY[name].predictions(prefixes, [4])[..., :6])


@pytest.mark.parametrize("name", [n for n in REFERENCES if n not in ("ogd", "ogd-fixed", "rls")])
def test_order_of_examples_is_no_matter(name: str, prefixes: Prefixes) -> None:
    order = torch.tensor([4, 2, 0, 6, 1, 3, 5, 7])
    shuffled = Prefixes(prefixes.xs[:, order], prefixes.ys[:, order])
    tolerance = 1e-3 if name == "lasso" else 1e-9
    torch.testing.assert_close(
        EVERY[name].predictions(shuffled, [4])[..., 7],
        EVERY[name].predictions(prefixes, [4])[..., 7],
        rtol=tolerance,
        atol=tolerance,
    )


@pytest.mark.parametrize("reference", [*SPECTRAL.values(), *OTHERS], ids=lambda r: r.name)
def test_filtered_queries_turn_b_into_the_prediction(
    reference: SpectralReference, prefixes: Prefixes
) -> None:
    """(phi_k(S) x_t) · b = w_k · x_t."""
    steps = [0, 1, 2, 5, 30]
    filtered = reference.filtered_queries(prefixes, steps)
    moments = torch.cumsum(prefixes.xs * prefixes.ys[..., None], 1).roll(1, 1)
    moments[:, 0] = 0
    error = ((filtered * moments).sum(-1) - reference.predictions(prefixes, steps)).abs()
    assert (error <= 1e-12 * (1 + filtered.norm(dim=-1) * moments.norm(dim=-1))).all()


@pytest.mark.parametrize("reference", [*SPECTRAL.values(), *OTHERS], ids=lambda r: r.name)
def test_filter_at_zero_is_the_limit_of_the_filter(reference: SpectralReference) -> None:
    """A query along a direction with a vanishing eigenvalue against one that nothing spans."""
    examples = torch.diag(torch.tensor([2.0, 1.0, 1e-3], dtype=torch.float64))
    query = torch.tensor([[0.3, -0.2, 1.0]], dtype=torch.float64)
    with_it = torch.cat([examples, query])[None]
    without = torch.cat([examples[:2], torch.zeros(1, 3, dtype=torch.float64), query])[None]
    if reference.name in ("ols", "bayes", "gd-optimal", "heavy-ball", "nesterov", "chebyshev"):
        # their parameters follow the smallest eigenvalue: ask for the two-dimensional filter
        full = reference.filtered_queries(Prefixes(without, torch.ones(1, 4)), [3])[0, 0, 3]
        assert full.isfinite().all()
        return
    near = reference.filtered_queries(Prefixes(with_it, torch.ones(1, 4)), [3])[0, 0, 3]
    at = reference.filtered_queries(Prefixes(without, torch.ones(1, 4)), [3])[0, 0, 3]
    torch.testing.assert_close(near, at, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reference", [HeavyBall(), Nesterov(), Chebyshev(), GD("optimal")])
def test_filter_at_zero_is_what_the_iteration_does_to_a_null_direction(reference) -> None:
    """Central differences of the residual polynomial would lose digits; one GD step is exact."""
    xs = torch.tensor([[[2.0, 0.0], [0.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
    prefixes = Prefixes(xs, torch.ones(1, 3))
    first = reference.filtered_queries(prefixes, [1])[0, 0, 2]
    torch.testing.assert_close(first, torch.tensor([0.0, 0.25], dtype=torch.float64))


@pytest.mark.parametrize("name", ["newton", "gd++", "cg", "l-bfgs"])
def test_streaming_holds_a_constant_number_of_tensors(name: str, prefixes: Prefixes) -> None:
    def large() -> int:
        gc.collect()
        tensors = [item for item in gc.get_objects() if type(item) is torch.Tensor]
        return sum(tensor.numel() >= prefixes.ys.numel() for tensor in tensors)

    counts = [
        large()
        for step, _ in EVERY[name].stream_predictions(prefixes, range(60))
        if step in (20, 59)
    ]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("name", "steps", "said"),
    [
        ("newton", None, "must be given"),
        ("newton", [], "at least one"),
        ("gd", [1, -1], "at least 0, got -1"),
        ("gd", [float("inf")], "finite"),
        ("cg", [1.5], "steps of cg must be whole, got 1.5"),
        ("heavy-ball", [0.5], "must be whole"),
    ],
)
def test_bad_steps_are_named(name: str, steps, said: str, prefixes: Prefixes) -> None:
    with pytest.raises(ValueError, match=said):
        EVERY[name].predictions(prefixes, steps)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: build_reference("newtom"), "must be one of newton, .*, got 'newtom'"),
        (lambda: build_reference("gd", step=1), "no parameter step; it takes eta"),
        (lambda: build_reference("newton", order=3), "no parameter order; it takes alpha, ridge"),
        (lambda: build_reference("ols", lam=1), "it takes none"),
        (lambda: Ridge(0.0), "lam must be above 0"),
        (lambda: GD(-1.0), "eta must be"),
        (lambda: Newton(alpha=0.0), "alpha must be"),
        (lambda: Newton(ridge=-1.0), "ridge must be"),
        (lambda: NewtonSchulz(order=1), "order must be"),
        (lambda: HeavyBall(beta=1.0), "beta must be"),
        (lambda: Nesterov(beta=1.5), "beta must be"),
        (lambda: Chebyshev(2.0, 1.0), "at least smallest"),
        (lambda: Chebyshev(2.0), "both"),
    ],
)
def test_bad_parameters_are_named(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_unknown_line_search_is_named() -> None:
    with pytest.raises((ValueError, TypeError), match="line_search"):
        BFGS("backtracking")  # type: ignore[arg-type]
