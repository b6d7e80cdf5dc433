"""Which figures there are, which models they need, and when a claim agrees."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import assert_one_sentence, run

from hooks.architectures import build_model
from interp.recipes import recipe_names
from interp.studies.paper.claims import Claim, Quantity, Rule, describe_outcomes, number_claim
from interp.studies.paper.growth_claims import law_claim, order_of, step_counts
from interp.studies.paper.models import PaperModels, roles_of, working_layers
from interp.studies.paper.paper_setup import (
    N_GROUPS,
    NEWTON_SIMILARITY,
    NEWTON_STEPS,
    TABLE_1,
    Settings,
)
from interp.studies.paper.rows import ROLES, ROWS, UnknownFigureError, find_rows, how_to_get
from interp.tasks import LinearRegression, Task, TwoLayerNetwork
from interp.zoo.catalogue import names

D5 = LinearRegression(n_dims=5, n_points=11)


def test_every_figure_of_the_paper_and_its_table_have_a_row():
    figures = [number for row in ROWS for number in row.figures]
    assert sorted(figures) == list(range(2, 28))
    assert len({row.key for row in ROWS}) == len(ROWS)
    assert find_rows(["table1"])[0].label == "Table 1"


@pytest.mark.parametrize("name", ["8", "fig8", "Fig. 8", "figure 08", "FIG3", "fig3"])
def test_a_row_goes_by_each_of_its_figures(name: str):
    [row] = find_rows([name])
    assert row.key == "fig3"


def test_rows_come_in_the_papers_order_and_once():
    assert [row.key for row in find_rows(["table 1", "16", "4", "2"])] == ["fig2", "fig4", "table1"]
    assert find_rows([]) == ROWS


@pytest.mark.parametrize("name", ["1", "28", "fig100", "table2", "", "figs"])
def test_names_of_no_figure(name: str):
    with pytest.raises(UnknownFigureError, match="no such figure"):
        find_rows([name])


def test_every_role_is_trained_by_a_shipped_recipe():
    shipped = set(recipe_names())
    for key, role in ROLES.items():
        assert role.small in shipped
        assert role.large is None or role.large in shipped
        assert how_to_get(key, 5) == (
            f"needs a checkpoint that is not shipped: interp train {role.small}"
        )
    assert "no recipe ships" in how_to_get("deep", 20)
    assert {name for row in ROWS for name in row.needs} == set(ROLES)


@pytest.mark.parametrize(
    ("architecture", "config", "task", "roles"),
    [
        ("gpt2", {}, D5, ("transformer",)),
        ("gpt2", {"n_layers": 16}, D5, ("deep",)),
        ("gpt2", {"n_heads": 1, "d_model": 64}, D5, ("one-head", "width-64")),
        ("gpt2", {"n_heads": 1, "d_model": 8}, D5, ("width-8",)),
        ("gpt2", {"n_heads": 1, "d_model": 256}, D5, ("one-head",)),
        ("lstm", {}, D5, ("lstm",)),
        ("gpt2", {}, LinearRegression(5, 11, condition_number=100.0), ("ill-conditioned",)),
        ("gpt2", {}, LinearRegression(5, 11, noise_std=0.1), ("noisy",)),
        ("gpt2", {}, TwoLayerNetwork(5, 11, activation="tanh"), ("tanh-network",)),
        ("newton-exact", {}, D5, ("transformer",)),
    ],
)
def test_roles_follow_from_architecture_and_task(
    architecture: str, config: dict[str, int], task: Task, roles: tuple[str, ...]
):
    small = {"n_layers": 1, "d_model": 8, "n_heads": 2} if architecture == "gpt2" else {}
    model = build_model(architecture, {**small, **config})
    assert roles_of(model, task) == roles


def test_a_role_is_filled_by_what_ships_at_its_dimension_or_not_at_all():
    model = PaperModels.of([]).find("transformer")
    assert model is not None
    assert model.name == "gpt2-d5"
    assert PaperModels({}, n_dims=20).find("transformer") is None
    assert PaperModels({}, n_dims=20).lacks("lstm").endswith("interp train lstm-d20")


def test_two_checkpoints_for_one_role():
    with pytest.raises(ValueError, match="gpt2-d5 and newton-exact both are a transformer"):
        PaperModels.of(["gpt2-d5", "newton-exact"])


STEP = st.floats(0.6, 6)


@settings(max_examples=40)
@given(first=st.floats(1, 5), slope=STEP, n=st.integers(5, 12))
def test_equal_steps_a_layer_are_linear_and_not_exponential(first: float, slope: float, n: int):
    steps = first + slope * torch.arange(n, dtype=torch.float64)
    assert law_claim("newton-law", steps, range(n)).outcome == "agrees"
    assert law_claim("gd-law", steps, range(n)).outcome == "disagrees"


@settings(max_examples=40)
@given(first=st.floats(1, 5), factor=st.floats(1.5, 8), n=st.integers(5, 10))
def test_equal_factors_a_layer_are_exponential_and_not_linear(first: float, factor: float, n: int):
    steps = first * factor ** torch.arange(n, dtype=torch.float64)
    assert law_claim("gd-law", steps, range(n)).outcome == "agrees"
    assert law_claim("newton-law", steps, range(n)).outcome == "disagrees"


def test_layers_before_the_first_step_do_not_decide_a_law():
    steps = torch.tensor([0, 0, 0.2, 1, 2, 3, 4, 5], dtype=torch.float64)
    assert law_claim("newton-law", steps, range(8)).outcome == "agrees"


def test_two_layers_tell_no_law():
    steps = torch.tensor([0.0, 3.0, 6.0], dtype=torch.float64)
    check = law_claim("newton-law", steps, range(3))
    assert check.outcome == "undecided"


def test_the_published_steps_satisfy_the_rule_for_the_papers_claim():
    steps = torch.tensor(NEWTON_STEPS, dtype=torch.float64)[2:9]
    check = law_claim("newton-law", steps, range(3, 10))
    assert check.outcome == "agrees"
    assert float(re.search(r"([\d.]+) steps a layer", check.found)[1]) == pytest.approx(3, abs=0.2)


def test_published_numbers_are_complete_and_in_range():
    assert len(NEWTON_STEPS) == len(NEWTON_SIMILARITY) == 12
    values = [value for scores in TABLE_1.values() for value in scores.values()]
    assert len(values) == 6
    assert all(0 < value < 1 for value in (*values, *NEWTON_SIMILARITY))


def test_working_layers_begin_with_the_fall_and_end_with_convergence():
    errors = torch.tensor([1.0, 0.99, 0.7, 0.4, 0.1, 0.1, 0.1])
    assert working_layers(errors, 1.0, 0.1) == (2, 4)
    assert working_layers(torch.ones(5), 1.0, 1.0) is None


@pytest.mark.parametrize("order", [1.0, 1.5, 2.0])
def test_the_order_of_convergence_of_a_sequence_that_has_one(order: float):
    excess = [torch.full((64,), 0.5, dtype=torch.float64)]
    for _ in range(4):
        excess.append(0.5 * excess[-1] ** order)
    found = order_of(torch.stack(excess))
    assert (found.value, found.low, found.high) == pytest.approx((order,) * 3)


BOUND = st.floats(-10, 10)


@given(BOUND, st.floats(0, 5), BOUND, st.booleans())
def test_a_rule_agrees_on_one_side_and_its_opposite_disagrees_there(
    low: float, width: float, border: float, above: bool
):
    found = Quantity.of(low, torch.tensor([low, low + width], dtype=torch.float64))
    sides = (Rule("", above=border), Rule("", below=border))
    rule, other = sides if above else reversed(sides)
    outcome, opposite = rule.decide(found), other.decide(found)
    assert {outcome, opposite} in ({"agrees", "disagrees"}, {"undecided"})
    assert (outcome == "undecided") == (found.low <= border <= found.high)
    assert Claim("", "", rule, found, is_decided=False).outcome == "undecided"
    assert rule.decide(None) == "undecided"


@given(BOUND, BOUND, st.floats(0, 3), st.floats(0, 3))
def test_a_difference_is_decided_where_intervals_do_not_overlap(
    a: float, b: float, of_a: float, of_b: float
):
    more, less = Quantity(a, a - of_a, a + of_a), Quantity(b, b - of_b, b + of_b)
    outcome = Claim.of("less-like-gd", "", more - less).outcome
    overlap = more.low <= less.high and less.low <= more.high
    expected = "undecided" if overlap else "agrees" if more.low > less.high else "disagrees"
    assert outcome == expected or abs(abs(a - b) - of_a - of_b) < 1e-9


def test_nothing_is_decided_by_what_is_not_a_number():
    nan = float("nan")
    assert Rule("", above=1.0, below=2.0).decide(Quantity(1.5, nan, nan)) == "undecided"


def test_a_number_is_decided_at_its_own_scale_only():
    def outcome(found: float, at_scale: bool) -> str:
        ours = Quantity.of(found)
        claim = number_claim("last-newton-step", ours, 21.0, at_scale=at_scale, about="")
        return claim.outcome

    assert outcome(22.0, True) == "agrees"
    assert outcome(24.0, True) == "disagrees"
    assert outcome(21.0, False) == outcome(40.0, False) == "undecided"


def test_outcomes_in_words():
    assert describe_outcomes(["agrees", "agrees"]) == "agrees"
    assert describe_outcomes(["undecided", "agrees", "disagrees", "agrees"]) == (
        "agrees 2, disagrees 1, undecided 1"
    )


def test_step_counts_in_words():
    assert step_counts([1, 2]) == "1, 2"
    assert step_counts([1.25, 1234.5]) == "1.2, 1,234"


def test_settings():
    assert Settings(n_prompts=33).n_scored == 2 * N_GROUPS
    assert Settings(n_prompts=1000).few(50) == 2 * N_GROUPS
    with pytest.raises(ValueError, match="n_prompts must be at least 32"):
        Settings(n_prompts=8)


def test_the_command_lists_rows_and_what_they_need(tmp_path: Path):
    ending = run("reproduce", "--list", folder=tmp_path)
    assert ending.code == 0
    assert all(row.key in ending.stdout for row in ROWS)
    lacking = {role.small for role in ROLES.values()} - set(names())
    words = " ".join(ending.stdout.split())
    assert set(re.findall(r"interp train (\S+?),?(?= |$)", words)) == lacking
    assert ("needs a checkpoint that is not shipped" in words) is bool(lacking)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["fig33"], ["fig33: no such figure", "closest"]),
        (["3", "--prompts", "2"], ["n_prompts must be at least 32, got 2"]),
        (["5", "--checkpoint", "gpt2-d6"], ["gpt2-d6: no such file", "closest: gpt2-d5"]),
        (["5", "--out", "/dev/null"], ["/dev/null"]),
    ],
)
def test_bad_input_ends_with_one_sentence(tmp_path: Path, arguments: list[str], parts: list[str]):
    assert_one_sentence(run("reproduce", *arguments, folder=tmp_path), *parts)


def test_the_command_writes_report_page_and_summary(tmp_path: Path):
    out, page = tmp_path / "out", tmp_path / "docs" / "page.md"
    ending = run(
        "reproduce", "5", "--prompts", 32, "--seed", 1, "--out", out, "--document", page, "--json",
        folder=tmp_path,
    )  # fmt: skip
    assert ending.code == 0, ending.stderr
    [row] = json.loads(ending.stdout)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["rows"] == [row]
    assert summary["command"] == f"interp reproduce 5 --prompts 32 --seed 1 --document {page}"
    assert {file.name for file in out.glob("[!.]*")} == {"report.html", "summary.json", "fig5.nc"}
    text = page.read_text()
    for check in row["checks"]:
        assert check["claim"] in text
        assert check["found"] in text
