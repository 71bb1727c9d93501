"""The generated documents: up to date, and each rule's page says everything the rule does."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from audit.finding import Basis, Severity
from audit.registry import all_rules
from audit.rule import Rule
from audit.verdict import Profile, profile_names, read_profile
from reports import documents
from reports.report import SCHEMA, Report, to_json
from reports.rule_pages import consequence, index, page


def test_the_documents_are_up_to_date() -> None:
    assert documents.stale() == [], "run `make docs`"


def test_a_changed_a_missing_and_a_left_over_page_are_stale(tmp_path: Path) -> None:
    documents.write(tmp_path)
    assert documents.stale(tmp_path) == []
    (tmp_path / "rules" / "README.md").write_text("old")
    (tmp_path / "schema" / f"report-{SCHEMA}.json").unlink()
    (tmp_path / "rules" / "C9-GONE.md").write_text("a rule that was removed")
    assert documents.stale(tmp_path) == ["rules/C9-GONE.md", "rules/README.md", f"schema/report-{SCHEMA}.json"]
    documents.write(tmp_path)
    assert documents.stale(tmp_path) == []


def test_the_published_schema_accepts_a_report(report: Report) -> None:
    schema = json.loads((documents.DOCS / "schema" / f"report-{SCHEMA}.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(to_json(report)), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("rule", all_rules().values(), ids=lambda rule: rule.id)
def test_a_rule_page_has_ruling_reason_and_remedy(rule: Rule) -> None:
    text = page(rule, [read_profile(name) for name in profile_names()])
    for heading in ("## What it forbids", "## Why", "## How to comply", "## By profile", "## What a probe sees"):
        _, _, after = text.partition(f"{heading}\n\n")
        assert after.split("\n##")[0].strip(), heading
    assert rule.id in text.splitlines()[2]
    assert str(rule.basis) in text


class Ours(Rule):
    id, title, reference = "X-OURS", "Ours", "#1"
    basis = Basis.FIELD_GUIDE
    forbids, why, comply = "This.", "Because.", "Do not."
    INVALID = ("x = 1\n", {"train_gpt.py": "y = 2\n", "README.md": "```\nz\n```\n"})


def test_examples_are_fenced_whatever_they_contain() -> None:
    text = page(Ours())
    assert "```python\nx = 1\n```" in text
    assert "`README.md`:\n\n````text\n```\nz\n```\n````" in text


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (Profile("a", "", frozenset({Basis.FIELD_GUIDE})), "fails the submission"),
        (Profile("b", "", frozenset(), unruled=frozenset({Basis.FIELD_GUIDE})), "gives the verdict unruled"),
        (Profile("c", "", frozenset(), promoted=frozenset({"X-OURS"})), "fails the submission"),
        (Profile("d", "", frozenset({Basis.FIELD_GUIDE}), tolerated={"X-OURS": "merged"}), "reported only: merged"),
        (Profile("e", "", frozenset()), "reported only"),
    ],
)
def test_what_a_profile_makes_of_a_rule(profile: Profile, expected: str) -> None:
    assert consequence(Ours(), profile).startswith(expected)


def test_a_warning_decides_nothing() -> None:
    class Minor(Ours):
        severity = Severity.WARNING

    assert consequence(Minor(), Profile("a", "", frozenset({Basis.FIELD_GUIDE}))) == "reported only: it is a warning"


def test_the_index_has_a_line_a_rule_and_a_column_a_profile() -> None:
    text = index({"X-OURS": Ours()}, [Profile("strict", "all of it", frozenset({Basis.FIELD_GUIDE}))])
    assert "- `strict`: all of it." in text
    assert "| [X-OURS](X-OURS.md) | Ours | field guide | fails |" in text
