"""A corpus is probed submission by submission: one that cannot be probed costs no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit.probe.corpus import probe_corpus
from audit.probe.probe import ProbeResult
from reproduce.errors import InputError
from reproduce.executors import LocalExecutor
from reproduce.sandbox import SandboxUnavailable


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for name in ("broken", "good", "strange"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train_gpt.py").write_text("")
    return tmp_path


def probe_by_name(path: str, **_: Any) -> ProbeResult:
    """Stands for the probe itself, which takes minutes a submission."""
    name = Path(path).name
    if name == "broken":
        raise InputError(path, "a trainer to run")
    if name == "strange":
        raise RuntimeError("a bug of ours")
    return ProbeResult(name, "train_gpt.py", "holds", (), (), (), (), "golfproof probe", 1, 0.5)


def test_every_submission_has_a_record(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.probe.probe.probe_path", probe_by_name)
    records = {record["submission"]: record for record in probe_corpus(corpus, LocalExecutor())}
    assert {name: record["verdict"] for name, record in records.items()} == {
        "good": "holds",
        "broken": "unreadable",
        "strange": "failed",
    }
    assert "a bug of ours" in records["strange"]["reasons"][0]


def test_machine_without_a_sandbox_passes_no_verdict(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, **_: Any) -> ProbeResult:
        raise SandboxUnavailable("sandbox", "bubblewrap")

    monkeypatch.setattr("audit.probe.probe.probe_path", refuse)
    assert {record["verdict"] for record in probe_corpus(corpus, LocalExecutor())} == {"failed"}


def test_folder_without_submissions_is_unusable_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder of submissions"):
        list(probe_corpus(tmp_path, LocalExecutor()))
