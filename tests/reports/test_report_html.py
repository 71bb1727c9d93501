"""The HTML page as text: what it shows, and that nothing of a submission becomes markup."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from conftest import finding
from test_report_escape import HOSTILE

from audit.finding import Finding, Step
from reports import html
from reports.report import Experiment, Report
from reproduce.runlog import Metric


class Outline(HTMLParser):
    """Every tag with its attributes, and the text outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._skipping = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._skipping = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._skipping = False

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.text += data


def outline(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    parsed.close()
    return parsed


def poisoned(report: Report, text: str) -> Report:
    """The report with ``text`` wherever a submission can put one."""
    assert report.audit is not None
    assert report.seeds is not None
    assert report.claims is not None
    step = replace(report.audit.findings[0].path[0], file=text, excerpt=text, note=text)
    found = replace(report.audit.findings[0], message=text, file=text, because=text, path=(step,))
    run = replace(
        report.seeds.runs[0],
        path=text,
        seed=None,
        metrics=(Metric(text, 1.9, 1.1),),
        headline=Metric(text, 1.9, 1.1),
        failures=(text,),
    )
    return replace(
        report,
        submission=text,
        audit=replace(
            report.audit,
            trainer=text,
            trainer_why=text,
            reasons=(text,),
            findings=(found,),
            unchecked=(text,),
            settings={text: text},
        ),
        checks=tuple(replace(check, name=text, actual=text, evidence=text) for check in report.checks),
        seeds=replace(report.seeds, runs=(run, *report.seeds.runs[1:]), stage=text, notes=(text,)),
        sources=(replace(report.sources[0], text=text * 20),),
        notes=(text,),
    )


def test_it_shows_every_part_of_the_report(report: Report) -> None:
    text = outline(html.render(report)).text
    for expected in (
        "Hash of the future",
        "illegal",
        "C1-HASHKEY",
        "picks the row",
        "15,867,191",
        "1.144067",
        "C3-PREQUANT",
    ):
        assert expected in text


def test_it_asks_the_network_for_nothing(report: Report) -> None:
    page = html.render(report)
    for tag, attributes in outline(page).tags:
        assert tag not in ("iframe", "object", "embed", "img", "base")
        assert "src" not in attributes
        if tag == "link":
            assert attributes["href"] == "data:,"
    assert "@import" not in page
    assert not re.search(r"url\((?!data:)", page)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_tag_and_no_attribute(report: Report, text: str) -> None:
    def skeleton(page: str) -> list[tuple[str, list[str]]]:
        tags = outline(page).tags
        return [(tag, sorted(attributes)) for tag, attributes in tags if tag != "span"]  # highlighting makes spans

    harmless = "x" + "\nx" * text.count("\n")  # excerpts have as many lines
    assert skeleton(html.render(poisoned(report, text))) == skeleton(html.render(poisoned(report, harmless)))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_leaves_no_control_or_bidi_character(report: Report, text: str) -> None:
    page = html.render(poisoned(report, text))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", page)


def test_numbers_of_a_reference_lead_to_the_contest() -> None:
    assert str(html.reference("ruled on #779 <b>")) == (
        'ruled on <a href="https://github.com/openai/parameter-golf/issues/779" rel="noreferrer">#779</a> &lt;b&gt;'
    )


def test_the_size_bars_add_up_to_the_total_of_the_log(report: Report) -> None:
    assert report.seeds is not None
    run = replace(report.seeds.runs[0], model_bytes=900, code_bytes=50, total_bytes=1000)
    drawn = html.sizes(replace(report, seeds=replace(report.seeds, runs=(run,))))
    assert "1,000 bytes" in drawn
    assert "other: 50 bytes" in drawn


def test_an_empty_report_renders() -> None:
    assert "not audited" in outline(html.render(Report("x"))).text


def test_a_page_of_three_seeds_stays_small(report: Report) -> None:
    assert len(html.render(report)) < 120_000


def test_the_probability_mass_that_a_probe_measured_is_drawn_against_one(report: Report) -> None:
    measured = [
        Experiment("normalisation", "roundtrip", "holds", "", mass=0.998),
        Experiment("normalisation", "hedge", "breach", "", mass=1.458),
        Experiment("floor", "hedge", "holds", ""),
        Experiment("normalisation", "diverged", "unchecked", "", mass=math.nan),
    ]
    drawn = outline(str(html.probability_mass(replace(report, experiments=tuple(measured))))).text
    assert "hedge" in drawn and "1.458, more than a distribution has" in drawn
    assert "0.998" in drawn and drawn.count("more than") == 1 and "diverged" not in drawn
    assert html.probability_mass(replace(report, experiments=())) == ""


def test_a_long_path_is_folded_between_its_ends(report: Report) -> None:
    steps = tuple(Step("a.py", line, "", f"via {line}") for line in range(2, 12))
    path = (Step("a.py", 1, "", "alpha", "source"), *steps, Step("a.py", 12, "", "omega", "sink"))
    page = html.render(audited(report, finding(path=path)))
    folded = re.findall(r"<summary>(\d+) steps in between</summary>(.*?)</details>", page, re.S)
    assert [count for count, _ in folded] == ["7"]
    assert re.findall(r"via (\d+)", folded[0][1]) == [str(line) for line in range(3, 10)]
    assert re.findall(r"(?:alpha|via|omega)", outline(page).text) == ["alpha", *["via"] * 10, "omega"]


def audited(report: Report, *findings: Finding) -> Report:
    assert report.audit is not None
    return replace(report, audit=replace(report.audit, findings=findings), probes=())
