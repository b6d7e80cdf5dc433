"""Streaming capture: what is read, and that nothing is left behind."""

from __future__ import annotations

import inspect
import sys

import pytest
import torch

import hooks
from hooks import NonFiniteError, Site, build_model, capture
from hooks.model import SequenceModel

N_LAYERS, D_MODEL = 3, 12


@pytest.fixture(scope="module")
def model() -> SequenceModel:
    sizes = {"n_dims": 3, "n_points": 6, "n_layers": N_LAYERS, "n_heads": 2, "d_model": D_MODEL}
    model = build_model("gpt2", sizes, seed=0)
    with torch.no_grad():
        model.ln_final.weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(1))
        model.ln_final.bias.fill_(0.3)
    return model


def prompts(n: int = 8, n_points: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(n, n_points, 3, dtype=torch.float64, generator=generator)
    return xs, torch.randn(n, n_points, dtype=torch.float64, generator=generator)


def n_hooks(model: torch.nn.Module) -> int:
    return sum(len(part._forward_hooks) for part in model.modules())


def test_public_names_resolve_whatever_was_imported_first() -> None:
    assert callable(hooks.capture)
    for name in hooks.__all__:
        assert getattr(hooks, name).__name__ if callable(getattr(hooks, name)) else True


@pytest.mark.parametrize("kind", ["resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out"])
def test_reads_what_run_with_cache_reads_at_the_x_tokens(model: SequenceModel, kind: str) -> None:
    xs, ys = prompts()
    sites = model.sites(kind)
    [captured] = capture(model, (xs, ys), sites, final_norm="none")
    with torch.no_grad():
        predictions, cache = model.run_with_cache(xs, ys)
    torch.testing.assert_close(captured.predictions, predictions)
    for site, activations in zip(sites, captured.activations, strict=True):
        torch.testing.assert_close(activations, cache[model.hook_name(site)][:, ::2])


def test_heads_are_merged(model: SequenceModel) -> None:
    xs, ys = prompts()
    [captured] = capture(model, (xs, ys), [Site(2, "z")])
    _, cache = model.run_with_cache(xs, ys)
    z = captured.activations[0].unflatten(-1, (2, -1))
    torch.testing.assert_close(z, cache["blocks.1.attn.hook_z"][:, ::2])


def test_batches_join_to_the_whole(model: SequenceModel) -> None:
    xs, ys = prompts(10)
    sites = model.sites()
    [whole] = capture(model, (xs, ys), sites)
    parts = list(capture(model, zip(xs.split(4), ys.split(4), strict=True), sites))
    assert [len(part.xs) for part in parts] == [4, 4, 2]
    for name, axis in (("xs", 0), ("ys", 0), ("predictions", 0), ("activations", 1)):
        joined = torch.cat([getattr(part, name) for part in parts], axis)
        torch.testing.assert_close(joined, getattr(whole, name))


def test_streams_without_reading_ahead(model: SequenceModel) -> None:
    asked = []

    def batches():
        for index in range(3):
            asked.append(index)
            yield prompts(2, seed=index)

    stream = capture(model, batches(), model.sites())
    assert asked == []
    next(stream)
    assert asked == [0]
    assert n_hooks(model) == 0
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("final_norm", ["official", "all", "none"])
def test_final_norm_is_where_it_was_asked_for(model: SequenceModel, final_norm: str) -> None:
    sites = [*model.sites(), Site(N_LAYERS, "resid_pre"), Site(N_LAYERS, "mlp_out")]
    [raw] = capture(model, prompts(), sites, final_norm="none")
    [captured] = capture(model, prompts(), sites, final_norm=final_norm)
    expected = {
        "official": {Site(N_LAYERS, "resid_post")},
        "all": {site for site in sites if site.kind != "mlp_out"},
        "none": set(),
    }[final_norm]
    for site, activations, before in zip(sites, captured.activations, raw.activations, strict=True):
        after = model.ln_final(before) if site in expected else before
        torch.testing.assert_close(activations, after)
    read_out = model.read_out(model.ln_final(raw.activations[N_LAYERS]))[..., 0]
    torch.testing.assert_close(read_out, raw.predictions)


def test_a_kind_stands_for_its_sites(model: SequenceModel) -> None:
    [captured] = capture(model, prompts(), "mlp_out")
    assert captured.sites == model.sites("mlp_out")


@pytest.mark.parametrize("wrap", [list, lambda pair: tuple(t.numpy() for t in pair)])
def test_what_is_no_batch_of_tensors_is_refused(model: SequenceModel, wrap) -> None:
    with pytest.raises(ValueError, match="prompts must be batches of tensors"):
        list(capture(model, wrap(tuple(prompts())[:2]), model.sites()))


def test_all_tokens(model: SequenceModel) -> None:
    [tokens] = capture(model, prompts(), model.sites(), positions="tokens")
    [points] = capture(model, prompts(), model.sites())
    assert tokens.activations.shape == (N_LAYERS + 1, 8, 12, D_MODEL)
    torch.testing.assert_close(tokens.activations[:, :, ::2], points.activations)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_is_the_models(dtype: torch.dtype) -> None:
    sizes = {"n_dims": 3, "n_points": 6, "n_layers": 2, "n_heads": 2, "d_model": 8}
    model = build_model("gpt2", sizes, seed=0).to(dtype)
    [captured] = capture(model, prompts(), model.sites())
    assert captured.predictions.dtype == captured.activations.dtype == dtype
    assert captured.xs.dtype == torch.float64


def test_leaves_modes_and_hooks_as_they_were_also_after_an_exception(model: SequenceModel) -> None:
    model.train()
    model.blocks[1].eval()
    modes = [part.training for part in model.modules()]

    class BoomError(Exception):
        pass

    def explode(activation, hook):
        assert not model.training
        assert torch.is_inference_mode_enabled()
        raise BoomError

    mine = model.blocks[2].hook_resid_post.add_hook(explode)
    with pytest.raises(BoomError):
        list(capture(model, prompts(), model.sites()))
    assert n_hooks(model) == 1
    assert [part.training for part in model.modules()] == modes
    assert not torch.is_inference_mode_enabled()
    mine.hook.remove()
    model.blocks[2].hook_resid_post.fwd_hooks.clear()
    list(capture(model, prompts(), model.sites()))
    assert n_hooks(model) == 0
    assert [part.training for part in model.modules()] == modes
    model.eval()


def test_interventions_come_first(model: SequenceModel) -> None:
    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_post", lambda x, hook: x * 0)]):
        [captured] = capture(model, prompts(), [Site(1)])
    assert captured.activations.abs().max() == 0
    [untouched] = capture(model, prompts(), [Site(1)])
    assert untouched.activations.abs().max() > 0


def test_autograd_can_use_what_was_captured(model: SequenceModel) -> None:
    [captured] = capture(model, prompts(), model.sites())
    assert not captured.activations.requires_grad
    probe = torch.zeros(D_MODEL, requires_grad=True)
    ((captured.activations @ probe - captured.predictions) ** 2).sum().backward()
    assert probe.grad is not None
    assert all(parameter.grad is None for parameter in model.parameters())


def test_non_finite_activations_name_site_and_prompt(model: SequenceModel) -> None:
    def spoil(activation, hook):
        activation = activation.clone()
        activation[1, 2] = torch.nan
        return activation

    batches = [prompts(4), prompts(4)]
    with (
        model.hooks(fwd_hooks=[("blocks.0.hook_attn_out", spoil)]),
        pytest.raises(NonFiniteError, match=r"site attn_out\[1\]: .* prompt 1 \(point 1\)$"),
    ):
        list(capture(model, batches, [Site(0), Site(1, "attn_out"), Site(2)]))


def test_non_finite_prompts_are_counted_over_batches(model: SequenceModel) -> None:
    bad = prompts(4)
    bad[1][2, 3] = torch.inf
    bad[1][3, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"ys: .* prompt 6 and 1 more \(point 3\)$"):
        list(capture(model, [prompts(4), bad], model.sites()))


def test_large_finite_values_pass() -> None:
    sizes = {"n_dims": 3, "n_points": 6, "n_layers": 1, "n_heads": 2, "d_model": 8}
    model = build_model("gpt2", sizes, seed=0).to(torch.float16)
    with torch.no_grad():
        model.W_pos.weight.fill_(60000)
    sites = model.sites()[:1]
    [captured] = capture(model, prompts(), sites)
    assert captured.activations.min() > 50000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sites": []}, "sites is empty"),
        ({"sites": [Site(1), Site(1)]}, r"resid_post\[1\] more than once"),
        ({"sites": [Site(N_LAYERS + 1)]}, r"layer must be in 0\.\.3"),
        ({"sites": [Site(0, "mlp_out")]}, r"layer must be in 1\.\.3"),
        ({"sites": [Site(1, "scale")]}, "'scale'"),
        ({"final_norm": "some"}, "final_norm must be one of official, all, none"),
        ({"positions": "ys"}, "positions must be one of"),
    ],
)
def test_wrong_arguments_fail_before_the_model_runs(
    model: SequenceModel, change: dict, message: str
) -> None:
    arguments = {"sites": model.sites()} | change
    unchecked = inspect.unwrap(capture)  # beartype would refuse some of them first
    with pytest.raises(ValueError, match=message):
        unchecked(model, (), **arguments)


@pytest.mark.parametrize(
    ("xs", "ys", "message"),
    [
        (torch.zeros(2, 5, 4), torch.zeros(2, 5), "xs has 4 dims, the model takes 3"),
        (torch.zeros(2, 9, 3), torch.zeros(2, 9), "9 points"),
        (torch.zeros(2, 5, 3), torch.zeros(2, 4), "same prompts and points"),
    ],
)
def test_prompts_that_do_not_fit(
    model: SequenceModel, xs: torch.Tensor, ys: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(SequenceModel.check_prompts)(model, xs, ys)
    if xs.shape[:2] == ys.shape:  # beartype refuses the others first
        with pytest.raises(ValueError, match=message):
            list(capture(model, (xs, ys), model.sites()))


def test_larger_batches_are_cut(model: SequenceModel) -> None:
    [whole] = capture(model, prompts(10), model.sites())
    parts = list(capture(model, [prompts(10)], model.sites(), batch_size=4))
    assert [len(part.xs) for part in parts] == [4, 4, 2]
    activations = torch.cat([part.activations for part in parts], 1)
    torch.testing.assert_close(activations, whole.activations)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        capture(model, prompts(), model.sites(), batch_size=0)


@pytest.mark.parametrize("in_place", [True, False])
def test_compiled_models_are_read(in_place: bool) -> None:
    sizes = {"n_dims": 3, "n_points": 6, "n_layers": 2, "n_heads": 2, "d_model": 8}
    ours = build_model("gpt2", sizes, seed=0).eval()
    [expected] = capture(ours, prompts(), ours.sites())
    if in_place:
        ours.compile(backend="eager")
        compiled = ours
    else:
        compiled = torch.compile(ours, backend="eager")
    [captured] = inspect.unwrap(capture)(compiled, prompts(), compiled.sites())
    assert torch.equal(captured.activations, expected.activations)


def test_activations_stay_on_the_models_device(monkeypatch: pytest.MonkeyPatch) -> None:
    capturing = sys.modules["hooks.capture"]
    monkeypatch.setattr(capturing, "check_finite", lambda *args, **options: None)  # no values
    sizes = {"n_dims": 3, "n_points": 6, "n_layers": 2, "n_heads": 2, "d_model": 8}
    ours = torch.nn.Module.to(build_model("gpt2", sizes, seed=0), "meta")
    [captured] = capture(ours, prompts(4), ours.sites())
    assert captured.activations.device.type == captured.predictions.device.type == "meta"
    assert captured.activations.shape == (3, 4, 6, 8)
