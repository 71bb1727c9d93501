"""When an evaluation begins, what it opens from there on, and what becomes of it without training shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audit.probe.child.evaluation import Evaluation
from audit.probe.experiments import Stage, Status
from audit.probe.isolation import Beginning, beginning, check_isolation, opened_after
from audit.probe.recording import Explained, Recording
from reproduce.runlog import Metric

TRAIN, VAL = "/data/fineweb_train_000000.bin", "/data/fineweb_val_000000.bin"


def tape(*opened: tuple[int, str, str]) -> Recording:
    empty = np.zeros((0, 4), int)
    return Recording(np.zeros(0), empty, empty, np.zeros((0, 3), int), (), (), False, "", opened=opened)


ONE = tape(
    (0, "rb", TRAIN), (0, "wb", "raw.pt"), (0, "rb", "raw.pt"), (0, "rb", TRAIN), (0, "w", "log.txt"),
    (0, "wb", "small.ptz"), (0, "r", "log.txt"), (3, "rb", "small.ptz"), (3, "rb", VAL),
)  # fmt: skip


def test_the_evaluation_begins_where_the_file_written_last_is_read_back() -> None:
    assert beginning([ONE], None) == Beginning(0, "small.ptz", 1)
    assert opened_after([ONE], Beginning(0, "small.ptz", 1)) == ("small.ptz", VAL)


def test_a_second_process_reads_what_the_first_wrote() -> None:
    both = (tape((0, "rb", TRAIN), (0, "wb", "model")), tape((0, "rb", "model"), (0, "rb", VAL)))
    begun = beginning(both, None)
    assert begun == Beginning(1, "model", 1) and opened_after(both, begun) == ("model", VAL)
    held = check_isolation(both, begun, removed=True, failure="")
    assert held.status is Status.HOLDS and held.data["own_process"] is True and "process of its own" in held.message


def test_without_an_artifact_it_begins_with_the_first_score_of_the_figure() -> None:
    scored = Explained(("t.py", 1, "sum"), np.ones(3), np.arange(1, 4), True, began=7)
    headline = Stage(Metric("final", 1.0, 1.0), 4, scored)
    reads = tape((0, "rb", TRAIN), (6, "rb", VAL), (8, "rb", TRAIN))
    begun = beginning([reads], headline)
    assert begun == Beginning(0, moment=7) and opened_after([reads], begun) == (TRAIN,)
    assert beginning([reads], None) is None


def test_one_process_keeps_its_memory_and_the_report_says_so() -> None:
    held = check_isolation([ONE], beginning([ONE], None), removed=True, failure="")
    assert held.status is Status.HOLDS and "held in memory could not be taken" in held.message


def test_an_evaluation_that_fails_without_its_training_shards_is_told_with_its_error() -> None:
    found = check_isolation([ONE], beginning([ONE], None), removed=True, failure="FileNotFoundError: no train shard")
    assert found.status is Status.WARNING and "no train shard" in found.message and found.rules == ("D-TRAINEVAL",)


def test_what_was_not_tried_is_unchecked() -> None:
    begun = beginning([ONE], None)
    assert check_isolation([ONE], None, removed=None, failure="").status is Status.UNCHECKED
    assert check_isolation([ONE], begun, removed=None, failure="").status is Status.UNCHECKED
    assert check_isolation([ONE], begun, removed=False, failure="").status is Status.UNCHECKED
    later = tape(*ONE.opened, (3, "rb", TRAIN))
    assert check_isolation([later], begun, removed=None, failure="").status is Status.WARNING


def test_the_child_asks_once_and_only_at_the_reading_it_was_told(tmp_path: Path) -> None:
    asked = []

    class Marker:
        def touch(self) -> None:
            asked.append(True)

    told = Evaluation({"process": 0, "path": "small.ptz", "read": 2}, 0, Marker(), tmp_path)  # type: ignore[arg-type]
    for mode, path in (("wb", "small.ptz"), ("rb", "other"), ("rb", "small.ptz")):
        told.opened(mode, path)
    assert asked == []
    told.opened("rb", "small.ptz")
    told.opened("rb", "small.ptz")
    assert asked == [True]
    other = Evaluation({"process": 1, "moment": 0}, 0, Marker(), tmp_path)  # type: ignore[arg-type]
    other.heard(0)
    assert asked == [True]
