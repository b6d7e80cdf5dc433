"""The hooked GPT-2: Hugging Face's numbers, causality, and TransformerLens's habits."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2Model

from hooks import SequenceModel, Site, build_model
from hooks.checkpoints.gpt2_names import from_huggingface, to_huggingface


def random_model(
    n_dims: int = 3,
    n_points: int = 6,
    n_layers: int = 3,
    n_heads: int = 2,
    d_model: int = 8,
    spread: float = 0.3,
) -> SequenceModel:
    """All parameters random, biases and LayerNorms too, and large enough to matter."""
    sizes = {"n_dims": n_dims, "n_points": n_points, "n_layers": n_layers}
    model = build_model("gpt2", sizes | {"n_heads": n_heads, "d_model": d_model}, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=spread)
    return model


def random_prompts(
    n_dims: int = 3, n_points: int = 6, n: int = 5, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(n, n_points, n_dims, generator=generator)
    return xs, torch.randn(n, n_points, generator=generator)


MODEL = random_model()


def huggingface_twin(model: SequenceModel) -> GPT2Model:
    config = model.config
    twin = GPT2Model(
        GPT2Config(
            n_positions=2 * config.n_points, n_embd=config.d_model, n_layer=config.n_layers,
            n_head=config.n_heads, vocab_size=1, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        )
    ).to(model.dtype).eval()  # fmt: skip
    missing, unexpected = twin.load_state_dict(to_huggingface(model.state_dict()), strict=False)
    assert missing == ["wte.weight"]
    assert unexpected == []
    return twin


@pytest.mark.parametrize(
    ("n_layers", "n_heads", "d_model", "n_points"), [(1, 1, 4, 6), (3, 2, 8, 6), (4, 8, 64, 11)]
)
@pytest.mark.parametrize(
    ("dtype", "spread", "tolerance"), [(torch.float32, 0.05, 1e-5), (torch.float64, 0.3, 1e-11)]
)
def test_hidden_states_and_predictions_are_hugging_faces(
    n_layers: int,
    n_heads: int,
    d_model: int,
    n_points: int,
    dtype: torch.dtype,
    spread: float,
    tolerance: float,
) -> None:
    model = random_model(3, n_points, n_layers, n_heads, d_model, spread).to(dtype)
    close = partial(torch.testing.assert_close, rtol=tolerance, atol=tolerance)
    xs, ys = (part.to(dtype) for part in random_prompts(n_points=n_points))
    tokens = torch.zeros(5, 2 * n_points, 3, dtype=dtype)
    tokens[:, ::2] = xs
    tokens[:, 1::2, 0] = ys
    with torch.no_grad():
        predictions, cache = model.run_with_cache(xs, ys)
        hidden = huggingface_twin(model)(
            inputs_embeds=model.read_in(tokens), output_hidden_states=True
        ).hidden_states
        for site, expected in zip(model.sites(), hidden, strict=True):
            ours = cache[model.hook_name(site)]
            if site.layer == n_layers:
                ours = model.final_norm(ours)
            close(ours, expected)
        expected = model.read_out(hidden[-1])[:, ::2, 0]
    close(predictions, expected)


def test_hugging_faces_names_and_back() -> None:
    weights = MODEL.state_dict()
    backbone = {name: w for name, w in weights.items() if not name.startswith("read_")}
    returned = from_huggingface(to_huggingface(weights))
    assert returned.keys() == backbone.keys()
    assert all(torch.equal(returned[name], backbone[name]) for name in backbone)


@settings(max_examples=30)
@given(
    point=st.integers(0, 5),
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_what_comes_later_changes_no_prediction(point: int, seed: int, scale: float) -> None:
    xs, ys = random_prompts(seed=seed)
    other_xs, other_ys = random_prompts(seed=seed + 1)
    changed_xs, changed_ys = xs.clone(), ys.clone()
    changed_xs[:, point + 1 :] = scale * other_xs[:, point + 1 :]
    changed_ys[:, point:] = scale * other_ys[:, point:]
    with torch.no_grad():
        before, after = MODEL(xs, ys), MODEL(changed_xs, changed_ys)
    torch.testing.assert_close(before[:, : point + 1], after[:, : point + 1])
    if point < 5:
        assert not torch.allclose(before[:, point + 1 :], after[:, point + 1 :])


@settings(max_examples=20)
@given(point=st.integers(1, 5), seed=st.integers(0, 2**16))
def test_a_prefix_alone_gives_the_predictions_of_the_whole(point: int, seed: int) -> None:
    xs, ys = random_prompts(seed=seed)
    with torch.no_grad():
        torch.testing.assert_close(MODEL(xs[:, :point], ys[:, :point]), MODEL(xs, ys)[:, :point])


@settings(max_examples=20)
@given(order=st.permutations(range(5)), seed=st.integers(0, 2**16))
def test_prompts_of_a_batch_do_not_meet(order: list[int], seed: int) -> None:
    xs, ys = random_prompts(seed=seed)
    with torch.no_grad():
        together = MODEL(xs, ys)
        alone = torch.cat([MODEL(xs[i : i + 1], ys[i : i + 1]) for i in order])
    torch.testing.assert_close(alone, together[order])


def test_pattern_is_computed_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    xs, ys = random_prompts()
    asked = []
    original = type(MODEL.blocks[0].attn)._attend_with_pattern
    monkeypatch.setattr(
        type(MODEL.blocks[0].attn),
        "_attend_with_pattern",
        lambda attn, *qkv: asked.append(attn.name) or original(attn, *qkv),
    )
    with torch.no_grad():
        plain, _ = MODEL.run_with_cache(xs, ys, names_filter=lambda name: "resid" in name)
        assert asked == []
        with_pattern, cache = MODEL.run_with_cache(
            xs, ys, names_filter="blocks.1.attn.hook_pattern"
        )
    assert asked == ["blocks.1.attn"]
    pattern = cache["blocks.1.attn.hook_pattern"]  # [prompt, head, query, key]
    assert pattern.shape == (5, 2, 12, 12)
    torch.testing.assert_close(pattern.sum(-1), torch.ones(5, 2, 12))
    assert pattern.triu(1).abs().max() == 0
    torch.testing.assert_close(with_pattern, plain)


def test_cache_holds_transformer_lens_names_and_adds_up() -> None:
    xs, ys = random_prompts()
    with torch.no_grad():
        _, cache = MODEL.run_with_cache(xs, ys)
    for layer in range(3):
        block = f"blocks.{layer}"
        mid = cache[f"{block}.hook_resid_pre"] + cache[f"{block}.hook_attn_out"]
        torch.testing.assert_close(mid, cache[f"{block}.hook_resid_mid"])
        post = mid + cache[f"{block}.hook_mlp_out"]
        torch.testing.assert_close(post, cache[f"{block}.hook_resid_post"])
        assert cache[f"{block}.attn.hook_q"].shape == (5, 12, 2, 4)
        z = cache[f"{block}.attn.hook_pattern"] @ cache[f"{block}.attn.hook_v"].transpose(1, 2)
        torch.testing.assert_close(z.transpose(1, 2), cache[f"{block}.attn.hook_z"])
    embedded = cache["hook_embed"] + cache["hook_pos_embed"]
    torch.testing.assert_close(embedded, cache["blocks.0.hook_resid_pre"])


def test_hooks_change_the_run_and_only_that_run() -> None:
    xs, ys = random_prompts()

    def drop_head(z: torch.Tensor, hook: object) -> torch.Tensor:
        z = z.clone()
        z[:, :, 0] = 0
        return z

    with torch.no_grad():
        before = MODEL(xs, ys)
        ablated = MODEL.run_with_hooks(xs, ys, fwd_hooks=[("blocks.1.attn.hook_z", drop_head)])
        frozen = MODEL.run_with_hooks(
            xs, ys, fwd_hooks=[("blocks.1.attn.hook_pattern", lambda pattern, hook: pattern * 0)]
        )
        after = MODEL(xs, ys)
    assert not torch.allclose(before, ablated)
    assert not torch.allclose(before, frozen)
    assert torch.equal(before, after)


def test_gradients_flow_through_every_parameter() -> None:
    model = random_model()
    xs, ys = random_prompts()
    (model(xs, ys) - ys).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        last_y = name == "W_pos.weight"  # nobody reads the stream at the last y
        assert (parameter.grad[:-1] if last_y else parameter.grad).abs().max() > 0, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_seed_same_weights_and_the_models_dtype(dtype: torch.dtype) -> None:
    first, second = (build_model("gpt2", {"n_layers": 2}, seed=3).to(dtype) for _ in range(2))
    other = build_model("gpt2", {"n_layers": 2}, seed=4).to(dtype)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))
    assert not torch.equal(first.read_in.weight, other.read_in.weight)
    xs, ys = torch.randn(2, 11, 5, dtype=torch.float64), torch.randn(2, 11, dtype=torch.float64)
    assert first(xs, ys).dtype == dtype


def test_initial_scale_is_gpt2s() -> None:
    model = build_model("gpt2", {"n_layers": 8, "d_model": 128, "n_heads": 4}, seed=0)
    assert model.blocks[3].mlp.W_in.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert model.blocks[3].attn.W_O.weight.std().item() == pytest.approx(0.02 / 4, rel=0.02)
    assert model.blocks[3].attn.W_QKV.bias.abs().max() == 0


def test_sites_in_order() -> None:
    assert MODEL.sites() == (Site(0), Site(1), Site(2), Site(3))
    assert MODEL.sites("z") == tuple(Site(layer, "z") for layer in (1, 2, 3))
    with pytest.raises(ValueError, match="not 'pattern'"):
        MODEL.sites("pattern")


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="d_model must be a multiple of n_heads"):
        build_model("gpt2", {"d_model": 10, "n_heads": 4})
