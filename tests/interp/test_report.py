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
from interp.report.verdict_text import verdict_text
from interp.results.result import MatchResult
from probes.uncertainty.estimate import Estimate
from probes.verdict import LackOfFit

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>&amp;"
RESULTS: dict[str, Callable[[], MatchResult]] = {
    "everything": lambda: planted_result(kinds=("resid_post", "attn_out", "mlp_out")),
    "undecided, many layers": lambda: planted_result(
        retained=("newton", "gd"), dead_layer=3, n_layers=24
    ),
    "nothing to compare": lambda: planted_result(
        retained=(), names=("ols",), kinds=("resid_post",), has_controls=False, checkpoint=None
    ),
    "hostile names": lambda: planted_result(
        retained=(),
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
    ("retained", "words"),
    [
        (
            ("newton",),
            ("follow Iterative Newton", "2.00", "Rejected: Gradient descent"),
        ),
        (("gd", "newton"), ("Undecided between gradient descent and Iterative Newton",)),
        ((), ("None of the references", "comes closest, but")),
    ],
)
def test_notebooks_show_the_verdict(retained: tuple[str, ...], words: tuple[str, ...]):
    fragment = verdict_html(planted_result(retained=retained))
    assert all(word in fragment for word in words)
    assert planted_result(retained=retained)._repr_html_() == fragment


def test_a_reference_that_is_the_nearest_only_is_called_so_with_the_reason():
    result = planted_result()
    misfit = LackOfFit("newton", Estimate(0.16, 0.15, 0.17), Estimate(0.08, 0.07, 0.09))
    verdict = replace(result.verdict, lack_of_fit=misfit)
    result.data.attrs["verdict"] = json.dumps(asdict(verdict))
    wording = verdict_text(MatchResult(result.data))
    assert wording.headline.startswith("The layers come nearest to")
    where, _, why = wording.paragraphs
    assert "8.0 % of the layers' squared errors is systematically beyond it" in why
    assert "from layer 2 to layer 4" in where
    assert "gradient descent" not in "".join(wording.paragraphs).lower()  # a list stands below


def test_uneven_steps_are_a_reason_to_be_the_nearest_only_and_said_once():
    result = planted_result()
    verdict = result.verdict
    findings = tuple(
        replace(finding, evidence=tuple(replace(item, law="neither") for item in finding.evidence))
        for finding in verdict.findings
    )
    small = LackOfFit("newton", Estimate(0.01, 0.0, 0.02), Estimate(0.0, 0.0, 0.01))
    verdict = replace(verdict, findings=findings, lack_of_fit=small)
    result.data.attrs["verdict"] = json.dumps(asdict(verdict))
    wording = verdict_text(MatchResult(result.data))
    assert wording.headline.startswith("The layers come nearest to")
    assert wording.fit.count("unevenly") == 1
    assert "systematic" not in wording.fit


@pytest.mark.parametrize("retained", [("newton",), ("newton", "gd"), ()])
def test_the_terminal_gets_at_most_five_lines_the_last_on_how_often_verdicts_are_right(retained):
    result = planted_result(retained=retained)
    text = verdict_text(result)
    assert len(text.lines) <= 5
    assert text.lines[-1] == text.error_rate
    assert "this verdict was right in" in text.error_rate
    assert "this verdict was right in" not in " ".join(text.paragraphs)
    assert text.lines[0].startswith(text.headline)
    shown = result.summary()["verdict"]
    assert shown["error_rate"] == text.error_rate
    assert text.headline in shown["text"]


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


def test_a_rate_has_its_unit():
    result = planted_result(retained=("gd",))
    [finding, *others] = result.verdict.findings
    evidence = tuple(
        replace(item, scale={"eta": 0.002}) if item.name == "gd" else item
        for item in finding.evidence
    )
    verdict = replace(result.verdict, findings=(replace(finding, evidence=evidence), *others))
    result.data.attrs["verdict"] = json.dumps(asdict(verdict))
    again = MatchResult(result.data)
    assert "90.00 steps a layer (eta = 0.002, eta × steps = 0.18 a layer; 95 %" in again.text
    shown = again.summary()
    assert shown["verdict"]["scale"] == {"eta": 0.002, "eta_times_steps_per_layer": 0.18}
    assert shown["errors"]["zero"] == 1.0
    assert "The model's own" in again.text
