"""The report as a reader's browser shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from chromium import Visit, visit
from planted import planted_result
from playwright.sync_api import Browser

from interp.report import verdict_html, write_report
from interp.report.wording import word
from interp.results.result import MatchResult
from probes.conclusion import conclude_misfit
from probes.estimate import Estimate
from probes.misfit import Misfit

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>&amp;"
RESULTS: dict[str, Callable[[], MatchResult]] = {
    "everything": lambda: planted_result(kinds=("resid_post", "attn_out", "mlp_out")),
    "undecided, many layers": lambda: planted_result(
        standing=("newton", "gd"), dead_layer=3, n_layers=24
    ),
    "nothing to compare": lambda: planted_result(
        standing=(), names=("ols",), kinds=("resid_post",), has_controls=False, checkpoint=None
    ),
    "hostile names": lambda: planted_result(
        standing=(),
        names=("newton", HOSTILE.replace("/", "|")),
        kinds=("resid_post",),
        checkpoint=HOSTILE,
        has_evidence=False,
        has_vectors=False,
    ),
}
DRAWN = """plots => plots.map(plot => {
    const box = plot.getBoundingClientRect();
    const marks = plot.querySelectorAll('.cartesianlayer .trace, .cartesianlayer .hm image');
    return [...marks].some(mark => mark.getBoundingClientRect().width > 0) && box.height > 100;
})"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def n_figures(file: Path) -> int:
    return file.read_text().count('<script type="application/json">')


def wait_until_drawn(seen: Visit, file: Path) -> None:
    seen.page.wait_for_selector("html[data-drawn]")
    drawn = seen.page.eval_on_selector_all(".plot", DRAWN)
    assert len(drawn) == n_figures(file)
    assert all(drawn)


@pytest.mark.parametrize("name", RESULTS)
def test_every_figure_is_drawn_without_errors_or_requests(
    browser: Browser, tmp_path: Path, name: str
):
    file = tmp_path / "report.html"
    result = RESULTS[name]()
    write_report(result, file)
    is_phone = name != "nothing to compare"
    with visit(browser, file, 390 if is_phone else 1280, is_phone=is_phone) as seen:
        wait_until_drawn(seen, file)
        assert n_figures(file) >= 2
        assert seen.page.evaluate(OVERFLOW) <= 0
        assert seen.console == []
        assert seen.requests == []
        checkpoint = result.provenance["checkpoint"] or "unnamed model"
        assert seen.page.inner_text("h1") == checkpoint
        assert seen.page.title().startswith(checkpoint)


def test_a_wide_window_shows_the_verdict_first_and_buttons_work(browser: Browser, tmp_path: Path):
    file = tmp_path / "report.html"
    write_report(RESULTS["everything"](), file)
    with visit(browser, file) as seen:
        wait_until_drawn(seen, file)
        assert seen.page.evaluate(OVERFLOW) <= 0
        verdict = seen.page.locator("#verdict")
        box = verdict.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900, "the verdict is seen without scrolling"
        assert "Iterative Newton" in verdict.inner_text()
        assert "2.00 steps per layer" in verdict.inner_text()
        assert "1.80 to 2.20" in verdict.inner_text()
        heatmap = "document.querySelector('#heatmaps .plot')._fullData"
        before = seen.page.evaluate(f"[{heatmap}[0].z[0][0], {heatmap}[1].x[2]]")
        seen.page.locator("#heatmaps .updatemenu-button").nth(1).click()
        after = seen.page.evaluate(f"[{heatmap}[0].z[0][0], {heatmap}[1].x[2]]")
        assert after == pytest.approx([before[0] - 0.1, before[1] + 0.5])
        assert seen.console == []


def test_links_lead_to_parts_of_the_page(tmp_path: Path):
    file = tmp_path / "report.html"
    write_report(RESULTS["everything"](), file)
    page = file.read_text()
    targets = re.findall(r'href="#([a-z]+)"', page)
    assert len(targets) >= 8
    assert all(f'id="{target}"' in page for target in targets)


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (("newton",), ("follow Iterative Newton", "2.00", "because of gd")),
        (("gd", "newton"), ("Undecided between gradient descent and Iterative Newton",)),
        ((), ("None of the references", "own words about none")),
    ],
)
def test_notebooks_show_the_verdict(standing: tuple[str, ...], words: tuple[str, ...]):
    fragment = verdict_html(planted_result(standing=standing))
    assert all(word in fragment for word in words)
    assert planted_result(standing=standing)._repr_html_() == fragment


def test_a_reference_that_is_the_nearest_only_is_called_so_with_the_reason():
    result = planted_result()
    misfit = Misfit("newton", Estimate(0.16, 0.15, 0.17), Estimate(0.08, 0.07, 0.09))
    verdict = conclude_misfit(result.verdict, misfit)
    result.data.attrs["verdict"] = json.dumps(asdict(verdict))
    wording = word(MatchResult(result.data))
    assert wording.headline.startswith("The layers come nearest to")
    why, where = wording.paragraphs
    assert "16 % is beyond Iterative Newton" in why
    assert "50 % of that is systematic" in why
    assert "Measured from layer 2 to layer 4" in where
    assert "Ruled out" not in why + where  # that stands below it, as a list


def test_uneven_steps_are_a_reason_to_be_the_nearest_only_and_said_once():
    result = planted_result()
    verdict = result.verdict
    findings = tuple(
        replace(finding, evidence=tuple(replace(item, law="neither") for item in finding.evidence))
        for finding in verdict.findings
    )
    small = Misfit("newton", Estimate(0.01, 0.0, 0.02), Estimate(0.0, 0.0, 0.01))
    verdict = conclude_misfit(replace(verdict, findings=findings), small)
    result.data.attrs["verdict"] = json.dumps(asdict(verdict))
    wording = word(MatchResult(result.data))
    assert wording.headline.startswith("The layers come nearest to")
    text = " ".join(wording.paragraphs)
    assert text.count("unevenly") == 1
    assert "systematic" not in text


@pytest.mark.parametrize("standing", [("newton",), ("newton", "gd")])
def test_how_often_verdicts_are_right_is_said_once_and_apart(standing: tuple[str, ...]):
    result = planted_result()
    verdict = replace(result.verdict, standing=standing).quoting("It is right in 99 %.")
    result.data.attrs["verdict"] = json.dumps(asdict(verdict))
    assert word(MatchResult(result.data)).error_rate == "It is right in 99 %."
    assert "99 %" not in " ".join(word(MatchResult(result.data)).paragraphs)
    assert verdict_html(MatchResult(result.data)).count("It is right in 99 %.") == 1


def test_notebooks_escape_names():
    fragment = verdict_html(planted_result(checkpoint=HOSTILE))
    assert "<script" not in fragment
    assert "<img" not in fragment
    assert "&lt;script&gt;" in fragment


def test_an_unwritable_report_leaves_the_old_one(tmp_path: Path):
    folder = tmp_path / "report.html"
    folder.mkdir()
    with pytest.raises(OSError, match=r"report\.html"):
        write_report(planted_result(), folder)
    assert list(tmp_path.iterdir()) == [folder]
