"""Attaching to foreign modules: what is read, and that nothing changes in them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hooks import AttachedModel, PatternError, SequenceModel, Site, attach, build_model, capture
from hooks.module_names import module_tree

N_DIMS, N_POINTS, WIDTH, N_LAYERS = 3, 5, 8, 3


@dataclass(frozen=True)
class Result:
    stream: torch.Tensor
    weights: torch.Tensor | None = None


class Pair(NamedTuple):
    stream: torch.Tensor
    state: torch.Tensor


Pack = Callable[[torch.Tensor], Any]
PACKS: dict[str, tuple[Pack, Callable[[Any], torch.Tensor]]] = {
    "tensor": (lambda x: x, lambda out: out),
    "tuple": (lambda x: (x, None), lambda out: out[0]),
    "tuple_later": (lambda x: (x.sum((1, 2)), x), lambda out: out[1]),
    "list": (lambda x: [x], lambda out: out[0]),
    "namedtuple": (lambda x: Pair(x, x[0]), lambda out: out.stream),
    "dataclass": (lambda x: Result(x), lambda out: out.stream),
    "dict": (lambda x: {"hidden": x, "n": 1}, lambda out: out["hidden"]),
}


class Layer(nn.Module):
    def __init__(self, pack: str, batch_first: bool, causal: bool) -> None:
        super().__init__()
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Dropout(0.2))
        self.pack, self.batch_first, self.causal = PACKS[pack][0], batch_first, causal

    def forward(self, hidden: torch.Tensor) -> Any:
        axis = 1 if self.batch_first else 0
        n = torch.arange(1, hidden.shape[axis] + 1, dtype=hidden.dtype)
        n = n[:, None] if self.batch_first else n[:, None, None]
        mean = hidden.cumsum(axis) / n if self.causal else hidden.mean(axis, keepdim=True)
        hidden = hidden + self.mix(mean)
        return self.pack(hidden + self.mlp(hidden))


class Foreign(nn.Module):
    """A small model of x and y tokens in turn."""

    def __init__(self, pack: str = "tensor", batch_first: bool = True, causal: bool = True) -> None:
        super().__init__()
        self.unpack, self.batch_first = PACKS[pack][1], batch_first
        self.inp = nn.Linear(N_DIMS, WIDTH)
        self.body = nn.Module()
        self.body.h = nn.ModuleList([Layer(pack, batch_first, causal) for _ in range(N_LAYERS)])
        self.extra = nn.ModuleList([nn.Linear(2, 2)])
        self.norm = nn.LayerNorm(WIDTH)
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.inp(tokens)
        hidden = hidden if self.batch_first else hidden.transpose(0, 1)
        for layer in self.body.h:
            hidden = self.unpack(layer(hidden))
        hidden = hidden if self.batch_first else hidden.transpose(0, 1)
        return self.out(self.norm(hidden))[..., 0]


def interleaved(xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    tokens = xs.new_zeros(len(xs), 2 * xs.shape[1], xs.shape[2])
    tokens[:, ::2] = xs
    tokens[:, 1::2, 0] = ys
    return tokens


def predict(module: nn.Module, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    return module(interleaved(xs, ys))[:, ::2]


def foreign(**options: Any) -> Foreign:
    torch.manual_seed(0)
    return Foreign(**options)


def attached(module: nn.Module, **options: Any) -> AttachedModel:
    defaults: dict[str, Any] = {"n_dims": N_DIMS, "n_points": N_POINTS, "layers": "body.h.*"}
    return attach(module, predict, **(defaults | options))


def prompts(n: int = 4, n_points: int = N_POINTS, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(n, n_points, N_DIMS, generator=generator)
    return xs, torch.randn(n, n_points, generator=generator)


def streams(module: Foreign, tokens: torch.Tensor) -> torch.Tensor:
    """[layer, prompt, token, d] by plain means."""
    seen = []
    with torch.no_grad():
        hidden = module.inp(tokens)
        seen.append(hidden)
        hidden = hidden if module.batch_first else hidden.transpose(0, 1)
        for layer in module.body.h:
            hidden = module.unpack(layer(hidden))
            seen.append(hidden if module.batch_first else hidden.transpose(0, 1))
    return torch.stack(seen)


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_reads_every_layer_whatever_it_returns(pack: str, batch_first: bool) -> None:
    module = foreign(pack=pack, batch_first=batch_first).eval()
    model = attached(module, batch_first=batch_first)
    xs, ys = prompts()
    [captured] = capture(model, (xs, ys), model.sites())
    tokens = interleaved(xs, ys)
    torch.testing.assert_close(captured.activations, streams(module, tokens)[:, :, ::2])
    with torch.no_grad():
        torch.testing.assert_close(captured.predictions, module(tokens)[:, ::2])
    assert model.config.d_model == WIDTH
    assert model.n_layers == N_LAYERS


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("n_points", [1, 3, N_POINTS])
def test_non_causal_models_run_once_per_prefix(batch_first: bool, n_points: int) -> None:
    module = foreign(causal=False, batch_first=batch_first).eval()
    model = attached(module, causal=False, batch_first=batch_first)
    xs, ys = prompts(n_points=n_points)
    [captured] = capture(model, (xs, ys), model.sites())
    assert not model.is_causal
    for point in range(n_points):
        known = ys[:, : point + 1].clone()
        known[:, point] = 0
        tokens = interleaved(xs[:, : point + 1], known)
        expected = streams(module, tokens)[:, :, 2 * point]
        torch.testing.assert_close(captured.activations[:, :, point], expected)
        with torch.no_grad():
            prediction = module(tokens)[:, 2 * point]
        torch.testing.assert_close(captured.predictions[:, point], prediction)


@settings(max_examples=20)
@given(point=st.integers(0, N_POINTS - 1), seed=st.integers(0, 2**16), causal=st.booleans())
def test_predictions_never_see_the_future(point: int, seed: int, causal: bool) -> None:
    model = attached(foreign(causal=causal).eval(), causal=causal)
    xs, ys = prompts(seed=seed)
    changed_xs, changed_ys = xs.clone(), ys.clone()
    changed_xs[:, point + 1 :] += 1
    changed_ys[:, point:] += 1
    with torch.no_grad():
        before, after = model(xs, ys), model(changed_xs, changed_ys)
    torch.testing.assert_close(before[:, : point + 1], after[:, : point + 1])


@pytest.mark.parametrize(
    "points",
    [
        slice(0, None, 2),
        torch.arange(0, 2 * N_POINTS, 2),
        lambda n_points: torch.arange(n_points) * 2,
        lambda n_points: slice(0, 2 * n_points, 2),
    ],
)
@pytest.mark.parametrize("causal", [True, False])
def test_points_as_slice_indices_or_function(points: Any, causal: bool) -> None:
    module = foreign(causal=causal).eval()
    model = attached(module, points=points, causal=causal)
    plain = attached(module, causal=causal)
    for n_points in (2, N_POINTS):
        [captured] = capture(model, prompts(n_points=n_points), model.sites())
        [expected] = capture(plain, prompts(n_points=n_points), model.sites())
        assert torch.equal(captured.activations, expected.activations)


def test_further_kinds_of_site_and_the_final_norm() -> None:
    module = foreign().eval()
    model = attached(module, attn_out="body.h.*.mix", mlp_out="body.h.*.mlp", final_norm="norm")
    xs, ys = prompts()
    sites = [*model.sites(), *model.sites("attn_out"), *model.sites("mlp_out")]
    [captured] = capture(model, (xs, ys), sites)
    hidden = dict(zip(sites, captured.activations, strict=True))
    stream = streams(module, interleaved(xs, ys))[:, :, ::2]
    for layer in (1, 2, 3):
        total = stream[layer - 1] + hidden[Site(layer, "attn_out")] + hidden[Site(layer, "mlp_out")]
        torch.testing.assert_close(total, stream[layer])
    torch.testing.assert_close(hidden[Site(3)], module.norm(stream[3]))
    torch.testing.assert_close(module.out(hidden[Site(3)])[..., 0], captured.predictions)


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_interventions_reach_the_module(pack: str, batch_first: bool) -> None:
    module = foreign(pack=pack, batch_first=batch_first).eval()
    model = attached(module, batch_first=batch_first)
    xs, ys = prompts()
    patch = torch.randn(4, 2 * N_POINTS, WIDTH)
    for layer in range(N_LAYERS + 1):
        name = model.hook_name(Site(layer))
        with torch.no_grad():
            steered = model.run_with_hooks(
                xs, ys, fwd_hooks=[(name, lambda activation, hook: patch)]
            )
            hidden = patch if batch_first else patch.transpose(0, 1)
            for block in module.body.h[layer:]:
                hidden = module.unpack(block(hidden))
            hidden = hidden if batch_first else hidden.transpose(0, 1)
            expected = module.out(module.norm(hidden))[:, ::2, 0]
        torch.testing.assert_close(steered, expected)


def test_gradients_of_activations_through_backward_hooks() -> None:
    module = foreign().eval()
    model = attached(module)
    xs, ys = prompts()
    seen = {}
    with model.hooks(
        bwd_hooks=[("blocks.1.hook_resid_post", lambda grad, hook: seen.update(grad=grad))]
    ):
        model(xs, ys).sum().backward()
    hidden = streams(module, interleaved(xs, ys))[2].requires_grad_()
    module.out(module.norm(module.body.h[2](hidden)))[:, ::2].sum().backward()
    torch.testing.assert_close(seen["grad"], hidden.grad)


class BoomError(Exception):
    pass


def fingerprint(module: nn.Module) -> dict[str, Any]:
    xs, ys = prompts(seed=9)
    module.zero_grad()
    torch.manual_seed(5)
    output = predict(module, xs.to(module.out.weight), ys.to(module.out.weight))
    output.square().sum().backward()
    grads = {
        name: parameter.grad.clone()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    module.zero_grad()
    return {
        "output": output.detach(),
        "grads": grads,
        "state": {name: value.clone() for name, value in module.state_dict().items()},
        "modes": [part.training for part in module.modules()],
        "names": [(name, id(part)) for name, part in module.named_modules()],
        "requires_grad": [parameter.requires_grad for parameter in module.parameters()],
        "dtypes": [(value.dtype, value.device) for value in module.state_dict().values()],
        "attributes": [sorted(vars(part)) for part in module.modules()],
        "hooks": [
            [
                list(hooks.items())
                for key, hooks in sorted(vars(part).items())
                if key.endswith("_hooks") and hasattr(hooks, "items")
            ]
            for part in module.modules()
        ],
    }


def assert_same(before: Any, after: Any) -> None:
    if isinstance(before, torch.Tensor):
        assert torch.equal(before, after)
    elif isinstance(before, dict):
        assert before.keys() == after.keys()
        for key in before:
            assert_same(before[key], after[key])
    else:
        assert before == after


@settings(max_examples=25)
@given(
    pack=st.sampled_from(sorted(PACKS)),
    batch_first=st.booleans(),
    causal=st.booleans(),
    frozen=st.sets(st.integers(0, N_LAYERS - 1)),
    training=st.booleans(),
    double=st.booleans(),
    fails=st.sampled_from(["no", "in capture", "in attach"]),
)
def test_attaching_changes_nothing(
    pack: str,
    batch_first: bool,
    causal: bool,
    frozen: set[int],
    training: bool,
    double: bool,
    fails: str,
) -> None:
    module = foreign(pack=pack, batch_first=batch_first, causal=causal)
    module.to(torch.float64 if double else torch.float32).train(training)
    for layer in frozen:
        module.body.h[layer].train(not training).requires_grad_(False)
    calls = []
    module.body.h[1].register_forward_hook(lambda *args: calls.append("forward"))
    module.body.h[0].register_forward_pre_hook(lambda *args: calls.append("pre"))
    before = fingerprint(module)
    random_state = torch.get_rng_state()

    def failing(module: nn.Module, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        predict(module, xs, ys)
        raise BoomError

    if fails == "in attach":
        with pytest.raises((BoomError, ValueError)):  # the latter if layers are token-first
            attach(module, failing, n_dims=N_DIMS, n_points=N_POINTS, layers="body.h.*")
    else:
        model = attached(module, batch_first=batch_first, causal=causal)
        if fails == "in capture":
            model.predict = failing
            with pytest.raises(BoomError):
                list(capture(model, prompts(), model.sites()))
        else:
            list(capture(model, prompts(), model.sites()))
    assert torch.equal(torch.get_rng_state(), random_state)
    calls.clear()
    assert_same(before, fingerprint(module))
    assert calls == ["pre", "forward"]


def test_existing_hooks_keep_working_and_are_seen() -> None:
    module = foreign().eval()
    module.body.h[0].register_forward_hook(lambda layer, inputs, output: output + 1)
    model = attached(module)
    [captured] = capture(model, prompts(), model.sites())
    expected = streams(module, interleaved(*prompts()))[:, :, ::2]
    torch.testing.assert_close(captured.activations, expected)


def test_a_model_of_ours_attached_as_a_stranger() -> None:
    sizes = {"n_dims": N_DIMS, "n_points": N_POINTS, "n_layers": 2, "n_heads": 2, "d_model": 8}
    ours = build_model("gpt2", sizes, seed=0)
    names = [(name, point.name) for name, point in ours.hook_dict.items()]
    model = attach(
        ours,
        lambda module, xs, ys: module(xs, ys),
        n_dims=N_DIMS,
        n_points=N_POINTS,
        layers="blocks.*",
        attn_out="blocks.*.attn",
        mlp_out="blocks.*.mlp",
        final_norm="ln_final",
    )
    for kind in ("resid_post", "attn_out", "mlp_out"):
        [mine] = capture(ours, prompts(), ours.sites(kind))
        [theirs] = capture(model, prompts(), model.sites(kind))
        assert torch.equal(mine.activations, theirs.activations)
        assert torch.equal(mine.predictions, theirs.predictions)
    assert names == [(name, point.name) for name, point in ours.hook_dict.items()]
    assert isinstance(model, SequenceModel)


def test_pytorchs_own_encoder_with_its_fast_path() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=0.1, batch_first=True)
    module = nn.ModuleDict(
        {
            "inp": nn.Linear(N_DIMS, WIDTH),
            "encoder": nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
            "out": nn.Linear(WIDTH, 1),
        }
    ).eval()

    def run(module: Any, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        tokens = module["inp"](interleaved(xs, ys))
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return module["out"](module["encoder"](tokens, mask=mask, is_causal=True))[:, ::2, 0]

    with pytest.warns(UserWarning, match=r"took encoder\.layers\.0 … encoder\.layers\.1 \(2 lay"):
        model = attach(
            module, run, n_dims=N_DIMS, n_points=N_POINTS, attn_out="encoder.layers.*.self_attn"
        )
    [captured] = capture(model, prompts(), [*model.sites(), Site(1, "attn_out")])
    with torch.no_grad():
        torch.testing.assert_close(captured.predictions, run(module, *prompts()))
    stream = captured.activations
    first = module["encoder"].layers[0]
    torch.testing.assert_close(first.norm1(stream[0] + stream[3]).shape, stream[1].shape)
    assert stream[3].abs().max() > 0


def test_recurrent_layers() -> None:
    torch.manual_seed(0)
    module = nn.ModuleDict(
        {
            "inp": nn.Linear(N_DIMS, WIDTH),
            "cells": nn.ModuleList([nn.LSTM(WIDTH, WIDTH) for _ in range(2)]),
            "out": nn.Linear(WIDTH, 1),
        }
    )

    def run(module: Any, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        hidden = module["inp"](interleaved(xs, ys)).transpose(0, 1)
        for cell in module["cells"]:
            hidden, _ = cell(hidden)
        return module["out"](hidden.transpose(0, 1))[:, ::2, 0]

    model = attach(
        module, run, n_dims=N_DIMS, n_points=N_POINTS, layers="cells.*", batch_first=False
    )
    [captured] = capture(model, prompts(), model.sites())
    with torch.no_grad():
        read = module["out"](captured.activations[2])[..., 0]
    torch.testing.assert_close(read, captured.predictions)


def test_layers_are_sorted_by_number_and_stars_stay_within_a_part() -> None:
    module = nn.ModuleDict(
        {f"block{i}": nn.Sequential(nn.Linear(WIDTH, WIDTH)) for i in (10, 2, 1)}
        | {"inp": nn.Linear(N_DIMS, WIDTH)}
    )

    def run(module: Any, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        hidden = module["inp"](interleaved(xs, ys))
        for i in (1, 2, 10):
            hidden = module[f"block{i}"](hidden)
        return hidden[:, ::2, 0]

    model = attach(module, run, n_dims=N_DIMS, n_points=N_POINTS, layers="block*")
    assert model.modules_of_kind["resid_post"] == ("block1", "block2", "block10")


def test_the_tree_names_what_matched() -> None:
    tree = module_tree(foreign(), ["body.h.0", "body.h.2"])
    assert "  body.h.0 … body.h.2: Layer  <- matched 2" in tree.splitlines()
    assert "  body.h.0.mix: Linear" in tree.splitlines()
    assert "  norm: LayerNorm" in tree.splitlines()
    assert "body.h.1.mix" not in tree


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": "body.layers.*"}, r"(?s)layers='body\.layers\.\*' matches 0.*body\.h\.0 …"),
        ({"layers": ["body.h.0", "body.h.7"]}, r"(?s)matches 1 modules, expected 2.*matched 1"),
        ({"attn_out": "body.h.0.mix"}, r"(?s)attn_out=.* matches 1 modules, expected 3"),
        ({"mlp_out": "body.h.*.mlp.*"}, r"mlp_out=.* matches 9 modules, expected 3"),
        ({"final_norm": "ln_f"}, r"final_norm='ln_f' matches 0 modules, expected 1"),
    ],
)
def test_patterns_that_do_not_fit_show_the_tree(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PatternError, match=message):
        attached(foreign(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_first": False}, r"body\.h\.0 .*on 3 prompts.*batch_first=False"),
        ({"points": slice(None)}, r"seen at 10 points of prompts with 5"),
        ({"points": slice(1, None, 3)}, r"seen at 3 points of prompts with 5"),
        ({"points": torch.arange(20, 25)}, r"points=.* does not fit the 10 positions"),
        ({"layers": ["inp", "out"]}, r"differ in width: inp 8, out 1"),
        ({"layers": ["extra.0"]}, r"seen at 0 points"),
        ({"n_dims": 0}, "n_dims must be at least 1"),
    ],
)
def test_what_does_not_fit_is_said_at_the_door(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attached(foreign(), **options)


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (lambda out: out[:, ::2, None], r"predict returned shape \(3, 5, 1\)"),
        (lambda out: (out,), "predict returned tuple"),
        (lambda out: out, r"predict returned shape \(3, 10\), .* shape \(3, 5\)"),
    ],
)
def test_predict_that_returns_something_else(returns: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attach(
            foreign(),
            lambda module, xs, ys: returns(module(interleaved(xs, ys))),
            n_dims=N_DIMS,
            n_points=N_POINTS,
            layers="body.h.*",
        )


def test_a_module_that_fails_on_wrong_sizes_is_told_what_it_was_given() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        attach(foreign(), predict, n_dims=N_DIMS + 1, n_points=N_POINTS, layers="body.h.*")
    [note] = caught.value.__notes__
    assert f"{N_POINTS}, {N_DIMS + 1})" in note
    assert "n_dims and n_points are as attach was told" in note


def test_layers_that_return_no_sequence() -> None:
    module = nn.ModuleDict({"layers": nn.ModuleList([nn.Flatten(), nn.Linear(15, N_POINTS)])})

    def run(module: Any, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        hidden = xs
        for layer in module["layers"]:
            hidden = layer(hidden)
        return hidden

    with pytest.raises(ValueError, match=r"layer layers\.0 returned \(3, 15\), expected an activ"):
        attach(module, run, n_dims=N_DIMS, n_points=N_POINTS, layers="layers.*")


def test_no_module_list_to_find() -> None:
    with pytest.raises(PatternError, match="no ModuleList to take them from"):
        attach(nn.Linear(2, 2), predict, n_dims=N_DIMS, n_points=N_POINTS)


def test_a_copy_of_an_attached_model_is_independent() -> None:
    model = attached(foreign().eval())
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    [captured] = capture(model, prompts(), model.sites())
    [zeros] = capture(twin, prompts(), twin.sites())
    assert captured.activations.abs().max() > 0
    assert zeros.activations.abs().max() == 0
