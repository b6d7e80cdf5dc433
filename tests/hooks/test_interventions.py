from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hooks import Site, build_model, capture
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from hooks.architectures.standard_prompts import standard_prompts
from hooks.interventions import METHODS, Ablate, AblateLayer, Patch, Shift, intervene, record
from hooks.interventions.ablation import check_method, other_prompts

SIZES = {"n_dims": 3, "n_points": 5, "n_layers": 3, "d_model": 8, "n_heads": 2}


@pytest.fixture(scope="module")
def gpt2():
    model = build_model("gpt2", SIZES, seed=0).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # so that no part is negligible
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.manual_seed(1)))
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def prompts(gpt2):
    return standard_prompts(gpt2.config, 6)


@pytest.fixture(scope="module")
def others(gpt2):
    xs, ys = standard_prompts(gpt2.config, 12)
    return xs[6:], ys[6:]


def n_hooks(model):
    points = list(model.hook_dict.values())
    return sum(len(point.fwd_hooks) + len(point._forward_hooks) for point in points)


@pytest.mark.parametrize("layer", [1, 2, 4])
def test_skipping_a_layer_of_gd_is_a_model_with_one_layer_fewer(layer):
    config = GDExactConfig(n_layers=4, dtype="float64")
    xs, ys = standard_prompts(config, 5)
    model = GDExact(config)
    with intervene(model, AblateLayer(layer)):
        skipped = model(xs, ys)
    shorter = GDExact(replace(config, n_layers=3))(xs, ys)
    torch.testing.assert_close(skipped, shorter, rtol=0, atol=1e-12)
    assert (skipped - model(xs, ys)).abs().max() > 1e-3


def test_skipping_equals_ablating_both_halves_of_a_layer(gpt2, prompts):
    halves = [Ablate(Site(2, kind)) for kind in ("attn_out", "mlp_out")]
    with intervene(gpt2, *halves):
        expected = gpt2(*prompts)
    with intervene(gpt2, AblateLayer(2)):
        torch.testing.assert_close(gpt2(*prompts), expected)
    assert not torch.allclose(gpt2(*prompts), expected)


def test_no_intervention_changes_nothing(gpt2, prompts):
    before = gpt2(*prompts)
    with intervene(gpt2) as same:
        assert same is gpt2
        assert torch.equal(gpt2(*prompts), before)


@pytest.mark.parametrize("method", METHODS)
def test_ablations_do_what_they_say_and_nothing_before(gpt2, prompts, method):
    site = Site(2, "mlp_out")
    plain = record(gpt2, *prompts, [site, Site(1)])
    with intervene(gpt2, Ablate(site, method, seed=3)):
        seen = record(gpt2, *prompts, [site, Site(1)])
    expected = {
        "zero": torch.zeros_like(plain[site]),
        "mean": plain[site].mean(0).expand_as(plain[site]),
        "resample": plain[site][other_prompts(6, 3)],
    }[method]
    assert torch.equal(seen[site], expected)
    assert torch.equal(seen[Site(1)], plain[Site(1)])


@pytest.mark.parametrize("method", METHODS)
def test_ablating_a_head_leaves_the_other_alone(gpt2, prompts, method):
    z = Site(1, "z")
    plain = record(gpt2, *prompts, [z])[z]
    with intervene(gpt2, Ablate(z, method, head=1)):
        seen = record(gpt2, *prompts, [z])[z]
    assert torch.equal(seen[:, :, 0], plain[:, :, 0])
    assert not torch.allclose(seen[:, :, 1], plain[:, :, 1])


def test_ablating_every_head_is_ablating_attention_but_for_its_bias(gpt2, prompts):
    with intervene(gpt2, *(Ablate(Site(1, "z"), head=head) for head in range(2))):
        seen = record(gpt2, *prompts, [Site(1, "attn_out")])[Site(1, "attn_out")]
    bias = gpt2.blocks[0].attn.W_O.bias
    torch.testing.assert_close(seen, bias.expand_as(seen))


@pytest.mark.parametrize("method", ["mean", "resample"])
def test_a_layer_whose_work_is_the_same_for_all_prompts_is_not_missed(prompts, method):
    model = build_model("gpt2", SIZES, seed=0)
    for name, parameter in model.blocks[1].named_parameters():
        if "W_O" in name or "W_out" in name:  # the layer adds its biases and nothing else
            torch.nn.init.constant_(parameter, float(name.endswith("bias")))
    with torch.no_grad():
        expected = model(*prompts)
        with intervene(model, AblateLayer(2, method)):
            torch.testing.assert_close(model(*prompts), expected)
        with intervene(model, AblateLayer(2)):
            skipped = model(*prompts)
    assert model.blocks[1].attn.W_O.bias.mean() == 1
    assert not torch.equal(skipped, expected)


@given(n=st.integers(2, 40), seed=st.integers(0, 2**31))
def test_other_prompts_are_others_all_of_them_and_seeded(n, seed):
    others = other_prompts(n, seed)
    assert sorted(others.tolist()) == list(range(n))
    assert not (others == torch.arange(n)).any()
    assert torch.equal(others, other_prompts(n, seed))


@pytest.mark.parametrize("kind", ["resid_post", "attn_out", "mlp_out", "z"])
def test_patching_in_what_is_there_changes_nothing(gpt2, prompts, kind):
    site = Site(2, kind)
    before = gpt2(*prompts)
    own = record(gpt2, *prompts, [site])[site]
    heads = [None, 1] if kind == "z" else [None]
    for head in heads:
        with intervene(gpt2, Patch(site, own, head=head)):
            assert torch.equal(gpt2(*prompts), before)


def test_patching_all_of_the_last_residual_gives_the_predictions_of_the_others(
    gpt2, prompts, others
):
    last = Site(3)
    foreign = record(gpt2, *others, [last])[last]
    with intervene(gpt2, Patch(last, foreign)):
        torch.testing.assert_close(gpt2(*prompts), gpt2_of(gpt2, others))
    with intervene(gpt2, Patch(last, foreign, points=[1, 3])):
        mixed = gpt2(*prompts)
    own, theirs = gpt2(*prompts), gpt2_of(gpt2, others)
    torch.testing.assert_close(mixed[:, [1, 3]], theirs[:, [1, 3]])
    torch.testing.assert_close(mixed[:, [0, 2, 4]], own[:, [0, 2, 4]])


def gpt2_of(model, prompts):
    """What the model predicts without hooks, wherever this is asked."""
    plain = build_model("gpt2", SIZES, seed=0)
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        return plain(*prompts)


def test_points_of_constructed_models_are_their_queries():
    config = GDExactConfig(n_layers=2, dtype="float64")
    xs, ys = standard_prompts(config, 6)
    model, last = GDExact(config), Site(2)
    foreign = record(model, xs[3:], ys[3:], [last])[last]
    with torch.no_grad(), intervene(model, Patch(last, foreign, points=[4, 10])):
        patched = model(xs[:3], ys[:3])
    expected = model(xs[:3], ys[:3]).detach().clone()
    expected[:, [4, 10]] = model(xs[3:], ys[3:]).detach()[:, [4, 10]]
    torch.testing.assert_close(patched, expected)


def test_shifts_add_up(gpt2, prompts):
    site = Site(1)
    plain = record(gpt2, *prompts, [site])[site]
    with intervene(gpt2, Shift(site, torch.ones_like(plain)), Shift(site, plain)):
        seen = record(gpt2, *prompts, [site])[site]
    torch.testing.assert_close(seen, 2 * plain + 1)


def test_capture_reads_what_the_changed_model_computes(gpt2, prompts):
    with intervene(gpt2, AblateLayer(3)):
        (batch,) = capture(gpt2, prompts, [Site(2), Site(3)], final_norm="none")
    assert torch.equal(batch.activations[0], batch.activations[1])


def fail_inside(model, n_before):
    with intervene(model, AblateLayer(2), Ablate(Site(1, "z"))):
        assert n_hooks(model) > n_before
        raise ZeroDivisionError


def test_everything_is_undone_also_after_an_exception(gpt2, prompts):
    seen = []
    hook = "blocks.0.hook_attn_out"
    with gpt2.hooks(fwd_hooks=[(hook, lambda a, hook: seen.append(a.shape))]):
        own, before = n_hooks(gpt2), gpt2(*prompts)
        with pytest.raises(ZeroDivisionError):
            fail_inside(gpt2, own)
        assert n_hooks(gpt2) == own
        wrong = Shift(Site(1), torch.zeros(1, 1, 8))
        with (
            pytest.raises(ValueError, match=r"amount must be \[6, 10, 8\] at site"),
            intervene(gpt2, wrong),
        ):
            gpt2(*prompts)
        assert n_hooks(gpt2) == own
        assert torch.equal(gpt2(*prompts), before)
    assert len(seen) >= 2
    assert n_hooks(gpt2) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: check_method("none"), "method must be one of zero, mean, resample"),
        (lambda: Ablate(Site(1, "attn_out"), head=0), "only sites of kind 'z' have heads"),
        (lambda: Ablate(Site(1, "z"), head=-1), "head must be at least 0"),
        (lambda: AblateLayer(0), "layer must be at least 1"),
    ],
)
def test_interventions_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("intervention", "message"),
    [
        (AblateLayer(4), r"layer must be in 0\.\.3"),
        (Ablate(Site(1, "mlp")), "not 'mlp'"),
        (Ablate(Site(1, "z"), head=2), r"head must be in 0\.\.1 at site z\[1\], got 2"),
        (Patch(Site(1), torch.zeros(6, 10, 8), points=[5]), r"points must be in 0\.\.4"),
        (Patch(Site(1), torch.zeros(5, 10, 8)), r"activations must be \[6, 10, 8\]"),
    ],
)
def test_interventions_that_do_not_fit_the_model_are_refused(gpt2, prompts, intervention, message):
    with pytest.raises(ValueError, match=message), intervene(gpt2, intervention):
        gpt2(*prompts)


def test_a_single_prompt_has_no_other(gpt2, prompts):
    single = [part[:1] for part in prompts]
    with (
        pytest.raises(ValueError, match="at least 2 prompts"),
        intervene(gpt2, Ablate(Site(1, "mlp_out"), "resample")),
    ):
        gpt2(*single)
