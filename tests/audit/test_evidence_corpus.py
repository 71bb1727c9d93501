"""Weighing many submissions: a record each, whatever one of them holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.evidence.corpus import weigh_corpus, weigh_one
from golfproof.app import app
from golfproof.commands.evidence import table
from reproduce.errors import InputError

LOG = "seed:1\nfinal_exact val_loss:2.00000000 val_bpb:{score:.8f}\n"


def corpus(root: Path) -> Path:
    for name, score in (("1/track/good", 1.1), ("2/track/bad", 1.2)):
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "train_gpt.py").write_text("import torch\n")
        (folder / "submission.json").write_text('{"val_bpb": 1.1}')
        (folder / "train.log").write_text(LOG.format(score=score))
    broken = root / "3/track/broken"
    broken.mkdir(parents=True)
    (broken / "train_gpt.py").write_text("import torch\n")
    (broken / "submission.json").write_text("{")
    return root


def status(record: dict, name: str) -> str:
    return next(line["status"] for line in record["lines"] if line["name"] == name)


def test_every_submission_gets_a_record_in_order(tmp_path: Path) -> None:
    records = list(weigh_corpus(corpus(tmp_path), jobs=1))
    assert [record["submission"] for record in records] == ["1/track/good", "2/track/bad", "3/track/broken"]
    assert [status(record, "claimed score") for record in records] == ["pass", "fail", "unchecked"]


def test_a_rule_that_breaks_is_a_line_that_could_not_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("audit.evidence.art_cap.ArtCap.weigh", broken)
    record = weigh_one((str(corpus(tmp_path) / "1/track/good"), "good"))
    assert status(record, "artifact size") == "unchecked"
    assert status(record, "claimed score") == "pass"


def test_a_folder_without_submissions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        list(weigh_corpus(tmp_path))


def test_the_command_counts_submissions_by_check(tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["audit", "--corpus", str(corpus(tmp_path)), "--evidence", "--jobs", "1"])
    assert run.exit_code == 0, run.output
    assert "3 submissions" in run.output
    assert "| E-CLAIM | claimed score | 1 | 1 | 0 | 1 |" in run.output


def test_the_command_prints_a_record_a_line(tmp_path: Path) -> None:
    words = ["audit", "--corpus", str(corpus(tmp_path)), "--evidence", "--jobs", "1", "--format", "jsonl"]
    run = CliRunner().invoke(app, words)
    assert len([json.loads(line) for line in run.output.splitlines() if line.startswith("{")]) == 3


def test_lines_a_seed_count_as_one_check_of_the_submission() -> None:
    lines = [{"rule": "E-CLAIM", "name": f"seed {s}", "status": kind} for s, kind in ((1, "pass"), (2, "fail"))]
    text = table([{"error": None, "logs": 2, "lines": lines}])
    assert "| E-CLAIM | each claimed seed | 0 | 1 | 0 | 0 |" in text
