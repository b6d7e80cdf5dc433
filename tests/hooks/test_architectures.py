"""Properties of every trainable architecture, whatever it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.architectures import ARCHITECTURES, architecture_of, build_model
from hooks.architectures.constructed import ConstructedModel
from hooks.architectures.early_exit import EarlyExit
from hooks.checkpoints import load_checkpoint, save_checkpoint
from hooks.model import SequenceModel

N_DIMS, N_POINTS = 3, 6
SIZES = {"n_dims": N_DIMS, "n_points": N_POINTS, "n_layers": 2, "d_model": 8}


@dataclass(frozen=True)
class Variant:
    architecture: str
    options: dict[str, Any]

    def build(self, seed: int = 0) -> SequenceModel:
        return build_model(self.architecture, SIZES | self.options, seed=seed).double().eval()


TRAINABLE = [
    name
    for name, (model, _) in ARCHITECTURES.items()
    if not issubclass(model, (ConstructedModel, EarlyExit))
]
VARIANTS = {name: Variant(name, {}) for name in TRAINABLE} | {
    "gpt2, one head": Variant("gpt2", {"n_heads": 1}),
    "gpt2, attention only": Variant("gpt2", {"attn_only": True}),
    "gpt2, ReLU attention": Variant("gpt2", {"attention": "relu"}),
    "gpt2, joined tokens": Variant("gpt2", {"tokens": "joined"}),
    "lstm, residual": Variant("lstm", {"residual": True}),
    "looped, without injection": Variant("looped", {"input_injection": False}),
    "looped, joined tokens": Variant("looped", {"tokens": "joined"}),
}
every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
CONSTRUCTED = {
    "early-exit": Variant("early-exit", {}),
    "newton-exact": Variant("newton-exact", {"d_model": 0, "n_layers": 4}),
    "newton-exact, silent": Variant(
        "newton-exact", {"d_model": 0, "n_layers": 4, "readable": False}
    ),
    "gd-exact, looped": Variant("gd-exact", {"d_model": 0, "looped": True}),
    "gdpp-exact": Variant("gdpp-exact", {"d_model": 0}),
    "ogd-exact": Variant("ogd-exact", {"d_model": 0}),
    "planted, with noise": Variant("planted", {"d_model": 0, "noise": 0.1}),
}
"""Models that are not trained, or not as they are."""
all_variants = pytest.mark.parametrize(
    "variant", (VARIANTS | CONSTRUCTED).values(), ids=(VARIANTS | CONSTRUCTED).keys()
)
UNORDERED = [
    "linear-attention",
    *(name for name in CONSTRUCTED if "exact" in name and name != "ogd-exact"),
]
"""Architectures to which a prefix is a set."""


def prompts(seed: int, n_prompts: int = 3, n_points: int = N_POINTS) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(n_prompts, n_points, N_DIMS, dtype=torch.float64, generator=generator)
    ys = torch.randn(n_prompts, n_points, dtype=torch.float64, generator=generator)
    return xs, ys


def every_site(model: SequenceModel) -> list[Any]:
    return [site for kind in model.site_kinds for site in model.sites(kind)]


def read_all(model: SequenceModel, xs: torch.Tensor, ys: torch.Tensor) -> dict[str, torch.Tensor]:
    """Predictions, and the activations of every site at the points."""
    names = {str(site): model.hook_name(site) for site in every_site(model)}
    predictions, cache = model.run_with_cache(xs, ys, names_filter=list(names.values()))
    read = {site: model.read_site(cache[name], *ys.shape) for site, name in names.items()}
    return read | {"predictions": predictions}


@all_variants
@settings(max_examples=8)
@given(seed=st.integers(0, 2**31), point=st.integers(0, N_POINTS - 1))
def test_nothing_at_a_point_depends_on_what_follows_its_x(
    variant: Variant, seed: int, point: int
) -> None:
    model = variant.build(seed)
    xs, ys = prompts(seed)
    other_xs, other_ys = prompts(seed + 1)
    other_xs[:, : point + 1], other_ys[:, :point] = xs[:, : point + 1], ys[:, :point]
    before, after = read_all(model, xs, ys), read_all(model, other_xs, other_ys)
    for name, value in before.items():
        torch.testing.assert_close(after[name][:, : point + 1], value[:, : point + 1], msg=name)


@every_variant
def test_predictions_depend_on_every_y_before_and_on_their_own_x(variant: Variant) -> None:
    model = variant.build()
    xs, ys = (part.requires_grad_() for part in prompts(0, n_prompts=1))
    by_xs, by_ys = torch.autograd.grad(model(xs, ys)[0, -1], (xs, ys))
    assert (by_ys[0, :-1] != 0).all()
    assert (by_xs[0] != 0).all()
    assert by_ys[0, -1] == 0


@all_variants
@settings(max_examples=8)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(4)))
def test_prompts_do_not_see_each_other(variant: Variant, seed: int, order: list[int]) -> None:
    model = variant.build(seed)
    xs, ys = prompts(seed, n_prompts=4)
    together = read_all(model, xs, ys)
    some = order[: 1 + seed % 4]
    for name, value in read_all(model, xs[some], ys[some]).items():
        torch.testing.assert_close(value, together[name][some], msg=name)


@all_variants
@pytest.mark.parametrize("n_points", [1, 2, N_POINTS - 1])
def test_shorter_prompts_are_prefixes(variant: Variant, n_points: int) -> None:
    model = variant.build()
    xs, ys = prompts(0)
    short = model(xs[:, :n_points], ys[:, :n_points])
    torch.testing.assert_close(short, model(xs, ys)[:, :n_points])


@every_variant
def test_longer_prompts_go_on_where_the_weights_allow_it(variant: Variant) -> None:
    model = variant.build()
    xs, ys = prompts(1, n_points=N_POINTS + 3)
    if not model.takes_longer_prompts:
        with pytest.raises(ValueError, match=f"has {N_POINTS + 3} points, the model takes at most"):
            model(xs, ys)
        return
    longer = model(xs, ys)
    assert longer.shape == (3, N_POINTS + 3)
    assert torch.allclose(longer[:, :N_POINTS], model(xs[:, :N_POINTS], ys[:, :N_POINTS]))
    assert all(len(read[0]) == N_POINTS + 3 for read in read_all(model, xs, ys).values())


@all_variants
def test_every_site_is_read_at_every_point(variant: Variant) -> None:
    model = variant.build()
    xs, ys = prompts(0)
    activations = read_all(model, xs, ys)
    assert {str(site) for site in every_site(model)} < set(activations)
    assert "resid_post[0]" in activations
    for name, value in activations.items():
        assert value.shape[:2] == ys.shape, name
        if name.startswith("resid") or variant.architecture in TRAINABLE:
            expected = 1 if name == "predictions" else model.config.d_model
            assert value[0, 0].numel() == expected, name


@every_variant
def test_read_out_of_the_last_layer_is_the_prediction(variant: Variant) -> None:
    model = variant.build()
    activations = read_all(model, *prompts(0))
    last = activations[f"resid_post[{model.n_layers}]"]
    predictions = model.read_out(model.final_norm(last))[..., 0]
    torch.testing.assert_close(predictions, activations["predictions"])


@every_variant
def test_a_checkpoint_restores_the_model(variant: Variant, tmp_path: Any) -> None:
    model = variant.build().float()
    path = tmp_path / "model.safetensors"
    save_checkpoint(model, path, {"step": 7})
    loaded = load_checkpoint(path)
    assert architecture_of(loaded) == variant.architecture
    assert loaded.config == model.config
    assert loaded.provenance["step"] == 7
    xs, ys = prompts(0)
    assert torch.equal(loaded(xs, ys), model(xs, ys))


@every_variant
def test_a_seed_decides_all_initial_weights(variant: Variant) -> None:
    first, second, other = (variant.build(seed).state_dict() for seed in (0, 0, 1))
    torch.manual_seed(5)
    assert all(torch.equal(first[name], second[name]) for name in first)
    drawn = {name for name, weight in first.items() if (weight != weight.flatten()[0]).any()}
    assert drawn
    unequal = {name for name in drawn if not torch.equal(first[name], other[name])}
    # The forget gate's bias is the one weight that is neither constant nor drawn.
    assert all(name.endswith("bias_ih_l0") for name in drawn - unequal)


@every_variant
def test_gradients_reach_every_weight(variant: Variant) -> None:
    model = variant.build()
    model(*prompts(0)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("name", UNORDERED)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(N_POINTS - 1)))
def test_the_order_of_examples_does_not_matter(name: str, seed: int, order: list[int]) -> None:
    model = (VARIANTS | CONSTRUCTED)[name].build(seed)
    xs, ys = prompts(seed)
    order = [*order, N_POINTS - 1]
    before, after = read_all(model, xs, ys), read_all(model, xs[:, order], ys[:, order])
    for site, value in before.items():
        torch.testing.assert_close(after[site][:, -1], value[:, -1], msg=site)


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("gpt3", {}, "architecture 'gpt3' is unknown"),
        ("gpt2", {"n_head": 2}, "gpt2 has no n_head; it takes"),
        ("gpt2", {"n_heads": 3}, "d_model must be a multiple of n_heads, got 64 and 3"),
        ("linear-attention", {"clip": 0.0}, "clip must be above 0, got 0.0"),
        ("lstm", {"n_layers": 0}, "n_layers must be at least 1, got 0"),
    ],
)
def test_errors_name_the_field(architecture: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model(architecture, options)


def test_attention_only_gpt2_has_no_mlp_sites() -> None:
    model = VARIANTS["gpt2, attention only"].build()
    assert "mlp_out" not in model.site_kinds
    with pytest.raises(ValueError, match="not 'mlp_out'"):
        model.sites("mlp_out")
    assert not any("mlp" in name for name in model.state_dict())
