from __future__ import annotations

import pytest
import torch
from algorithm_loops import gd_by_loop, newton_by_loop, streams
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.architectures.planted import Planted, build_planted, truth
from hooks.architectures.standard_prompts import standard_prompts
from hooks.checkpoints import load_checkpoint, save_checkpoint


def expected_predictions(model: Planted, xs, ys):
    config = model.config
    n_steps = int(truth(model)[-1])
    if config.algorithm == "newton":
        return newton_by_loop(xs, ys, config.alpha, n_steps)[0]
    gamma = config.gamma if config.algorithm == "gdpp" else 0.0
    return gd_by_loop(xs, ys, n_steps, config.eta, gamma)


@pytest.mark.parametrize("rotation_seed", [None, 0])
@pytest.mark.parametrize(
    ("algorithm", "iterations"),
    [("newton", 1), ("newton", 3), ("gd", 1), ("gd", 10), ("gd", 50), ("gdpp", 2)],
)
def test_each_layer_holds_the_truth(algorithm, iterations, rotation_seed):
    model = build_planted(
        algorithm=algorithm, iterations_per_layer=iterations, rotation_seed=rotation_seed,
        n_layers=6, idle_start=1, idle_end=1, dead_fraction=0.25, dtype="float64",
    )  # fmt: skip
    steps = truth(model)
    n_active = 3
    assert steps[-1] == n_active * iterations
    assert steps[-1] == steps[-2] > steps[-3]
    xs, ys = standard_prompts(model.config, 4)
    expected = expected_predictions(model, xs, ys)
    torch.testing.assert_close(model(xs, ys), expected[-1], rtol=0, atol=1e-8)
    seen = streams(model, xs, ys)
    for layer, k in enumerate(steps):
        if not k.isnan():
            held = seen[layer] @ model.W_read_out.detach()
            torch.testing.assert_close(held, expected[int(k)], rtol=0, atol=1e-8)
    assert steps[:2].isnan().all() == (algorithm == "newton")


def test_rotation_mixes_every_coordinate_and_changes_no_prediction():
    plain = build_planted(algorithm="gd", dtype="float64")
    turned = build_planted(algorithm="gd", rotation_seed=5, dtype="float64")
    xs, ys = standard_prompts(plain.config, 64)
    torch.testing.assert_close(plain(xs, ys), turned(xs, ys))
    before, after = (streams(model, xs, ys)[-1].std((0, 1)) for model in (plain, turned))
    assert (before == 0).any()
    assert (after > 0.01).all()
    assert not torch.equal(
        after, streams(build_planted(algorithm="gd", rotation_seed=6), xs, ys)[-1]
    )


@given(noise=st.sampled_from([0.1, 0.3]), algorithm=st.sampled_from(["newton", "gd", "gdpp"]))
@settings(max_examples=4)
def test_noise_has_its_size_at_every_layer_and_leaves_the_computation_alone(noise, algorithm):
    dials = {"algorithm": algorithm, "n_layers": 4, "rotation_seed": 1, "dtype": "float64"}
    clean, noisy = build_planted(**dials), build_planted(**dials, noise=noise)
    xs, ys = standard_prompts(clean.config, 500)
    xs, ys = xs[256:], ys[256:]
    torch.testing.assert_close(noisy(xs, ys), clean(xs, ys), rtol=0, atol=1e-10)
    clean_streams = streams(clean, xs, ys)
    difference = streams(noisy, xs, ys) - clean_streams
    for layer in range(5):
        std = clean_streams[layer].var((0, 1)).mean().sqrt()
        size = difference[layer].std() / std
        assert abs(size / noise - 1) < 0.1
        flat = difference[layer].flatten(0, 1)
        correlation = torch.corrcoef(flat.T) - torch.eye(flat.shape[1])
        assert correlation.abs().max() < 6 / len(flat) ** 0.5
    assert torch.corrcoef(difference.flatten(1)).sub(torch.eye(5)).abs().max() < 0.03


def test_noise_belongs_to_a_prompt_and_a_point_not_to_the_call():
    model = build_planted(noise=0.3, n_layers=3)
    xs, ys = standard_prompts(model.config, 20)
    seen = streams(model, xs, ys)
    torch.testing.assert_close(streams(model, xs, ys), seen, rtol=0, atol=0)
    torch.testing.assert_close(streams(model, xs[7:9], ys[7:9]), seen[:, 7:9])
    torch.testing.assert_close(streams(model, xs[:, :5], ys[:, :5]), seen[:, :, :5])
    other = streams(build_planted(noise=0.3, noise_seed=1, n_layers=3), xs, ys)
    assert (other - seen).abs().mean() > 0.05


def test_noise_that_enters_changes_what_follows():
    dials = {"algorithm": "gd", "n_layers": 4, "dtype": "float64"}
    clean = build_planted(**dials)
    xs, ys = standard_prompts(clean.config, 256)
    errors = [
        (build_planted(**dials, noise=noise, noise_enters=True)(xs, ys) - clean(xs, ys)).std()
        for noise in (0.01, 0.1)
    ]
    assert 0 < errors[0] < errors[1] / 5


def test_silent_newton_reads_out_in_its_last_active_layer_only():
    model = build_planted(readable=False, n_layers=5, idle_end=1, iterations_per_layer=2)
    assert truth(model)[:4].isnan().all()
    assert truth(model)[4:].tolist() == [8, 8]
    assert truth(model, "filtered_query")[1:].tolist() == [2, 4, 6, 8, 8]
    xs, ys = standard_prompts(model.config, 4)
    expected, _ = newton_by_loop(xs, ys, model.config.alpha, 8)
    assert (model(xs, ys) - expected[-1]).abs().max() < 1e-3


def test_dead_layers_are_drawn_between_the_first_and_the_last():
    counts = set()
    for seed in range(20):
        config = build_planted(algorithm="gd", dead_fraction=0.5, dead_seed=seed).config
        assert sum(config.is_active) == 4
        assert config.is_active[0]
        assert config.is_active[-1]
        counts.add(config.is_active)
    assert len(counts) > 5


@pytest.mark.parametrize("enters", [False, True])
def test_checkpoints_keep_all_dials(tmp_path, enters):
    model = build_planted(
        algorithm="gdpp", noise=0.2, noise_enters=enters, rotation_seed=0, n_layers=3
    )
    save_checkpoint(model, tmp_path / "m.safetensors", model.provenance)
    loaded = load_checkpoint(tmp_path / "m.safetensors")
    assert loaded.config == model.config
    assert loaded.provenance["task"]["n_dims"] == 5
    xs, ys = standard_prompts(model.config, 4)
    torch.testing.assert_close(streams(loaded, xs, ys), streams(model, xs, ys), rtol=0, atol=0)


@pytest.mark.parametrize(
    "dials",
    [
        {"algorithm": "sgd"}, {"noise": -1.0}, {"idle_start": 4, "idle_end": 4},
        {"dead_fraction": 0.9}, {"idle_start": -1}, {"iterations_per_layer": 0},
    ],
)  # fmt: skip
def test_dials_that_make_no_sense_are_refused(dials):
    with pytest.raises(ValueError, match=next(iter(dials))):
        build_planted(**dials)


def test_unknown_dials_are_named():
    with pytest.raises(ValueError, match="loudness"):
        build_planted(loudness=1)
