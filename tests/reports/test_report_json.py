"""The saved form of a report: nothing is lost, nothing else is accepted."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.report import Report, from_json, json_schema, to_json, without_excerpts
from reproduce.errors import InputError


def test_a_saved_report_comes_back_equal(report: Report) -> None:
    assert from_json(to_json(report)) == report


@given(st.text(), st.text())
def test_any_text_survives_saving(name: str, note: str) -> None:
    original = Report(name, notes=(note,))
    assert from_json(to_json(original)) == original


def test_lone_surrogates_survive_saving() -> None:
    assert from_json(to_json(Report("caf\udce9"))).submission == "caf\udce9"


def test_a_diverged_loss_is_saved_as_null(report: Report) -> None:
    assert report.seeds is not None
    run = report.seeds.runs[0]
    worse = replace(run, curve=(replace(run.curve[0], train_loss=float("nan")),))
    saved = to_json(replace(report, seeds=replace(report.seeds, runs=(worse,))))
    assert "NaN" not in saved
    loaded = from_json(saved)
    assert loaded.seeds is not None
    assert loaded.seeds.runs[0].curve[0].train_loss is None


def test_a_report_satisfies_its_schema(report: Report) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(to_json(report)), schema, cls=jsonschema.Draft202012Validator)


def test_the_schema_refuses_a_wrong_severity(report: Report) -> None:
    raw = json.loads(to_json(report))
    raw["audit"]["findings"][0]["severity"] = "terrible"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, json_schema(), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a report in JSON"),
        ("[" * 100_000, "a report in JSON"),
        ("{}", "a report that golfproof has saved"),
        ("[1]", "a report that golfproof has saved"),
        ('{"submission": "x", "schema": 99}', "schema 1"),
        ('{"submission": "x", "schema": 1, "checks": [{"name": 3}]}', "checks.0"),
    ],
)
def test_anything_else_is_an_input_error_that_names_the_file(text: str, expected: str) -> None:
    with pytest.raises(InputError) as raised:
        from_json(text, "result.json")
    assert expected in str(raised.value)
    assert str(raised.value).startswith("result.json: ")


def test_the_result_of_an_audit_alone_is_a_report(report: Report) -> None:
    assert report.audit is not None
    loaded = from_json(json.dumps(asdict(report.audit)))
    assert loaded.audit == report.audit
    assert loaded.verdict == "illegal"


def test_program_text_of_logs_is_not_saved(report: Report) -> None:
    assert "the whole program that the log repeats" not in to_json(report)


def test_sources_that_no_finding_cites_are_not_saved(report: Report) -> None:
    assert [source.file for source in report.sources] == ["train_gpt.py"]


def test_without_excerpts_no_line_of_code_is_left(report: Report) -> None:
    saved = to_json(without_excerpts(report))
    assert "context_hash" not in saved
    assert "C1-HASHKEY" in saved
    assert '"line": 9' in saved
