"""The pull request comment: what it says, and that it always fits."""

from __future__ import annotations

from dataclasses import replace

from conftest import finding
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_report_escape import HOSTILE, texts

from audit.evidence.check import Check, Status
from audit.finding import AuditResult
from reports.markdown import LIMIT, MARKER, render
from reports.report import Report

_GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def audited(*findings: object, **changes: object) -> Report:
    fields: dict[str, object] = {
        "submission": "x",
        "trainer": "train_gpt.py",
        "trainer_why": "",
        "verdict": "illegal",
        "reasons": (),
        "findings": findings,
    }
    return Report(str(fields["submission"]), audit=AuditResult(**(fields | changes)))  # type: ignore[arg-type]


def test_it_says_verdict_findings_gate_seeds_claims_and_what_was_not_checked(report: Report) -> None:
    text = render(report)
    assert text.startswith(MARKER)
    for expected in (
        "illegal: Hash of the future",
        "**C1-HASHKEY** error, high certainty",
        "[\\#&#8203;779](https://redirect.github.com/openai/parameter-golf/issues/779)",
        "| artifact size | 16,000,000 bytes | 15,867,191 bytes | ✅ pass |",
        "1 of 4 checks could not be decided",
        "**normalisation** `final_sliding`: its probabilities sum to 1.458",
        "0.0017 bits per byte below the record that stood, the record of March (1.1458, 3 runs): one-sided Welch test",
        "| 1337 | 1.1441 |",
        "Mean val_bpb 1.1441**, std 0.0051 over 3 runs",
        "| seed 1337 | 1.144100 | 1.144100 | ✅ |",
        "- train_helper.c is not Python",
        "C3-PREQUANT",
    ):
        assert expected in text


def test_a_finding_links_to_its_line_unless_the_source_was_packed(report: Report) -> None:
    url = "https://github.com/someone/parameter-golf/blob/abc123/records/x/train_gpt.py#L9"
    assert url not in render(report)
    assert url in render(replace(report, sources=(replace(report.sources[0], packed=False),)))


def test_an_audit_without_findings_says_what_clean_means() -> None:
    assert "No rule that was checked is broken" in render(audited(verdict="clean"))


def test_a_report_with_nothing_in_it_renders() -> None:
    assert "not audited" in render(Report("empty"))


def test_everything_in_a_list_or_table_of_hostile_text_stays_in_place() -> None:
    for text in HOSTILE:
        hostile = audited(finding(message=text, file=text, because=text, path=()), unchecked=(text,), submission=text)
        checks = (Check(text, text, text, Status.FAIL, text),)
        tokens = _GFM.parse(render(replace(hostile, checks=checks, notes=(text,))))
        assert sum(token.type == "tr_open" for token in tokens) == 2
        assert sum(token.type == "heading_open" for token in tokens) == 4
        inline = [token for one in tokens for token in one.children or ()]
        assert not any(token.type == "image" for token in inline)
        assert {token.attrs["href"] for token in inline if token.type == "link_open"} <= {
            "https://redirect.github.com/openai/parameter-golf/issues/779"
        }


@settings(max_examples=15, deadline=None)
@given(st.lists(texts, min_size=1, max_size=5), st.integers(0, 4000))
def test_the_comment_stays_under_the_limit(pieces: list[str], copies: int) -> None:
    text = "".join(pieces) * 40
    findings = (finding(message=text, because=text),) * min(copies, 400)
    report = replace(
        audited(*findings, submission=text, reasons=(text,) * 50, unchecked=(text,) * 300, settings={text: text}),
        checks=(Check(text, text, text, Status.FAIL),) * min(copies, 300),
        notes=(text,) * 100,
    )
    assert len(render(report)) < LIMIT


def test_the_worst_characters_still_fit() -> None:
    text = "$" * 5000
    report = audited(
        *(finding(message=text, reference="#1" * 3000, because=text, file=text, rule=text),) * 900,
        reasons=(text,) * 900,
        unchecked=(text,) * 900,
        settings={f"{text}{i}": text for i in range(900)},
        submission=text,
        trainer=text,
        trainer_why=text,
        profile=text,
        verdict=text,
    )
    rendered = render(replace(report, notes=(text,) * 900, checks=(Check(text, text, text, Status.WARN),) * 900))
    assert len(rendered.encode()) < LIMIT
    assert "Shortened to fit a comment" in rendered
