"""What single heads hold, where it is known."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LinearRegression as LeastSquares

from hooks import Site, build_model
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from interp.analyses.head_targets import moments
from interp.analyses.heads import HeadSettings, read_heads
from interp.tasks import LinearRegression
from probes.references import Prefixes

TASK = LinearRegression(n_dims=3, n_points=6)
SIZES = {"n_dims": 3, "n_points": 6, "n_layers": 2, "d_model": 8, "n_heads": 2}


def test_moments_are_the_textbook_ones():
    xs, ys, _ = TASK.sample(4, torch.Generator().manual_seed(0))
    found = moments(Prefixes(xs, ys), 3)
    means = moments(Prefixes(xs, ys), 3, per_example=True)
    for t in range(1, 6):
        x, y = xs[:, :t], ys[:, :t, None]
        for j in range(3):
            expected = torch.linalg.matrix_power(x.mT @ x, j) @ (x.mT @ y)
            torch.testing.assert_close(found[j, :, t], expected[..., 0])
            torch.testing.assert_close(means[j, :, t], expected[..., 0] / t ** (j + 1))


@pytest.fixture(scope="module")
def gd():
    model = GDExact(GDExactConfig(n_dims=3, n_points=6, n_layers=3, dtype="float64"))
    return read_heads(model, TASK, n_prompts=256)


def test_the_first_head_of_gd_holds_b_and_no_vector(gd):
    """Layer 1 adds eta x·b; later ones x·(w_k - w_{k-1}), which for small eta is nearly x·b."""
    assert gd.attrs["per_example"] == 0
    r2 = gd.moment_r2.sel(layer=1, head=0)
    assert float(r2.sel(form="prediction", moment=0)) == pytest.approx(1)
    assert float(r2.sel(form="prediction", moment=1)) < 0.95
    assert float(r2.sel(form="vector").max()) < 0.05
    iterate = gd.sel(reference="gd", form="prediction", layer=1, head=0)
    assert float(iterate.iterate_r2) == pytest.approx(1)
    assert iterate.iterate_step == 1


def test_targets_of_other_prompts_are_not_there(gd):
    assert float(gd.shuffled_r2.max()) < 0.05


def test_r2_is_that_of_least_squares_on_the_same_samples():
    """With enough samples neither ridge nor the choice of it matters: scikit-learn's R^2."""
    model = build_model("gpt2", SIZES, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=torch.manual_seed(1)))
    found = read_heads(model, TASK, n_prompts=4096, references=("gd",), n_moments=1)
    assert found.attrs["per_example"] == 1
    xs, ys, _ = TASK.sample(4096, torch.Generator().manual_seed(99))
    with torch.no_grad():
        _, cache = model.run_with_cache(xs, ys)
    b = moments(Prefixes(xs, ys), 1, per_example=True)[0]
    target = (b * xs).sum(-1)[:, 1:].flatten().numpy()
    for layer, head in ((1, 0), (2, 1)):
        z = cache[model.hook_name(Site(layer, "z"))][:, 2::2, head].flatten(0, 1).double().numpy()
        half = len(z) // 2
        expected = LeastSquares().fit(z[:half], target[:half]).score(z[half:], target[half:])
        r2 = found.moment_r2.sel(form="prediction", moment=0, layer=layer, head=head)
        assert float(r2) == pytest.approx(expected, abs=0.03)


def test_models_without_heads_and_settings_out_of_range():
    lstm = build_model("lstm", {"n_dims": 3, "n_points": 6, "n_layers": 1, "d_model": 8}, seed=0)
    with pytest.raises(ValueError, match="this LSTM has no attention heads"):
        read_heads(lstm, TASK)
    with pytest.raises(ValueError, match="reference 'sgd' was not compared"):
        read_heads(build_model("gpt2", SIZES, seed=0), TASK, references=("sgd",))
    with pytest.raises(ValueError, match="n_prompts must be at least 16"):
        HeadSettings(n_prompts=3)
