"""The contest's end: what a log's own clock shows, what a date claims, and what neither tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.evidence.check import Status
from audit.evidence.evidence import Evidence
from audit.evidence.s_cut import SCut
from reproduce.folder import open_folder

LOG = "Fri {stamp}\nseed:1\nfinal_exact val_loss:2.00000000 val_bpb:1.18450000\n"


@pytest.mark.parametrize(
    ("stamp", "status"),
    [
        ("Apr 30 06:00:00 2026", Status.PASS),
        ("May  1 23:00:00 2026", Status.UNCHECKED),  # the machine's zone decides
        ("May  2 09:00:00 2026", Status.UNCHECKED),
        ("May  2 15:00:00 2026", Status.WARN),
        ("Mai 32 15:00:00 2026", Status.UNCHECKED),
    ],
)
def test_a_log_tells_when_it_was_made(stamp: str, status: Status, tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("import torch\n")
    (tmp_path / "train.log").write_text(LOG.format(stamp=stamp))
    (line,) = SCut().weigh(Evidence.of_folder(open_folder(tmp_path)))
    assert line.status is status


def test_a_date_that_no_log_shows_is_no_proof(tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("import torch\n")
    (tmp_path / "submission.json").write_text('{"val_bpb": 1.2, "date": "2026-04-01"}')
    (line,) = SCut().weigh(Evidence.of_folder(open_folder(tmp_path)))
    assert line.status is Status.UNCHECKED
    assert "2026-04-01" in line.actual
