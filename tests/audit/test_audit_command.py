"""``golfproof audit`` and ``golfproof rules`` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.registry import all_rules
from audit.rules.c1_hashkey import KEYED, TABLE
from audit.rules.examples import EVALUATION, evaluator
from golfproof.app import app
from reproduce.errors import InputError

RUN = CliRunner()


def submission(folder: Path, text: str = EVALUATION) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train_gpt.py").write_text(text, encoding="utf-8")
    (folder / "submission.json").write_text('{"name": "entry"}', encoding="utf-8")
    return folder


def test_a_lawful_submission_exits_0(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["audit", str(submission(tmp_path / "a"))])
    assert result.exit_code == 0
    assert "clean" in result.output


def test_an_illegal_submission_exits_1_and_names_rule_file_and_line(tmp_path: Path) -> None:
    text = evaluator(TABLE, KEYED)
    line = next(i for i, row in enumerate(text.split("\n"), 1) if "joint[both]" in row)
    result = RUN.invoke(app, ["audit", str(submission(tmp_path / "a", text)), "--format", "json"])
    assert result.exit_code == 1
    told = json.loads(result.output)
    assert told["verdict"] == "illegal"
    assert {"rule": "C1-HASHKEY", "file": "train_gpt.py", "line": line}.items() <= next(
        f for f in told["findings"] if f["rule"] == "C1-HASHKEY"
    ).items()


def test_a_finding_carries_its_path_from_the_source(tmp_path: Path) -> None:
    folder = submission(tmp_path / "a", evaluator(TABLE, KEYED))
    told = json.loads(RUN.invoke(app, ["audit", str(folder), "--format", "json"]).output)
    path = next(f["path"] for f in told["findings"] if f["rule"] == "C1-HASHKEY")
    assert path[0]["role"] == "source"
    assert any(step["role"] == "sink" and "joint[both]" in step["excerpt"] for step in path)


def test_only_the_rule_asked_for_is_put(tmp_path: Path) -> None:
    folder = submission(tmp_path / "a", evaluator(TABLE, KEYED))
    told = json.loads(RUN.invoke(app, ["audit", str(folder), "--format", "json", "--rule", "c2-ratio"]).output)
    assert {f["rule"] for f in told["findings"]} == {"C2-RATIO"}


def test_several_submissions_give_a_line_each(tmp_path: Path) -> None:
    folders = [str(submission(tmp_path / name)) for name in "ab"]
    lines = RUN.invoke(app, ["audit", *folders, "--format", "jsonl"]).output.splitlines()
    assert len([json.loads(line) for line in lines]) == 2


@pytest.mark.parametrize("format", ["text", "md", "sarif"])
def test_every_format_names_the_rule(tmp_path: Path, format: str) -> None:
    folder = submission(tmp_path / "a", evaluator(TABLE, KEYED))
    assert "C1-HASHKEY" in RUN.invoke(app, ["audit", str(folder), "--format", format]).output


@pytest.mark.parametrize(
    "arguments",
    [["--rule", "NO-SUCH"], ["--profile", "nonsense"], ["--explain", "NO-SUCH"]],
)
def test_an_unknown_rule_or_profile_is_unusable_input(tmp_path: Path, arguments: list[str]) -> None:
    result = RUN.invoke(app, ["audit", str(submission(tmp_path / "a")), *arguments])
    assert isinstance(result.exception, InputError)


def test_a_missing_folder_is_unusable_input(tmp_path: Path) -> None:
    assert isinstance(RUN.invoke(app, ["audit", str(tmp_path / "none")]).exception, InputError)


def test_a_binary_trainer_is_unusable_input(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_bytes(b"\x7fELF\0\0\0")
    assert isinstance(RUN.invoke(app, ["audit", str(tmp_path)]).exception, InputError)


def test_no_path_at_all_is_unusable_input() -> None:
    assert isinstance(RUN.invoke(app, ["audit"]).exception, InputError)


def test_a_rule_explains_itself() -> None:
    page = RUN.invoke(app, ["audit", "--explain", "C1-HASHKEY"]).output
    rule = all_rules()["C1-HASHKEY"]
    assert rule.reference.split(" ")[0] in page
    assert "How to comply" in page


def test_the_list_of_rules_names_each() -> None:
    listed = RUN.invoke(app, ["rules"]).output
    assert all(rule in listed for rule in all_rules())


def test_the_list_of_rules_can_be_had_as_json() -> None:
    assert {row["id"] for row in json.loads(RUN.invoke(app, ["rules", "--json"]).output)} == set(all_rules())
