"""What examples are worth to models whose algorithm is known, and which models are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray
from torch import Tensor, nn

import hooks
import interp
from hooks.gradients import NoGradientError, answer_jacobian, lacks_gradient
from interp import plots
from interp.analyses.influence import influence
from interp.report.view_notes import influence_note
from interp.tasks import LinearRegression
from probes.influence import measure_influence, reference_jacobian
from probes.references import build_reference

TASK = LinearRegression(n_dims=5, n_points=11)


def draw(n_prompts: int, n_points: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs and noisy outputs, so that y has a part outside the column space."""
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(n_prompts, n_points, 5, generator=generator, dtype=torch.float64)
    return xs, torch.randn(n_prompts, n_points, generator=generator, dtype=torch.float64)


def jacobian_of(model: hooks.SequenceModel, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """The model's own answers and J."""
    zeros = torch.zeros(model.n_layers + 1, model.config.d_model, dtype=torch.float64)
    answers, jacobian = answer_jacobian(model, xs, ys, zeros, zeros[:, 0])
    return answers[-1], jacobian[-1]


@pytest.mark.parametrize(
    ("name", "reference", "field"), [("gd-exact", "gd", "eta"), ("newton-exact", "newton", "alpha")]
)
def test_exact_models_have_the_exact_jacobian(name: str, reference: str, field: str):
    model = interp.load(name).double()
    xs, ys = draw(16, 9)
    answers, jacobian = jacobian_of(model, xs, ys)
    algorithm = build_reference(reference, **{field: getattr(model.config, field)})
    steps = [float(model.steps_done()[-1])]
    torch.testing.assert_close(jacobian, reference_jacobian(algorithm, xs, steps)[0])
    torch.testing.assert_close((jacobian * ys[:, :-1]).sum(1), answers)


def test_jacobian_of_references_is_that_of_their_definition():
    xs, _ = draw(4, 9)
    examples, query = xs[:, :-1], xs[:, -1]
    ols = torch.einsum("pdt,pd->pt", torch.linalg.pinv(examples), query)
    torch.testing.assert_close(reference_jacobian(build_reference("ols"), xs)[0], ols)
    rest, expected = query, []
    for x in reversed(examples.unbind(1)):  # w <- w + (y - w·x) x / |x|², from the last one back
        along = (rest * x).sum(1) / x.square().sum(1)
        expected.insert(0, along)
        rest = rest - along[:, None] * x
    ogd = reference_jacobian(build_reference("ogd"), xs)[0]
    torch.testing.assert_close(ogd, torch.stack(expected, dim=1))


def test_measures_of_answers_that_are_known():
    xs, ys = draw(200, 9)
    jacobian = reference_jacobian(build_reference("ridge"), xs)
    linear = (jacobian * ys[:, :-1]).sum(-1)
    found = measure_influence(jacobian, linear, xs, ys)
    assert found["given_back"].item() == pytest.approx(1)
    assert found["in_span"].item() == pytest.approx(1)
    for measure in ("by_age", "by_leverage", "by_distance"):
        assert found[measure].sum().item() == pytest.approx(1)
    cubed = measure_influence(3 * linear[..., None] ** 2 * jacobian, linear**3, xs, ys)
    assert cubed["given_back"].item() == pytest.approx(-3)  # J y = 3 f, and 1 - (1 - 3)² = -3
    noise = torch.randn(jacobian.shape, generator=torch.Generator().manual_seed(1)).double()
    chance = measure_influence(noise, linear, xs, ys)
    assert chance["in_span"].item() == pytest.approx(5 / 8, abs=4 * chance["in_span_error"].item())


@pytest.fixture(scope="module")
def ogd() -> xarray.Dataset:
    return influence(interp.load("ogd-exact"), points=[3, 10], n_prompts=64)


def test_online_gd_forgets_as_its_reference_does(ogd: xarray.Dataset):
    theirs = ogd.sel(reference="ogd")
    for name in ("by_age", "by_leverage", "noise_gain", "in_span", "degrees_of_freedom"):
        np.testing.assert_allclose(ogd[f"output_{name}"], theirs[f"reference_{name}"], atol=1e-6)
    shares = ogd.output_by_age.sel(point=10).values
    assert np.polyfit(np.arange(10), shares, 1)[0] < -0.01
    assert np.isnan(ogd.output_by_age.sel(point=3, age=slice(4, None))).all()
    assert np.isnan(ogd.by_age.sel(layer=0)).all()  # the embedding of the query knows no y
    ols = ogd.sel(reference="ols").reference_degrees_of_freedom
    assert ols.values.tolist() == pytest.approx([3, 5], abs=0.5)


def test_picture_and_note_say_the_same(ogd: xarray.Dataset):
    figure = plots.influence(ogd)
    lines = {trace.name: trace for trace in figure.data}
    np.testing.assert_allclose(lines["the model"].y, ogd.output_by_age.sel(point=10))
    assert {"OLS", "Online GD", "equal shares"} < set(lines)
    newest = lines["the model"].y[0]
    assert f"the newest has {newest:.1%} of the influence" in influence_note(ogd)
    with pytest.raises(ValueError, match="point must be one of 3, 10, got 4"):
        plots.influence(ogd, 4)


class Sums(nn.Module):
    """Predicts a sum of y times a sum of the query, with a gradient or without."""

    def __init__(self, is_differentiable: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, dtype=torch.float64)
        self.is_differentiable = is_differentiable

    def forward(self, xs: Tensor, ys: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.is_differentiable):
            before = (ys.cumsum(1) - ys) * xs.sum(-1)
            return self.layer(before[..., None])[..., 0]


def attached(is_differentiable: bool, is_causal: bool = True) -> hooks.AttachedModel:
    module = Sums(is_differentiable)
    return hooks.attach(
        module, lambda module, xs, ys: module(xs, ys), n_dims=5, n_points=11, layers=["layer"],
        points=slice(None), causal=is_causal,
    )  # fmt: skip


@pytest.mark.parametrize("is_causal", [True, False])
def test_attached_models_have_gradients(is_causal: bool):
    model = attached(True, is_causal)
    xs, ys = draw(3, 6)
    _, jacobian = jacobian_of(model, xs, ys)
    expected = model.module.layer.weight.item() * xs[:, -1:].sum(-1).expand(3, 5)
    torch.testing.assert_close(jacobian, expected)
    assert lacks_gradient(model) is None


def test_a_model_without_gradients_is_refused():
    model = attached(False)
    with pytest.raises(NoGradientError, match="no gradient flows from the predictions of"):
        influence(model, TASK, points=[3], n_prompts=64)
    with pytest.raises(ValueError, match="show=influence: no gradient flows"):
        interp.match(model, TASK, n_prompts=128, show="influence")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": [11]}, "points must be numbers of examples from 1 to 10, got 11"),
        ({"n_prompts": 10}, "n_prompts must be at least 64, got 10"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        influence(interp.load("ogd-exact"), **options)  # type: ignore[arg-type]
