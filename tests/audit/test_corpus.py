"""A corpus run: one record a submission whatever each does, and unchanged submissions answered from the cache."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from audit import corpus
from audit.corpus import Task, audit_corpus, audit_one
from audit.result_cache import ResultCache, folder_digest
from reproduce.errors import InputError

TRAINER = "import torch\noptimizer = torch.optim.SGD([], lr=0.1)\n\ndef main():\n    print('val_bpb:1.0')\n\nmain()\n"


@pytest.fixture
def submissions(tmp_path: Path) -> Path:
    root = tmp_path / "corpus"
    for name, trainer in (("1/track/good", TRAINER), ("2/track/broken", "def (:\n"), ("3/track/other", TRAINER)):
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "train_gpt.py").write_text(trainer)
        (folder / "submission.json").write_text("{}")
    return root


def run(root: Path, **options) -> list[dict]:
    return list(audit_corpus(root, jobs=1, **options))


def test_each_submission_gets_a_record_in_the_order_of_names(submissions):
    records = run(submissions)
    assert [record["submission"] for record in records] == ["1/track/good", "2/track/broken", "3/track/other"]
    assert [record["verdict"] == "unreadable" for record in records] == [False, True, False]
    assert "train_gpt.py: expected Python source, found invalid syntax at line 1" in records[1]["error"]
    for record in records:
        assert set(record) >= {"submission", "trainer", "verdict", "findings", "seconds"}
        json.dumps(record)


def test_progress_counts_every_submission_once(submissions):
    seen = []
    run(submissions, progress=lambda done, total, record: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_second_run_is_answered_without_a_worker(submissions, tmp_path, monkeypatch):
    cache = tmp_path / "cache.sqlite"
    first = run(submissions, cache=cache)
    monkeypatch.setattr(corpus, "_run", lambda tasks, jobs, seconds: (_ for _ in tasks))
    assert run(submissions, cache=cache) == first


def counted(root: Path, cache: Path | None, monkeypatch, **options) -> list[str]:
    """Names of the submissions that are audited anew."""
    audited: list[str] = []

    def fake(tasks, jobs, seconds):
        for task in tasks:
            audited.append(task.name)
            yield task, corpus._empty(task, "clean", 0.0), True

    monkeypatch.setattr(corpus, "_run", fake)
    run(root, cache=cache, **options)
    return audited


@pytest.mark.parametrize("kept", [True, False])
def test_a_folder_that_pull_requests_carry_along_is_audited_once(submissions, tmp_path, monkeypatch, kept):
    for name in ("4/track/good", "5/track/broken", "6/track_non_record/good"):
        shutil.copytree(
            submissions / "1/track/good" if "good" in name else submissions / "2/track/broken", submissions / name
        )
    records = {record["submission"]: record for record in run(submissions)}
    assert records["4/track/good"] == {**records["1/track/good"], "submission": "4/track/good"}
    assert "5/track/broken" in records["5/track/broken"]["error"]
    anew = counted(submissions, tmp_path / "cache.sqlite" if kept else None, monkeypatch)
    assert anew == ["1/track/good", "2/track/broken", "3/track/other", "6/track_non_record/good"]


def test_only_what_changed_is_audited_anew(submissions, tmp_path, monkeypatch):
    cache = tmp_path / "cache.sqlite"
    assert len(counted(submissions, cache, monkeypatch)) == 3
    (submissions / "3/track/other/train_gpt.py").write_text(TRAINER + "# changed\n")
    assert counted(submissions, cache, monkeypatch) == ["3/track/other"]
    (submissions / "1/track/good/README.md").write_text("```\nTTT=1 python train_gpt.py\n```\n")
    assert counted(submissions, cache, monkeypatch) == ["1/track/good"]
    assert len(counted(submissions, cache, monkeypatch, profile="readme")) == 3
    assert len(counted(submissions, cache, monkeypatch, rules=("ART-CAP",))) == 3
    monkeypatch.setattr(corpus, "code_digest", lambda: "other code")
    assert len(counted(submissions, cache, monkeypatch)) == 3


def test_a_result_that_rests_on_the_machine_is_not_kept(submissions, tmp_path, monkeypatch):
    def slow(tasks, jobs, seconds):
        for task in tasks:
            yield task, corpus._undecided(task, "the audit took more than 1 s", 1.0), False

    cache = tmp_path / "cache.sqlite"
    monkeypatch.setattr(corpus, "_run", slow)
    assert {record["verdict"] for record in run(submissions, cache=cache)} == {"review"}
    assert len(counted(submissions, cache, monkeypatch)) == 3


def _sleep(task: Task) -> dict:
    import time

    if "good" in task.name:
        time.sleep(60)  # ended by the limit
    if "broken" in task.name:
        import os

        os._exit(7)
    return corpus._empty(task, "clean", 0.0)


@pytest.mark.slow
def test_a_hung_or_dying_worker_costs_only_its_own_submission(submissions, monkeypatch):
    monkeypatch.setattr(corpus, "audit_one", _sleep)
    hung, died, fine = run(submissions, seconds=8.0)
    assert hung["verdict"] == "review" and hung["reasons"] == ["the audit took more than 8 s"]
    assert died["verdict"] == "review" and "process died" in died["reasons"][0]
    assert fine["verdict"] == "clean"


def test_a_submission_json_that_is_none_does_not_stop_an_audit(submissions):
    path = submissions / "1/track/good"
    (path / "submission.json").write_text("{broken")
    assert audit_one(Task("good", str(path), "field-guide", ()))["verdict"] != "unreadable"


def test_a_root_that_holds_nothing_is_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    for root, found in (("nowhere", "nothing there"), ("file", "a file"), (".", "no trainer and no submission")):
        with pytest.raises(InputError, match=f"a folder of submissions, found {found}"):
            run(tmp_path / root)


def test_a_cache_file_that_is_no_database_is_no_error(tmp_path, submissions):
    path = tmp_path / "cache.sqlite"
    path.write_bytes(b"not a database" * 100)
    assert len(run(submissions, cache=path)) == 3
    assert path.read_bytes() == b"not a database" * 100


def test_a_cache_keeps_and_gives_records(tmp_path):
    store = ResultCache(tmp_path / "new" / "cache.sqlite")
    store.put("a", {"x": 1})
    store.close()
    again = ResultCache(tmp_path / "new" / "cache.sqlite")
    assert again.get(["a", "b"]) == {"a": {"x": 1}}
    again.close()


def test_a_digest_tells_contents_and_names_apart(tmp_path):
    (tmp_path / "ab").write_text("c")
    one = folder_digest(tmp_path, [tmp_path / "ab"])
    (tmp_path / "ab").write_text("d")
    two = folder_digest(tmp_path, [tmp_path / "ab"])
    (tmp_path / "a").write_text("d")
    assert len({one, two, folder_digest(tmp_path, [tmp_path / "a"])}) == 3
