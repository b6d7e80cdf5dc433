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

from hooks import (
    AttachedModel,
    NonFiniteError,
    PatternError,
    SequenceModel,
    Site,
    WiringError,
    attach,
    build_model,
    capture,
)
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
    defaults["points"] = slice(0, None, 2)
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
        (
            lambda out: out[:, ::2, None],
            r"predict returned shape \(3, 5, 1\).* reduce a distribution to one number",
        ),
        (lambda out: (out,), "predict returned tuple"),
        (lambda out: out, r"predict returned shape \(3, 10\), .* shape \(3, 5\)$"),
        (lambda out: out[:, 8], "one prediction a prompt.* attached with causal=False"),
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
    assert "n_dims and n_points are those given to attach" in note


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


def shifted(module: nn.Module, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    return module(interleaved(xs, ys))[:, 1::2]


class MaskDroppedInEval(Layer):
    def forward(self, hidden: torch.Tensor) -> Any:
        self.causal = self.training
        return super().forward(hidden)


def with_dropped_mask() -> Foreign:
    module = foreign()
    module.body.h[1] = MaskDroppedInEval("tensor", True, True)
    return module.train()


@pytest.mark.parametrize(
    ("module", "run", "points", "message"),
    [
        (lambda: foreign(causal=False), predict, slice(0, None, 2), "after it.*causal=False"),
        (with_dropped_mask, predict, slice(0, None, 2), "after it.*dropped in eval mode"),
        (foreign, shifted, slice(1, None, 2), r"resid_post\[0\] .* own y.*slice\(0, None, 2\)"),
    ],
)
def test_a_module_that_sees_its_answers_is_refused(
    module: Any, run: Any, points: Any, message: str
) -> None:
    options: dict[str, Any] = {"n_dims": N_DIMS, "n_points": N_POINTS, "layers": "body.h.*"}
    with pytest.raises(WiringError, match=message):
        attach(module(), run, points=points, **options)
    assert attach(module(), run, points=points, check=False, **options).is_wiring_checked


@pytest.mark.parametrize(
    ("causal", "points", "advice"),
    [
        (True, slice(1, None, 2), r"position 9 .* from position 8; pass points=slice\(0, None, 2"),
        (False, None, r"position 9 .* from position 8; pass points=slice\(0, None, 2"),
        (True, slice(0, N_POINTS), "position 4 .* from position 8"),
    ],
)
def test_points_that_are_not_where_predictions_are_made(
    causal: bool, points: Any, advice: str
) -> None:
    with pytest.raises(ValueError, match=advice):
        attached(foreign(causal=causal), causal=causal, points=points)


class SetModel(nn.Module):
    """(x, y) tokens, the query's y zero; answers the last of them only."""

    def __init__(self) -> None:
        super().__init__()
        self.inp = nn.Linear(N_DIMS + 1, WIDTH)
        self.h = nn.ModuleList([Layer("tensor", True, False) for _ in range(2)])
        self.out = nn.Linear(WIDTH, 1)

    def forward(self, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        hidden = self.inp(torch.cat((xs, ys[..., None]), 2))
        for layer in self.h:
            hidden = layer(hidden)
        return self.out(hidden[:, -1])[:, 0]


def test_without_points_the_last_token_of_every_prefix_is_read() -> None:
    torch.manual_seed(0)
    module = SetModel().eval()
    sizes = {"n_dims": N_DIMS, "n_points": N_POINTS, "layers": "h.*", "causal": False}
    model = attach(module, lambda module, xs, ys: module(xs, ys), **sizes)
    xs, ys = prompts()
    [captured] = capture(model, (xs, ys), model.sites())
    with torch.no_grad():
        torch.testing.assert_close(module.out(captured.activations[-1])[..., 0], captured[2])
        known = torch.cat((ys[:, :2], torch.zeros(4, 1)), 1)
        torch.testing.assert_close(captured.predictions[:, 2], module(xs[:, :3], known))


def test_points_that_cannot_be_asked() -> None:
    def run(module: nn.Module, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        if xs.shape[1] < 3:
            raise ValueError("too few examples")
        return predict(module, xs, ys)

    def early(module: nn.Module, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        predictions = predict(module, xs, ys)
        return torch.where(torch.arange(N_POINTS) < 2, torch.nan, predictions)

    options: dict[str, Any] = {"n_dims": N_DIMS, "n_points": N_POINTS, "layers": "body.h.*"}
    message = r"prompt 0 and 2 more \(points 0 to 1\); attach\(…, points_from=2\) leaves these"
    with pytest.raises(NonFiniteError, match=message):
        attach(foreign(), early, **options)
    models = [
        attach(foreign(), early, points_from=2, **options),
        attach(
            foreign(causal=False),
            run,
            points_from=2,
            causal=False,
            points=slice(0, None, 2),
            **options,
        ),
    ]
    for model in models:
        [captured] = capture(model, prompts(), model.sites())
        assert captured.predictions[:, :2].isnan().all()
        assert captured.activations[:, :, :2].isnan().all()
        assert captured.predictions[:, 2:].isfinite().all()
        assert captured.activations[:, :, 2:].isfinite().all()


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        n = torch.arange(1, hidden.shape[1] + 1)[:, None]
        hidden += self.mix(hidden.cumsum(1) / n)
        return hidden


def test_a_cache_keeps_each_layer_of_modules_that_add_in_place() -> None:
    module = foreign()
    module.body.h = nn.ModuleList([InPlace() for _ in range(N_LAYERS)])
    model = attached(module.eval())
    xs, ys = prompts()
    [captured] = capture(model, (xs, ys), model.sites(), final_norm="none")
    with torch.no_grad():
        _, cache = model.run_with_cache(xs, ys)
    for site, activations in zip(captured.sites, captured.activations, strict=True):
        assert torch.equal(cache[model.hook_name(site)][:, ::2], activations)
    assert not torch.equal(captured.activations[1], captured.activations[2])


class Looped(Foreign):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.inp(tokens)
        for _ in range(3):
            for layer in list(self.body.h)[:2]:
                hidden = layer(hidden)
        return self.out(hidden)[..., 0]


def test_every_call_of_a_looped_block_is_a_layer() -> None:
    torch.manual_seed(0)
    module = Looped().eval()
    with pytest.raises(ValueError, match=r"ran more than once in a pass.*calls='each'"):
        attached(module, layers=["body.h.0", "body.h.1"])
    model = attached(
        module,
        layers=["body.h.1", "body.h.0"],
        mlp_out=["body.h.0.mlp", "body.h.1.mlp"],
        calls="each",
    )
    assert model.modules_of_kind["resid_post"] == ("body.h.0", "body.h.1") * 3
    xs, ys = prompts()
    [captured] = capture(model, (xs, ys), [*model.sites(), *model.sites("mlp_out")])
    with torch.no_grad():
        hidden = module.inp(interleaved(xs, ys))
        for call in range(6):
            torch.testing.assert_close(captured.activations[call], hidden[:, ::2])
            hidden = module.body.h[call % 2](hidden)
        torch.testing.assert_close(captured.activations[6], hidden[:, ::2])
        steered = model.run_with_hooks(
            xs, ys, fwd_hooks=[(model.hook_name(Site(5)), lambda rows, hook: rows * 0)]
        )
        expected = module.out(module.body.h[1](torch.zeros_like(hidden)))[:, ::2, 0]
    torch.testing.assert_close(steered, expected)


@pytest.mark.parametrize("whole", [True, False])
def test_compiled_modules_are_read_and_keep_their_names(whole: bool) -> None:
    module = foreign().eval()
    with torch.no_grad():
        expected = predict(module, *prompts())
    compiled = copy.deepcopy(module)
    if whole:
        compiled = torch.compile(compiled, backend="eager")
        with torch.no_grad():
            predict(compiled, *prompts())  # compiled before any hook is there
    else:
        compiled.body.h = nn.ModuleList(
            [torch.compile(layer, backend="eager") for layer in compiled.body.h]
        )
    model = attached(compiled, mlp_out="body.h.*.mlp", final_norm="norm")
    plain = attached(module, mlp_out="body.h.*.mlp", final_norm="norm")
    for kind in ("resid_post", "mlp_out"):
        [captured] = capture(model, prompts(), kind)
        [uncompiled] = capture(plain, prompts(), kind)
        assert torch.equal(captured.predictions, expected)
        assert torch.equal(captured.activations, uncompiled.activations)


def test_names_are_short() -> None:
    assert attached(foreign()).name == "Foreign"
    assert attached(foreign(), name="mine").name == "mine"
    ours = build_model("gpt2", {"n_dims": 2, "n_points": 2, "n_layers": 1, "d_model": 8}, seed=0)
    assert ours.name == "GPT2"
    for path, name in (("a/run-3/state.pt", "run-3"), ("a/gpt2-d5.safetensors", "gpt2-d5")):
        ours.provenance = {"path": path}
        assert ours.name == name
    ours.provenance["name"] = "looped-d5@12"
    assert ours.name == "looped-d5@12"


def test_a_model_that_ignores_its_examples_is_a_warning() -> None:
    module = foreign()
    nn.init.zeros_(module.out.weight)
    with pytest.warns(UserWarning, match="do not change with the answers before them"):
        attached(module)


def test_a_first_layer_that_mixes_all_tokens_is_no_matter_of_points() -> None:
    """What it is given changes with the answer, and with later pairs too."""

    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
            self.read_in, self.out = nn.Linear(N_DIMS + 1, 8), nn.Linear(8, 1)

        def forward(self, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
            stream = self.read_in(torch.cat((xs, ys[..., None]), -1))
            for layer in self.layers:
                stream = layer(stream.mean(1, keepdim=True).expand_as(stream))
            return self.out(stream)[..., 0]

    with pytest.raises(WiringError, match="change with pairs that come after it"):
        attach(
            Mixing(),
            lambda module, xs, ys: module(xs, ys),
            n_dims=N_DIMS,
            n_points=N_POINTS,
            layers="layers.*",
            points=slice(None),
        )
