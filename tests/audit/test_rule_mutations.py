"""A rule asks what a program does: names, helper functions and the order of independent statements change no answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mutate import MUTATIONS

from audit.case import Case
from audit.registry import all_rules
from audit.rule import Example, Rule
from reproduce.folder import open_folder


def cases() -> Iterator[object]:
    for rule in all_rules().values():
        if type(rule).__module__.startswith("audit.evidence"):
            continue  # asks logs and claims, not code
        for kind in ("VALID", "INVALID"):
            for i, example in enumerate(getattr(rule, kind)):
                for name in MUTATIONS:
                    yield pytest.param(rule, example, kind, name, id=f"{rule.id}-{kind}-{i}-{name}")


@pytest.mark.parametrize(("rule", "example", "kind", "mutation"), list(cases()))
def test_a_rule_answers_alike_however_the_program_is_written(
    rule: Rule, example: Example, kind: str, mutation: str, tmp_path: Path
) -> None:
    files: Mapping[str, str] = {"train_gpt.py": example} if isinstance(example, str) else example
    for name, text in files.items():
        written = MUTATIONS[mutation](text) if name.endswith(".py") else text
        (tmp_path / name).write_text(written, encoding="utf-8")
    active = [f.message for f in rule.check(Case(open_folder(tmp_path))) if f.active]
    assert bool(active) == (kind == "INVALID")
