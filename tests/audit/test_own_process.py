"""A trainer that goes on as another process of its own script is followed there."""

import textwrap
from pathlib import Path

import pytest

from audit.registry import all_rules
from audit.run import audit_path

BECOMES = """
import os, sys
if os.environ.get("PHASE", "train") == "train":
    os.execve({program}, [sys.executable, __file__], {{**os.environ, "PHASE": "evaluate"}})
else:
"""


def findings_of(folder: Path, program: str) -> list[bool]:
    invalid = next(iter(all_rules()["C1-HASHKEY"].INVALID))
    assert isinstance(invalid, str)
    text = BECOMES.format(program=program) + textwrap.indent(textwrap.dedent(invalid), "    ")
    (folder / "train_gpt.py").write_text(text, encoding="utf-8")
    return [finding.active for finding in audit_path(folder).findings if finding.rule == "C1-HASHKEY"]


def test_what_the_process_it_becomes_does_is_judged(tmp_path: Path) -> None:
    assert any(findings_of(tmp_path, "sys.executable"))


@pytest.mark.parametrize("program", ['"/usr/bin/env"'])
def test_a_program_that_is_not_this_python_is_not_taken_for_the_trainer(tmp_path: Path, program: str) -> None:
    assert not any(findings_of(tmp_path, program))
