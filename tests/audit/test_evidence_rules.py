"""Every page that rests on evidence keeps the promises of its own examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.evidence.check import Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.evidence.gate import evidence_rules
from audit.rule import Example
from reproduce.folder import open_folder

RULES = list(evidence_rules())


def evidence_of(folder: Path, rule: EvidenceRule, example: Example) -> Evidence:
    files = {"train_gpt.py": example} if isinstance(example, str) else example
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    changed = tuple(files[".changed"].split()) if ".changed" in files else None
    return Evidence.of_folder(open_folder(folder), against=rule.against, changed=changed)


def cases(kind: str) -> list:
    return [
        pytest.param(rule, example, id=f"{rule.id}-{index}")
        for rule in RULES
        for index, example in enumerate(getattr(rule, kind))
    ]


@pytest.mark.parametrize(("rule", "example"), cases("VALID"))
def test_a_valid_example_has_no_finding(rule: EvidenceRule, example: Example, tmp_path: Path) -> None:
    assert list(rule.findings(evidence_of(tmp_path, rule, example))) == []


@pytest.mark.parametrize(("rule", "example"), cases("INVALID"))
def test_an_invalid_example_has_a_finding_of_the_rule(rule: EvidenceRule, example: Example, tmp_path: Path) -> None:
    findings = list(rule.findings(evidence_of(tmp_path, rule, example)))
    assert findings
    assert {finding.rule for finding in findings} == {rule.id}
    assert all(finding.message and finding.reference for finding in findings)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_without_evidence_nothing_passes(rule: EvidenceRule, tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("import torch\n")
    lines = list(rule.weigh(Evidence.of_folder(open_folder(tmp_path))))
    assert lines
    assert all(line.status is not Status.PASS for line in lines)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_page_is_complete(rule: EvidenceRule) -> None:
    for field in ("id", "title", "reference", "forbids", "why", "comply"):
        assert getattr(rule, field).strip()
    assert rule.VALID
    assert rule.INVALID
