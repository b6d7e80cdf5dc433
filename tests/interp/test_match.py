"""Matching models whose algorithm is known, and the scores against other libraries."""

from __future__ import annotations

import copy
import inspect
import math
from functools import partial

import numpy as np
import pytest
import torch
import xarray
from sklearn.linear_model import LinearRegression as LeastSquares
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from torch import nn
from torch.optim.swa_utils import AveragedModel

from hooks.activation_files import open_activations
from hooks.architectures.gpt2 import GPT2, GPT2Config
from hooks.architectures.planted import build_planted
from hooks.capture import capture
from hooks.foreign import own_model
from hooks.wiring_error import WiringError
from interp.analyses.compare import compare
from interp.analyses.comparisons import default_comparisons, own_parameters, select
from interp.analyses.match import match
from interp.analyses.match_settings import MatchSettings, budget_of
from interp.report.verdict_text import verdict_text
from interp.results.result import MatchResult, open_result
from interp.results.seal import ResultError
from interp.scoring.readouts import fit_readouts
from interp.tasks import LinearRegression
from interp.tasks.compatibility import model_and_task
from probes.references import OLS, Prefixes
from probes.references.divergence import DivergenceWarning
from probes.verdict import beyond_first

SIZES = {"n_dims": 3, "n_points": 7}
TASK = LinearRegression(**SIZES)
SEED = 5
N_PROMPTS = 128


@pytest.fixture(scope="module")
def newton():
    return build_planted(
        algorithm="newton", iterations_per_layer=2, n_layers=5, dtype="float64", **SIZES
    )


@pytest.fixture(scope="module")
def newton_result(newton) -> MatchResult:
    return match(newton, n_prompts=N_PROMPTS, seed=SEED, site_kinds=("resid_post",))


@pytest.fixture(scope="module")
def gpt2():
    config = GPT2Config(n_layers=3, n_heads=2, d_model=12, **SIZES)
    return GPT2(config, torch.Generator().manual_seed(0)).eval()


@pytest.fixture(scope="module")
def gpt2_result(gpt2) -> MatchResult:
    return match(gpt2, TASK, n_prompts=200, seed=SEED, site_kinds=("resid_post", "attn_out"))


class TestVerdicts:
    def test_newton_planted_at_two_iterations_a_layer(self, newton_result: MatchResult):
        verdict = newton_result.verdict
        assert verdict.answer == "newton", str(verdict)
        assert verdict.steps_per_layer == pytest.approx(2, abs=0.1)
        assert newton_result.text.startswith("The layers follow Iterative Newton")
        text = verdict_text(newton_result)
        assert text.headline == "The layers follow Iterative Newton"
        assert "grows linearly with depth" in text.details

    def test_the_direct_protocol_counts_newtons_steps(self, newton_result: MatchResult):
        found = newton_result.reference("newton-fixed").isel(site=0)
        steps = found.prediction_best_step.sel(layer=[1, 2, 3, 4]).values
        assert steps == pytest.approx([2, 4, 6, 8], abs=0.05)

    def test_gradient_descent_planted_at_five_steps_a_layer(self):
        model = build_planted(
            algorithm="gd", iterations_per_layer=5, n_layers=5, dtype="float64", **SIZES
        )
        verdict = match(model, n_prompts=N_PROMPTS, seed=SEED, site_kinds=("resid_post",)).verdict
        assert verdict.answer == "gd", str(verdict)
        assert verdict.steps_per_layer == pytest.approx(5, abs=0.25)

    def test_a_reference_that_diverges_does_not_end_the_match(self, newton):
        """A condition number's largest eigenvalues have no end; fixed step sizes meet one."""
        known = {**own_parameters(newton), "gd": {"eta": 0.5}}
        with pytest.warns(DivergenceWarning):
            result = match(
                newton, n_prompts=N_PROMPTS, site_kinds=("resid_post",), parameters=known
            )
        assert result.verdict.answer == "newton", result.str(verdict)

    def test_random_weights_run_nothing(self, gpt2_result: MatchResult):
        assert gpt2_result.verdict.answer == "none", gpt2_result.str(verdict)
        assert gpt2_result.summary()["verdict"]["steps_per_layer"] is None


@pytest.mark.parametrize(
    "wrap",
    [
        partial(torch.compile, backend="eager"),
        nn.DataParallel,
        AveragedModel,
        lambda model: nn.DataParallel(torch.compile(model, backend="eager")),
    ],
)
def test_what_torch_wraps_is_taken_out(wrap, gpt2):
    inner = own_model(wrap(gpt2))
    assert type(inner) is GPT2
    assert all(map(torch.equal, inner.parameters(), gpt2.parameters()))
    assert model_and_task(wrap(gpt2), TASK)[1] is TASK


def test_a_compiled_model_is_matched_and_named_in_comparisons(gpt2, gpt2_result: MatchResult):
    compiled = torch.compile(gpt2, backend="eager")
    settings = MatchSettings(("resid_post", "attn_out"), n_prompts=200, seed=SEED)
    result = inspect.unwrap(match)(compiled, TASK, settings)
    assert result.data.identical(gpt2_result.data)
    with pytest.raises(ValueError, match=r"^GPT2: task has n_dims = 4, the model was built for 3"):
        compare([compiled], LinearRegression(4, 7))


class TestResult:
    def test_the_same_seed_gives_the_same_result_and_another_seed_another(
        self, newton, newton_result: MatchResult
    ):
        settings = MatchSettings(("resid_post",), n_prompts=N_PROMPTS, seed=SEED)
        assert match(newton, settings=settings).data.identical(newton_result.data)
        other = match(newton, settings=settings, seed=SEED + 1)
        assert not other.layers.error.identical(newton_result.layers.error)

    def test_saved_and_opened_it_is_the_same(self, gpt2_result: MatchResult, tmp_path):
        gpt2_result.save(tmp_path / "result.nc")
        opened = open_result(tmp_path / "result.nc")
        assert opened.data.identical(gpt2_result.data)
        assert opened.verdict == gpt2_result.verdict
        assert opened.summary() == gpt2_result.summary()
        assert opened.provenance == gpt2_result.provenance
        assert [path.name for path in tmp_path.iterdir()] == ["result.nc"]

    def test_evidence_survives_saving(self, newton_result: MatchResult, tmp_path):
        newton_result.save(tmp_path / "result.nc")
        verdict = open_result(tmp_path / "result.nc").verdict
        assert verdict == newton_result.verdict
        evidence = verdict.findings[0].representative("newton")
        assert (evidence.law, evidence.is_retained) == ("linear", True)
        assert evidence.evidence_ratio > 3

    def test_the_summary_has_the_promised_keys(self, gpt2_result: MatchResult):
        summary = gpt2_result.summary()
        assert {
            "checkpoint", "task", "seed", "prompts", "layers", "references", "verdict"
        } <= set(summary)  # fmt: skip
        assert summary["layers"] == [0, 1, 2, 3]
        assert summary["prompts"] == 256  # whole groups of two
        assert {"newton", "gd", "ols"} <= set(summary["references"])
        for scores in summary["references"].values():
            assert {"best_step", "similarity", "interval"} <= set(scores)
            assert [len(scores[key]) for key in ("best_step", "similarity")] == [4, 4]
            for step, (low, high) in zip(scores["best_step"], scores["interval"], strict=True):
                assert 0 <= low <= high
                assert step >= 0
        assert {"retained", "steps_per_layer", "interval", "text"} <= set(summary["verdict"])

    def test_nan_only_where_there_is_nothing_to_read(self, gpt2_result: MatchResult):
        layers = gpt2_result.layers
        assert layers.site.values.tolist() == ["resid_post", "attn_out"]
        for name in ("error", "mean_error", "mean_error_interval", "change"):
            self.only_attention_of_layer_0_is_missing(layers[name])
        read_at_first_kind = (
            "weights", "filtered_query", "selectivity", "prediction_selectivity", "unique",
        )  # fmt: skip
        for name in gpt2_result.references:
            for variable, values in gpt2_result.reference(name).data_vars.items():
                if str(variable).startswith(read_at_first_kind):
                    assert values.sel(site="attn_out").isnull().all()
                    assert values.sel(site="resid_post").notnull().all()
                elif "site" in values.dims:
                    self.only_attention_of_layer_0_is_missing(values)
                else:
                    assert values.notnull().all()

    @staticmethod
    def only_attention_of_layer_0_is_missing(values: xarray.DataArray) -> None:
        missing = values.isnull().any([dim for dim in values.dims if dim not in ("site", "layer")])
        assert missing.sel(site="attn_out", layer=0)
        assert missing.sum() == 1

    def test_controls_reach_nothing(self, gpt2_result: MatchResult, newton_result: MatchResult):
        for result in (gpt2_result, newton_result):
            shuffled = result.data["controls/shuffled targets"].relative_error
            assert float(shuffled.min()) > 0.9
        twin = gpt2_result.data["controls/random weights"].prediction_r2
        assert float(twin.max()) < 0.7

    @pytest.mark.parametrize("content", [None, b"", b"not a result"])
    def test_what_is_no_result_is_refused(self, tmp_path, content):
        path = tmp_path / "result.nc"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ResultError, match=r"result\.nc: "):
            open_result(path)

    def test_a_foreign_netcdf_file_is_refused(self, tmp_path):
        xarray.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "other.nc")
        with pytest.raises(ResultError, match="its format is None, expected"):
            open_result(tmp_path / "other.nc")


class TestScores:
    """Everything again on stored activations, with scikit-learn and loops."""

    LAYER, STEP = 2, 2.0

    @pytest.fixture(scope="class")
    def stored(self, newton):
        """Activations and prompts that read-outs were fitted on, and those of the scores."""
        seeds = [int(seed) for seed in np.random.SeedSequence(SEED).generate_state(5)]
        parts = []
        for seed in (seeds[0], seeds[2]):
            stream = TASK.stream(N_PROMPTS, seed=seed, batch_size=N_PROMPTS)
            (batch,) = capture(newton, stream, newton.sites())
            parts.append((batch.activations[self.LAYER].numpy(), Prefixes(batch.xs, batch.ys)))
        return parts

    @pytest.fixture(scope="class")
    def readouts(self, newton):
        """For the ridge strengths only."""
        seeds = [int(seed) for seed in np.random.SeedSequence(SEED).generate_state(5)]
        comparisons = default_comparisons(TASK, own_parameters(newton))
        fitted = fit_readouts(
            newton, TASK, newton.sites(), comparisons, budget_of(N_PROMPTS), (seeds[0], seeds[1])
        )
        return comparisons, fitted

    def test_direct_r2_equals_scikit_learns(self, newton_result, stored, readouts):
        comparisons, fitted = readouts
        item = select(comparisons, "newton")
        (block,) = (b for b in fitted.direct[0].targets.blocks if b.comparison == "newton")
        column = block.columns.start + item.prediction_grid.steps.index(self.STEP)
        alpha = fitted.direct[0].readout.ridge[self.LAYER, column].item()
        (train, train_prefixes), (test, test_prefixes) = stored
        target, truth = (
            item.reference.predictions(p, [self.STEP])[0, :, 1:].flatten().numpy()
            for p in (train_prefixes, test_prefixes)
        )
        width = train.shape[-1]
        ridge = Ridge(alpha=alpha).fit(train[:, 1:].reshape(-1, width), target)
        expected = r2_score(truth, ridge.predict(test[:, 1:].reshape(-1, width)))
        found = newton_result.reference("newton").isel(site=0).prediction_r2
        value = found.sel(layer=self.LAYER, prediction_step=self.STEP).item()
        assert value == pytest.approx(expected, abs=1e-6)
        assert 0.3 < value < 1

    def test_similarity_equals_a_loop_over_prompts(self, newton_result, stored, readouts):
        comparisons, fitted = readouts
        reference = select(comparisons, "newton").reference
        (train, train_prefixes), (test, test_prefixes) = stored
        width = train.shape[-1]
        alpha = fitted.layers.ridge[self.LAYER, 0].item()
        layer = Ridge(alpha=alpha).fit(train.reshape(-1, width), train_prefixes.ys.flatten())
        ys = test_prefixes.ys.numpy()
        said = layer.predict(test.reshape(-1, width)).reshape(ys.shape)
        iterates = [
            reference.predictions(p, [self.STEP])[0].numpy()
            for p in (train_prefixes, test_prefixes)
        ]
        own = LeastSquares().fit(iterates[0].reshape(-1, 1), train_prefixes.ys.flatten())
        matched = own.predict(iterates[1].reshape(-1, 1)).reshape(ys.shape)
        scores = newton_result.reference("newton").isel(site=0).similarity
        for treatment, iterate, first in (
            ("matched/paper", matched, 1),
            ("raw/paper", iterates[1], 1),
            ("raw/official", iterates[1], 0),
        ):
            cosines = []
            for a, b in zip((said - ys)[:, first:], (iterate - ys)[:, first:], strict=True):
                cosines.append(a @ b / math.sqrt((a @ a) * (b @ b)))
            value = scores.sel(layer=self.LAYER, step=self.STEP, treatment=treatment).item()
            assert value == pytest.approx(np.mean(cosines), abs=1e-6), treatment

    def test_errors(self, newton_result, stored):
        prefixes = stored[1][1]
        ols = (OLS().predictions(prefixes)[0] - prefixes.ys).square().mean(0) / TASK.n_dims
        recorded = newton_result.reference("ols").error.isel(step=0).values
        assert recorded == pytest.approx(ols.numpy(), abs=1e-9)
        root = newton_result.layers.isel(site=0)
        zero = prefixes.ys.square().mean(0) / TASK.n_dims
        assert root.zero_error.values == pytest.approx(zero.numpy())


def test_what_the_first_layer_knows_is_no_work_of_later_ones():
    r2 = torch.tensor([[[0.5, 0.99, 0.0], [0.75, 1.0, -0.5], [0.5, 0.99, 0.25]]]).double()
    expected = torch.tensor([[[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.25]]]).double()
    assert torch.allclose(beyond_first(r2), expected)


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"n_dims": 4}, "task has n_dims = 4, the model was built for 3"),
            ({"n_points": 8}, "task has n_points = 8, the model takes at most 7"),
            ({"n_points": 1}, "n_points of at least 2"),
        ],
    )
    def test_a_task_that_does_not_fit(self, gpt2, changes, message):
        with pytest.raises(ValueError, match=message):
            match(gpt2, LinearRegression(**{**SIZES, **changes}))

    def test_a_model_that_does_not_know_its_task(self, gpt2):
        with pytest.raises(ValueError, match="give one as `task`"):
            match(gpt2)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_prompts": 0}, "n_prompts must be at least 128, got 0"),
            ({"site_kinds": ()}, "site_kinds"),
            ({"site_kinds": ("nowhere",)}, "nowhere"),
            ({"parameters": {"adam": {}}}, "parameters are for adam"),
            ({"parameters": {"gd": {"eta": -1.0}}}, "eta"),
        ],
    )
    def test_settings_out_of_range(self, newton, options, message):
        with pytest.raises(ValueError, match=message):
            match(newton, **options)

    def test_a_reference_that_was_not_compared(self, newton_result: MatchResult):
        with pytest.raises(ValueError, match="'adam' was not compared; compared were newton"):
            newton_result.reference("adam")

    def test_nan_weights_are_named_with_site_and_prompt(self, gpt2):
        broken = GPT2(gpt2.config, torch.Generator().manual_seed(0)).eval()
        with torch.no_grad():
            next(iter(broken.blocks[1].parameters()))[0] = math.nan
        with pytest.raises(ValueError, match="site"):
            match(broken, TASK, n_prompts=N_PROMPTS)


def test_a_model_that_sees_its_answers_is_not_matched(newton) -> None:
    leaking = copy.deepcopy(newton)
    leaking.is_wiring_checked = False
    forward = leaking.forward
    leaking.forward = lambda xs, ys: forward(xs, ys) + ys
    with pytest.raises(WiringError, match=r"the predictions at point 0 change with .* own y"):
        match(leaking, TASK, n_prompts=N_PROMPTS)


def test_activations_of_answers_are_not_matched(tmp_path) -> None:
    prompts = TASK.sample(600, torch.Generator().manual_seed(0))
    tokens = torch.nn.functional.pad(prompts.ys[None, ..., None], (0, 3))
    arrays = {"xs": prompts.xs.numpy(), "ys": prompts.ys.numpy(), "resid_post": tokens.numpy()}
    np.savez(tmp_path / "answers.npz", **arrays)
    with pytest.raises(WiringError, match="tokens that hold the answer"):
        match(open_activations(tmp_path / "answers.npz"))
