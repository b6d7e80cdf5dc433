"""What is logged and measured beside a training changes nothing of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from tiny import tiny, write_recipe

import interp
from hooks.model import SequenceModel
from interp.analyses.small_match import small_match
from interp.cli import main
from interp.tasks import Task
from interp.tasks.compatibility import task_of
from interp.training import monitoring
from interp.training.monitoring import Monitor, Monitoring
from interp.training.train import train

RECIPE = interp.Recipe.from_mapping(tiny())


def measure(model: SequenceModel, task: Task) -> dict[str, float]:
    """Draws from torch's global generator, as nothing that is measured should."""
    assert not model.training
    return {
        "norm": sum(one.norm().item() for one in model.parameters()) + 0 * torch.rand(()).item()
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> SequenceModel:
    return train(RECIPE, tmp_path_factory.mktemp("plain"))


def test_weights_are_those_of_a_training_that_nothing_watches(plain: SequenceModel, tmp_path: Path):
    watched = train(RECIPE, tmp_path, monitoring=Monitoring(measure_every=4, measure=measure))
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)
    assert "step 4: norm " in (tmp_path / "training.log").read_text()


def test_tensorboard_holds_metrics_and_measurements(tmp_path: Path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(RECIPE, tmp_path, monitoring=Monitoring("tensorboard", 12, measure))
    [folder] = [file.parent for file in (tmp_path / "tracking/icl-interp").glob("events*")]
    events = EventAccumulator(str(folder)).Reload()
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    errors = [float(row.split(",")[rows[0].split(",").index("error")]) for row in rows[1:]]
    assert [event.value for event in events.Scalars("error")] == pytest.approx(errors)
    assert [event.step for event in events.Scalars("error")] == [6, 12]
    assert [event.step for event in events.Scalars("norm")] == [12]


class Clock:
    """A clock on which a step takes a second and a measurement as long as is said."""

    def __init__(self, cost: float) -> None:
        self.now, self.cost, self.measured = 0.0, cost, []

    def measure(self, model: SequenceModel, task: Task) -> dict[str, float]:
        self.now += self.cost
        self.measured.append(self.now)
        return {}


@pytest.mark.parametrize("cost", [0.01, 0.5, 7.0])
def test_measurements_take_a_twentieth_of_the_time_at_most(
    cost: float, plain: SequenceModel, monkeypatch: pytest.MonkeyPatch
):
    clock = Clock(cost)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    settings = Monitoring(measure_every=1, measure=clock.measure)
    monitor = Monitor(settings, settings.accelerator(Path()), RECIPE, lambda line: None)
    for step in range(1, 2001):
        clock.now += 1
        monitor.measure(step, plain)
    assert clock.measured[0] == 1 + cost
    share = monitor.spent / clock.now
    assert share <= monitoring.LARGEST_SHARE
    assert share > monitoring.LARGEST_SHARE / 2 or len(clock.measured) == 2000


def test_a_measurement_that_fails_costs_nothing_else(tmp_path: Path, plain: SequenceModel):
    def fail(model: SequenceModel, task: Task) -> dict[str, float]:
        raise ValueError("activations are NaN")

    watched = train(RECIPE, tmp_path, monitoring=Monitoring(measure_every=5, measure=fail))
    assert all(map(torch.equal, plain.parameters(), watched.parameters()))
    assert "step 5: not measured, activations are NaN" in (tmp_path / "training.log").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"log_with": "nothing"}, "log_with must be one of trackio, tensorboard, wandb, got 'not"),
        ({"measure_every": -1}, "measure_every must be at least 0, got -1"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Monitoring(**options)


def test_a_package_that_is_missing_is_named_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(monitoring, "find_spec", lambda name: None)
    recipe = write_recipe(tmp_path, tiny())
    with pytest.raises(SystemExit) as ending:
        main(["train", str(recipe), "--log-with", "trackio", "--out", str(tmp_path / "runs")])
    assert ending.value.code == 2
    assert "needs the package trackio: pip install trackio" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_small_match_finds_the_steps_of_a_planted_model():
    model = interp.load("gd-exact")
    found = small_match(model, task_of(model))
    planted = model.steps_done().tolist()
    shown = [found[f"gd/step/layer_{layer}"] for layer in range(len(planted))]
    assert shown == pytest.approx(planted, rel=0.1, abs=0.1)
    assert found["gd/similarity/layer_12"] > 0.99
