"""Every rule's own examples: what it calls valid passes it, what it calls invalid does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.case import Case
from audit.registry import all_rules
from audit.rule import Example, Rule
from reproduce.folder import open_folder


def write(example: Example, folder: Path) -> Path:
    """Lay an example out as a submission folder."""
    files = {"train_gpt.py": example} if isinstance(example, str) else example
    for name, text in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder


def active(rule: Rule, example: Example, folder: Path) -> list[str]:
    """Return the messages of the rule's active findings on an example."""
    case = Case(open_folder(write(example, folder)))
    return [f.message for f in rule.check(case) if f.active]


def examples(kind: str) -> Iterator[object]:
    for rule in all_rules().values():
        if getattr(rule, "outside", False):
            continue  # rests on what no folder holds; tests/audit/test_evidence_rules.py runs its examples
        for i, example in enumerate(getattr(rule, kind)):
            yield pytest.param(rule, example, id=f"{rule.id}-{i}")


@pytest.mark.parametrize(("rule", "example"), list(examples("VALID")))
def test_what_a_rule_calls_valid_passes_it(rule: Rule, example: Example, tmp_path: Path) -> None:
    assert active(rule, example, tmp_path) == []


@pytest.mark.parametrize(("rule", "example"), list(examples("INVALID")))
def test_what_a_rule_calls_invalid_breaks_it(rule: Rule, example: Example, tmp_path: Path) -> None:
    assert active(rule, example, tmp_path) != []


@pytest.mark.parametrize("rule", list(all_rules().values()), ids=lambda rule: rule.id)
def test_every_rule_has_both_kinds_of_example(rule: Rule) -> None:
    assert rule.VALID, f"{rule.id} has no valid example"
    assert rule.INVALID, f"{rule.id} has no invalid example"
