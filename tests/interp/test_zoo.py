from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hooks.architectures import build_model
from hooks.architectures.built_in import BUILT_IN
from hooks.checkpoints import CheckpointError, save_checkpoint
from interp import zoo
from interp.cli import main
from interp.recipes import find_recipe
from interp.training.recipe import Recipe
from interp.zoo import catalogue
from interp.zoo.catalogue import CONSTRUCTED

SIZES = {"n_dims": 2, "n_points": 4, "n_layers": 1, "n_heads": 1, "d_model": 8}
METRICS = {"step": 3, "error": 0.31, "baseline_error": 0.3, "excess": 0.01, "seconds": 60.0}


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of one trained model and one random one."""
    shelf = tmp_path / "zoo"
    monkeypatch.setattr(catalogue, "ZOO_DIRECTORY", shelf)
    recipe = Recipe.read(find_recipe("gpt2-d5")).describe()
    trained = {"recipe": recipe, "step": 3, "metrics": METRICS, "versions": {"torch": "2.13.0+cpu"}}
    random = {"description": "Random weights"}
    for name, provenance in (("trained", trained), ("random", random)):
        save_checkpoint(build_model("gpt2", SIZES), shelf / name / "model.safetensors", provenance)
    return shelf


def test_every_shipped_checkpoint_loads_and_is_what_its_entry_says():
    for entry in zoo.entries():
        model = zoo.load(entry.name)
        assert entry.config.items() <= model.describe().items()  # later versions add fields
        assert entry.n_parameters == sum(tensor.numel() for tensor in model.state_dict().values())
        assert entry.description
        folder = catalogue.ZOO_DIRECTORY / entry.name
        if entry.step:
            assert Recipe.read(folder / "recipe.toml").describe()["model"] == {
                "architecture": entry.architecture, **Recipe.read(folder / "recipe.toml").model
            }  # fmt: skip
            assert (folder / "metrics.csv").is_file()
            assert (folder / "training.log").is_file()
            assert entry.excess is not None


def test_entries_are_read_from_the_header(shelf: Path):
    random, trained = zoo.entries()
    assert (random.name, trained.name) == ("random", "trained")
    assert (random.step, random.error, random.excess) == (0, None, None)
    assert random.description == "Random weights"
    assert trained.step == 3
    assert trained.excess == pytest.approx(0.01)
    assert trained.description.startswith("8-layer GPT-2")
    model = zoo.load("trained")
    assert trained.config == model.describe()
    assert trained.n_parameters == sum(tensor.numel() for tensor in model.state_dict().values())
    assert trained.n_bytes == (shelf / "trained" / "model.safetensors").stat().st_size


def test_a_checkpoint_comes_by_name_by_file_and_by_folder(shelf: Path, tmp_path: Path):
    by_name = zoo.load("trained")
    for place in (shelf / "trained" / "model.safetensors", shelf / "trained"):
        other = zoo.load(place)
        assert other.provenance | {"name": "trained"} == by_name.provenance
        assert torch.equal(other.read_in.weight, by_name.read_in.weight)


def test_an_unknown_name_gives_the_closest_and_where_all_are_listed(shelf: Path):
    with pytest.raises(CheckpointError, match=r"traned: no such.*closest: trained\).*interp zoo"):
        zoo.load("traned")


def test_a_looped_model_comes_with_any_number_of_loops(tmp_path: Path):
    config = {**SIZES, "n_layers": 3}
    trained = build_model("looped", config, seed=0)
    save_checkpoint(trained, tmp_path / "looped.safetensors", {"step": 3})
    place = str(tmp_path / "looped.safetensors")
    for model in (zoo.load(f"{place}@5"), zoo.load(place, loops=5)):
        assert model.n_layers == 5
        assert model.provenance["name"] == f"{place}@5"
        assert model.provenance["step"] == 3
        assert torch.equal(model.read_in.weight, trained.read_in.weight)
    assert zoo.load("gd-exact-looped@3").n_layers == 3
    assert zoo.load("newton-exact-looped@3").n_layers == 5  # set-up and read-out besides


def test_a_folder_may_be_named_as_loops_are(tmp_path: Path):
    folder = tmp_path / "run@4"
    save_checkpoint(build_model("looped", SIZES), folder / "model.safetensors", {})
    assert zoo.load(folder).n_layers == 1
    assert zoo.load(f"{folder}@2").n_layers == 2


@pytest.mark.parametrize(
    ("name", "loops", "message"),
    [
        ("gd-exact@3", None, "gd-exact: only a looped model can be run for another number"),
        ("gpt2-d5", 3, "gpt2-d5: only a looped model .*this GPT2 has 8 layers"),
        ("gd-exact-looped@0", None, "n_loops must be at least 1, got 0"),
        ("gd-exact-looped@3", 4, "loops is given as 4, and as 3 in gd-exact-looped@3"),
        ("gd-exact-loped@3", None, "gd-exact-loped: no such file.*closest: gd-exact-looped"),
    ],
)
def test_loops_that_cannot_be(name: str, loops: int | None, message: str):
    with pytest.raises(ValueError, match=message):
        zoo.load(name, loops=loops)


def test_a_model_built_to_run_a_known_algorithm_comes_by_its_name(shelf: Path):
    assert zoo.load("newton-exact").provenance["built_in"] == "newton-exact"


@pytest.mark.parametrize("content", [b"", b"x", b"\x00" * 64, b"PK\x03\x04" + b"\x00" * 60])
def test_a_foreign_file_is_named_in_one_sentence(tmp_path: Path, content: bytes):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    for place in (file, tmp_path):
        with pytest.raises(CheckpointError) as caught:
            zoo.load(place)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n_bytes", [4, 100, 3000])
def test_a_truncated_file_is_named_in_one_sentence(shelf: Path, n_bytes: int):
    file = shelf / "trained" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:n_bytes])
    with pytest.raises(CheckpointError, match=str(file)) as caught:
        zoo.load("trained")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x", b"\x00" * 64, b"\x02" + b"\x00" * 7 + b"{}"])
def test_the_catalogue_names_a_damaged_file(tmp_path: Path, content: bytes):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=str(tmp_path / "model.safetensors")):
        catalogue.read_entry(tmp_path)


def test_the_table_and_the_json_agree(shelf: Path, capsys: pytest.CaptureFixture[str]):
    outputs = []
    for arguments in (["zoo"], ["zoo", "--json"]):
        with pytest.raises(SystemExit) as ending:
            main(arguments)
        assert not ending.value.code
        outputs.append(capsys.readouterr().out)
    table, listing = outputs
    entries = json.loads(listing)
    assert [entry["name"] for entry in entries] == ["random", "trained"]
    assert entries == [entry.describe() for entry in zoo.entries()]
    trained = next(line for line in table.splitlines() if line.startswith("trained"))
    assert "0.3100" in trained
    assert "0.3000" in trained


def test_constructed_models_are_listed_as_they_can_be_loaded(capsys: pytest.CaptureFixture[str]):
    assert set(CONSTRUCTED) == set(BUILT_IN)
    with pytest.raises(SystemExit):
        main(["zoo"])
    listing = capsys.readouterr().out
    assert all(name in listing for name in CONSTRUCTED)


@pytest.mark.parametrize(("columns", "n_listings"), [(80, 2), (160, 1)])
def test_the_listing_fits_the_terminal(
    shelf: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    n_listings: int,
):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        main(["zoo"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(line.startswith("trained ") for line in lines) == n_listings
