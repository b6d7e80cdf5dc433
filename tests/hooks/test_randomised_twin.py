from __future__ import annotations

import pytest
import torch

from hooks.architectures import build_model
from hooks.architectures.built_in import BUILT_IN
from hooks.architectures.planted import build_planted
from hooks.architectures.standard_prompts import standard_prompts
from hooks.randomised_twin import randomised_twin


@pytest.mark.parametrize("name", ["newton-exact", "gdpp-exact-looped", "planted", "gpt2"])
def test_twin_has_the_shape_but_not_the_weights(name):
    model = {
        "planted": lambda: build_planted(noise=0.1, rotation_seed=0),
        "gpt2": lambda: build_model("gpt2", {"n_layers": 2, "d_model": 16}, seed=0).eval(),
    }.get(name, BUILT_IN.get(name))()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    twin = randomised_twin(model, 1)
    assert twin.describe() == model.describe()
    xs, ys = standard_prompts(model.config, 200)
    with torch.no_grad():
        predictions, original = twin(xs, ys), model(xs, ys)
        assert torch.equal(predictions, randomised_twin(model, 1)(xs, ys))
        assert not torch.equal(predictions, randomised_twin(model, 2)(xs, ys))
    assert predictions.isfinite().all()
    assert (predictions - original).std() > original.std() / 2
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_twin_of_a_construction_keeps_the_norms_of_what_it_reads_by():
    model = BUILT_IN["newton-exact"]()
    twin = randomised_twin(model, 0)
    for key in ("sublayers.3.attn.W_Q", "sublayers.3.mlp.W_in", "W_read_out"):
        theirs, ours = twin.state_dict()[key], model.state_dict()[key]
        torch.testing.assert_close(theirs.norm(), ours.norm())
        assert (theirs - ours).norm() > ours.norm() / 2
