"""The report of a comparison as a reader's browser shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from assessments import TASK, assessment, comparison
from chromium import Visit, visit
from playwright.sync_api import Browser

from interp.analyses.comparison_result import ModelComparison
from interp.plots.compare import plot_differences, plot_match_curves
from interp.report.compare import comparison_page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'&amp;"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SHOWN = "[...document.querySelectorAll('#models tbody tr')].filter(row => !row.hidden)"
VISIBLE = """[...document.querySelectorAll('.plot')].map(plot => plot.data
    .filter(trace => trace.meta?.model && trace.visible !== false)
    .map(trace => trace.meta.model))"""


def models(*names: str) -> ModelComparison:
    similarities = (0.9, 0.7, 0.8)
    return comparison(
        *(
            assessment(name, similarity=similarities[index % 3], seed=index, n_layers=3 + index)
            for index, name in enumerate(names)
        )
    )


def open_page(seen: Visit) -> None:
    seen.page.wait_for_selector("html[data-drawn]")


def test_models_are_hidden_and_sorted(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    found = models("one", "two", "three")
    found.write_report(file)
    with visit(browser, file) as seen:
        open_page(seen)
        assert seen.page.inner_text("h1") == "3 models side by side"
        drawn = seen.page.evaluate(VISIBLE)
        assert len(drawn) >= 6
        assert all(names == ["one", "two", "three"] for names in drawn)

        seen.page.locator(".models input[value=two]").uncheck()
        assert all(names == ["one", "three"] for names in seen.page.evaluate(VISIBLE))
        first_cells = f"{SHOWN}.map(row => row.cells[0].dataset.sort)"
        assert seen.page.evaluate(first_cells) == ["one", "three"]
        differences = seen.page.locator("tr[data-models*=two]").evaluate_all(
            "rows => rows.map(row => row.hidden)"
        )
        assert len(differences) > 3
        assert all(differences)
        seen.page.locator("#all-models").click()
        assert all(len(names) == 3 for names in seen.page.evaluate(VISIBLE))

        column = seen.page.locator("#models button.sort", has_text="SimE Newton")
        column.click()
        assert seen.page.evaluate(first_cells) == ["two", "three", "one"]
        column.click()
        assert seen.page.evaluate(first_cells) == ["one", "three", "two"]

        link = seen.page.locator("#models a[download='models.csv']").get_attribute("href")
        assert link is not None
        assert unquote(link.split(",", 1)[1]) == found.tables["models"].to_csv()
        assert seen.console == []
        assert seen.requests == []


def test_several_tasks_are_named_above_the_table_and_in_it() -> None:
    tasks = (TASK, replace(TASK, noise_std=0.5))
    found = comparison(*(assessment(str(n), task=t) for n, t in enumerate(tasks)))
    page = comparison_page(found).html()
    for number, words in enumerate(("6 points", "6 points, noise std 0.5"), 1):
        assert f"({number}) linear regression, d = 3, {words}" in page
        assert f"<small>GPT2, linear regression, d = 3, {words}</small>" in page


def test_a_phone_and_hostile_names(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    models(HOSTILE, "a-rather-long-name-of-a-model/in/some/folder", *"cdefghijkl").write_report(
        file
    )
    with visit(browser, file, 390, is_phone=True) as seen:
        open_page(seen)
        assert seen.page.evaluate(OVERFLOW) <= 0
        assert seen.page.locator(".models label span").first.inner_text() == HOSTILE
        names = seen.page.locator("#models tbody tr").first.get_attribute("data-models")
        assert names is not None
        assert json.loads(names) == [HOSTILE]
        seen.page.locator(".models input").first.uncheck()
        assert all(HOSTILE not in names for names in seen.page.evaluate(VISIBLE))
        assert seen.console == []
        assert seen.requests == []


def test_one_model_alone() -> None:
    page = comparison_page(models("alone")).html()
    assert "<title>1 model side by side</title>" in page
    assert "Paired differences" not in page


def test_pictures_hold_the_numbers() -> None:
    found = models("one", "two")
    curve = plot_match_curves(found, "newton")
    assert [trace.name for trace in curve.data] == ["one", "two"]
    steps = found.match("two").reference("newton").best_step.isel(site=0)
    assert curve.data[1].y == pytest.approx(steps.values)
    difference = plot_differences(found, "two")
    first = difference.data[0]
    expected = found.summary.similarity_difference.sel(model="one", other="two").values
    assert first.y == pytest.approx(expected)
    with pytest.raises(ValueError, match="model 'three' was not compared"):
        plot_differences(found, "three")
