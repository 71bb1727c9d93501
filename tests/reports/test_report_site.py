"""The corpus site: its table, its filters in a real browser, and who would stand on the leaderboard."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from browser import Page, start
from conftest import finding
from test_report_command import run
from test_report_escape import HOSTILE
from test_report_html import outline, poisoned
from typer.testing import CliRunner

from audit.evidence.check import Check, Status
from audit.finding import AuditResult, Basis
from golfproof.app import app
from reports import html, site
from reports.collect import own_words
from reports.entries import Entry, entry_of, leaderboard
from reports.report import Report, to_json
from reports.results import corpus_records, read_results, report_of
from reproduce.errors import InputError
from reproduce.folder import open_folder


def standing(report: Report, **changes: Any) -> Report:
    """The report with nothing against it."""
    assert report.audit is not None
    assert report.claims is not None
    clean = replace(report.audit, verdict="clean", findings=(), reasons=())
    held = (
        *(check for check in report.checks if check.status is Status.PASS),
        Check("training time", "600 s", "599.4 s", Status.PASS, rule="T-TRAIN"),
        Check("bytes per token", "2.436", "2.436", Status.PASS, rule="M-BYTES"),
    )
    return replace(report, audit=clean, checks=held, probes=(), folder="1384/track_10min_16mb/2026-04-05_x", **changes)


def made(number: int, **changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "page": f"pages/{number}.html",
        "pull": number,
        "name": f"Entry {number}",
        "author": f"author{number % 7}",
        "date": f"2026-04-{1 + number % 28:02d}",
        "track": "record",
        "verdict": ("clean", "illegal", "review")[number % 3],
        "claimed": 1.1 + number / 10_000,
        "supported": 1.1 + number / 10_000 if number % 5 else None,
        "runs": 3,
        "rules": ("C3-TTT",) if number % 3 == 1 else (),
        "total_bytes": 15_900_000 + number,
        "train_seconds": 599.0,
        "eval_seconds": 400.0,
        "words": "a mixer" if number % 4 == 0 else "",
        "stands": number % 3 == 0,
        "why_not": "",
        "place": f"track/{number}",
    }
    return Entry(**(fields | changes))


def test_an_entry_knows_its_pull_request_track_and_date(report: Report) -> None:
    entry = entry_of(standing(report), "p.html")
    assert (entry.pull, entry.track, entry.date) == (1384, "record", "2026-04-05")
    assert entry_of(replace(report, folder="records/track_non_record_16mb/x"), "p.html").track == "non-record"
    assert entry_of(replace(report, folder="records/2024-x"), "p.html").pull is None


def test_a_supported_lawful_entry_stands(report: Report) -> None:
    entry = entry_of(standing(report), "p.html")
    assert entry.supported == pytest.approx(1.1440667)
    assert (entry.stands, entry.why_not) == (True, "")


def test_what_is_in_the_way_of_an_entry(report: Report) -> None:
    assert report.claims is not None
    good = standing(report)
    failing = replace(good, checks=(Check("size", "1", "2", Status.FAIL),))
    claimed = replace(good, claims=replace(report.claims, val_bpb=1.1))
    assert entry_of(report, "p.html").why_not == "verdict illegal"
    assert entry_of(failing, "p.html").why_not == "fails size"
    assert entry_of(claimed, "p.html").why_not == "claims 1.100000, its logs say 1.144067"
    assert entry_of(claimed, "p.html").supported is None
    assert entry_of(replace(good, seeds=None), "p.html").why_not == "no log with a score"


@pytest.mark.parametrize(
    ("rule", "status", "why"),
    [
        ("ART-CAP", None, "artifact size not shown"),
        ("T-TRAIN", Status.UNCHECKED, "training time not shown"),
        ("M-BYTES", Status.UNCHECKED, "bytes per token not shown"),
        ("M-BYTES", Status.WARN, "bytes per token not shown"),
        ("T-TRAIN", Status.WARN, ""),
        ("T-EVAL", Status.UNCHECKED, ""),
        ("E-CLAIM", Status.WARN, "claim in doubt"),
    ],
)
def test_what_is_not_shown_does_not_stand(report: Report, rule: str, status: Status | None, why: str) -> None:
    good = standing(report)
    checks = [check for check in good.checks if check.rule != rule]
    if status is not None:
        checks.append(Check("x", "", "", status, rule=rule))
    assert entry_of(replace(good, checks=tuple(checks)), "p.html").why_not == why


def test_a_folder_that_later_pull_requests_carry_along_is_ranked_once() -> None:
    twice = [made(number, stands=True, supported=1.1, place="track/x", date="2026-04-01") for number in (9, 7)]
    other = made(8, stands=True, supported=1.1, place="track/y", date="2026-04-01")
    assert [entry.pull for entry in leaderboard([*twice, other])] == [7, 8]


def test_a_score_of_fewer_seeds_than_a_record_needs_does_not_stand(report: Report) -> None:
    assert report.seeds is not None and report.seeds.summary is not None and report.claims is not None
    two = replace(report.seeds, runs=report.seeds.runs[:2])
    said = replace(report.claims, val_bpb=report.seeds.summary.mean, seeds=())
    assert entry_of(standing(replace(report, seeds=two, claims=said)), "p.html").why_not == "2 of 3 seeds"


def test_the_leaderboard_ranks_what_stands_on_the_record_track() -> None:
    entries = [
        made(1, stands=True, supported=1.2),
        made(2, stands=True, supported=1.1),
        made(3, stands=False, supported=1.0),
        made(4, stands=True, supported=1.05, track="non-record"),
    ]
    assert [entry.pull for entry in leaderboard(entries)] == [2, 1]


def test_every_submission_gets_a_page_of_its_own(report: Report, tmp_path: Path) -> None:
    twins = [replace(report, folder="7/a"), replace(report, folder="7-a"), replace(report, folder="7-a-2"), report]
    index = site.write_site(twins, tmp_path / "site")
    pages = sorted(path.name for path in (tmp_path / "site" / "pages").iterdir())
    assert len(pages) == 4
    linked = [
        a["href"] for tag, a in outline(index.read_text()).tags if tag == "a" and (a["href"] or "").startswith("pages/")
    ]
    assert sorted(linked) == [f"pages/{name}" for name in pages]
    for name in pages:
        assert 'href="../index.html"' in (tmp_path / "site" / "pages" / name).read_text()


@pytest.mark.parametrize("text", [*HOSTILE, "../../../etc/passwd", ""])
def test_hostile_text_stays_text_and_inside_the_folder(report: Report, tmp_path: Path, text: str) -> None:
    hostile = replace(poisoned(report, text), folder=text, words=text)
    index = site.write_site([hostile], tmp_path / "site")
    assert {path.parent for path in tmp_path.rglob("*.html")} == {tmp_path / "site", tmp_path / "site" / "pages"}

    def skeleton(page: str) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in outline(page).tags]

    harmless = replace(poisoned(report, "x"), folder="x", words="x" if text else "")
    if text:
        assert skeleton(index.read_text()) == skeleton(site.render_index([entry_of(harmless, "pages/x.html")]))
        board = [
            site.render_leaderboard([made(1, name=name, author=name, date=name, stands=True)]) for name in (text, "x")
        ]
        assert skeleton(board[0]) == skeleton(board[1])


def test_results_are_read_from_a_folder_of_reports(report: Report, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.json").write_text(to_json(replace(report, submission=str(number))))
    assert [found.submission for found in read_results(tmp_path)] == ["0", "1", "2"]


def test_results_are_read_from_lines_of_reports_and_audits(report: Report, tmp_path: Path) -> None:
    audit = AuditResult("4/x", "train_gpt.py", "", "illegal", (), (finding(basis=Basis.README),))
    record = asdict(audit)
    del record["findings"][0]["reference"]
    del record["findings"][0]["data"]
    lines = [json.dumps(json.loads(to_json(report))), json.dumps(record)]
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    first, second = read_results(tmp_path / "results.jsonl")
    assert first == report
    assert second.audit is not None
    assert second.folder == "4/x"
    assert "#779" in second.audit.findings[0].reference


@pytest.mark.parametrize("text", ["", "{", '{"submission": 1}', "[]"])
def test_unusable_results_name_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        list(read_results(path))
    assert str(path) in str(raised.value)


def test_the_command_makes_the_site(report: Report, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text(json.dumps(json.loads(to_json(report))) + "\n")
    code, output = run("--corpus", str(tmp_path / "results.jsonl"), "--out", str(tmp_path / "site"))
    assert code == 0
    assert output.strip() == str(tmp_path / "site" / "index.html")


LAWFUL = """
import glob, math, os
import numpy as np
import torch
import torch.nn.functional as F

def load(pattern):
    shards = [np.fromfile(file, dtype="<u2", offset=1024) for file in sorted(glob.glob(pattern))]
    return torch.from_numpy(np.concatenate(shards).astype(np.int64))

model = torch.nn.Sequential(torch.nn.Embedding(1024, 64), torch.nn.Linear(64, 1024))
optimizer = torch.optim.AdamW(model.parameters())
train_tokens, val_tokens = load("data/fineweb_train_*.bin"), load("data/fineweb_val_*.bin")
for step in range(10):
    chunk = train_tokens[step * 1024 : step * 1024 + 1025]
    loss = F.cross_entropy(model(chunk[:-1]), chunk[1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
byte_count = np.fromfile("data/fineweb_val_bytes_000000.bin", dtype="<u2", offset=1024)[1:].sum()
loss_sum = torch.zeros((), dtype=torch.float64)
with torch.no_grad():
    for start in range(0, val_tokens.numel() - 1, 1024):
        x, y = val_tokens[start : start + 1025][:-1], val_tokens[start : start + 1025][1:]
        loss_sum += F.cross_entropy(model(x), y, reduction="sum").double()
val_loss = loss_sum.item() / (val_tokens.numel() - 1)
val_bpb = loss_sum.item() / math.log(2) / byte_count
print(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")
"""


def corpus(place: Path) -> Path:
    """Three lawful entries of which one claims more than its logs say, and one whose program is none."""
    for number, claim in ((1, 1.2), (2, 1.1), (3, 1.3)):
        folder = place / str(number) / "track_10min_16mb" / "2026-04-01_ours"
        folder.mkdir(parents=True)
        (folder / "train_gpt.py").write_text(LAWFUL)
        about = {"name": f"Ours {number}", "author": "We", "val_bpb": claim, "blurb": "In my words."}
        (folder / "submission.json").write_text(json.dumps(about))
        (folder / "README.md").write_text("# Ours\n")
        (folder / "requirements.txt").write_text("torch\n")
        for seed in (1, 2, 3):
            score = (1.3 if number == 3 else 1.2) + (seed - 2) / 1000
            (folder / f"train_seed{seed}.log").write_text(
                f"seed:{seed}\nworld_size:8\nstep:10/10 train_loss:2.0 train_time:1000ms step_avg:100.00ms\n"
                "Total submission size int8+zlib: 15900000 bytes\n"
                f"final_int8_zlib_roundtrip_exact val_loss:{2.43602 * math.log(2) * score:.8f} val_bpb:{score:.8f}\n"
            )
    (place / "3" / "track_10min_16mb" / "2026-04-01_ours" / "train_gpt.py").write_bytes(b"\x00\x01 no program")
    return place


def made_by(tmp_path: Path, *words: str) -> str:
    code, output = run("--corpus", *words, "--out", str(tmp_path / "site"))
    assert code == 0, output
    return (tmp_path / "site" / "index.html").read_text()


def test_the_command_audits_a_folder_of_submissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = outline(made_by(tmp_path, str(corpus(tmp_path / "corpus")))).text
    for expected in (
        "Ours 1",
        "Ours 2",
        "#1",
        "1.2000",
        "In my words.",
        "1 would stand on the record track: the leaderboard.",
    ):
        assert expected in text
    assert len(list((tmp_path / "site" / "pages").iterdir())) == 3


def test_lines_of_a_corpus_audit_make_the_same_site_as_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = corpus(tmp_path / "corpus")
    audited = CliRunner().invoke(app, ["audit", "--corpus", str(place), "--format", "jsonl"])
    assert audited.exit_code == 0
    (tmp_path / "results.jsonl").write_text(audited.stdout)
    board = [entry.pull for entry in leaderboard(entries_in(tmp_path / "results.jsonl"))]
    assert board == [1]
    assert made_by(tmp_path, str(tmp_path / "results.jsonl")) == made_by(tmp_path, str(place))


def test_the_readmes_first_words_are_kept_without_their_marks(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("print(1)\n")
    (tmp_path / "README.md").write_text("# Title\n\n**val_bpb = 1.05** with `snake_case` and _care_, 2 * 3\n\nMore.\n")
    assert own_words(open_folder(tmp_path)) == "val_bpb = 1.05 with snake_case and care, 2 * 3"


def entries_in(path: Path) -> list[Entry]:
    return [entry_of(report, "p.html") for report in read_results(path)]


def test_a_submission_that_could_not_be_audited_keeps_its_claims_and_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    unreadable = next(r for r in corpus_records(corpus(tmp_path / "corpus")) if r["submission"].startswith("3/"))
    entry = entry_of(report_of(unreadable, "line 1"), "p.html")
    assert (entry.verdict, entry.claimed, entry.author, entry.stands) == ("unreadable", 1.3, "We", False)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    yield from start(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site") / "index.html"
    path.write_text(site.render_index([made(number) for number in range(1, 401)]), encoding="utf-8")
    return path


SHOWN = "return document.getElementById('shown').textContent"
FIRST = "return document.querySelector('#table tbody tr').cells[0].textContent"


def type_text(browser: Page, text: str) -> None:
    browser.run(
        "const f = document.getElementById('filters'); f.text.value = arguments[0];"
        "f.dispatchEvent(new Event('input', {bubbles: true}))",
        text,
    )


@pytest.mark.parametrize("make", [site.render_index, site.render_leaderboard], ids=["index", "leaderboard"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_of_the_site_is_quiet_offline_and_accessible(
    browser: Page, tmp_path: Path, dark: bool, make: Callable[[list[Entry]], str]
) -> None:
    path = tmp_path / "index.html"
    path.write_text(make([made(number) for number in range(1, 20)]), encoding="utf-8")
    browser.open(path, dark=dark)
    assert browser.console() == []
    assert browser.requests() == [path.as_uri()]
    assert browser.faults() == []


def test_only_some_rows_are_laid_out_until_more_are_wanted(browser: Page, index: Path) -> None:
    browser.open(index)
    laid = browser.run("return document.querySelectorAll('#table tbody tr').length")
    assert 60 <= laid < 400
    browser.run("document.getElementById('more').click()")
    assert browser.run("return document.querySelectorAll('#table tbody tr').length") > laid


@pytest.mark.parametrize(
    ("text", "expected"),
    [("#17", 1), ("author3", 57), ("mixer", 100), ("c3-ttt illegal", 134), ("no such thing", 0), ("", 400)],
)
def test_the_text_filter_counts_its_matches(browser: Page, index: Path, text: str, expected: int) -> None:
    browser.open(index)
    type_text(browser, text)
    assert browser.run(SHOWN) == f"{expected} of 400 match"


def test_filters_combine_and_clear(browser: Page, index: Path) -> None:
    browser.open(index)
    browser.run("document.getElementById('filters').verdict.value = 'clean'")
    type_text(browser, "mixer")
    assert browser.run(SHOWN) == "33 of 400 match"
    browser.run("document.getElementById('filters').reset()")
    browser.driver.implicitly_wait(0)
    assert (
        browser.driver.execute_async_script(
            "const done = arguments[0]; setTimeout(() => done(document.getElementById('shown').textContent))"
        )
        == "400 of 400 match"
    )


def test_the_address_keeps_the_filters(browser: Page, index: Path) -> None:
    browser.open(index)
    type_text(browser, "#17")
    address = browser.run("return location.href")
    browser.driver.get("about:blank")
    browser.driver.get(address)
    assert browser.run(SHOWN) == "1 of 400 match"


def test_a_header_sorts_both_ways_and_says_so(browser: Page, index: Path) -> None:
    browser.open(index)
    browser.run("document.querySelectorAll('#table thead button')[4].click()")
    assert browser.run("return document.querySelectorAll('#table th')[4].getAttribute('aria-sort')") == "ascending"
    assert browser.run(FIRST) == "#1"
    browser.run("document.querySelectorAll('#table thead button')[4].click()")
    assert browser.run("return document.querySelectorAll('#table th')[4].getAttribute('aria-sort')") == "descending"
    assert browser.run(FIRST) == "#399"  # 400 has no supported score: what is not known comes last either way


def test_without_a_script_every_row_is_there() -> None:
    page = site.render_index([made(number) for number in range(1, 301)])
    assert "leaderboard.html" in page
    assert f"<noscript><style>{html.WITHOUT_SCRIPT}</style></noscript>" in page
    assert page.count('<th scope="row"><a href="pages/') == 300


def test_results_without_scores_do_not_say_that_none_would_stand(report: Report) -> None:
    unweighed = replace(report, seeds=None, claims=None)
    assert "these results carry no scores" in site.render_index([entry_of(unweighed, "a.html")])
    assert "these results carry no scores" not in site.render_index([entry_of(report, "a.html")])
