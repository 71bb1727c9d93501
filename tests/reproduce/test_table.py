"""Which runs of a folder make its table of seeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reproduce.errors import InputError
from reproduce.folder import open_folder
from reproduce.table import SeedTable, from_logs

LOG = """\
seed:{seed}
step:0/100 val_loss:6.9 val_bpb:4.1000 train_time:0ms
step:100/100 val_loss:2.0 val_bpb:1.2000 train_time:100ms
final_roundtrip_exact val_loss:2.00000000 val_bpb:{first:.8f}
final_ttt_exact val_loss:1.90000000 val_bpb:{score:.8f}
"""


def submission(folder: Path, logs: dict[str, str], metadata: dict | None = None) -> SeedTable:
    (folder / "train_gpt.py").write_text("import torch\n")
    (folder / "submission.json").write_text(json.dumps(metadata or {}))
    for name, text in logs.items():
        (folder / name).write_text(text)
    return from_logs(open_folder(folder))


def log(seed: int, score: float, first: float = 1.2) -> str:
    return LOG.format(seed=seed, score=score, first=first)


def test_three_logs_give_mean_and_sample_std(tmp_path: Path) -> None:
    table = submission(tmp_path, {f"train_seed{s}.log": log(s, 1.1 + s / 1000) for s in (1, 2, 3)})
    assert [run.seed for run in table.runs] == [1, 2, 3]
    assert table.stage == "final_ttt_exact"
    assert table.summary is not None
    assert (table.summary.n, round(table.summary.mean, 8), round(table.summary.std or 0, 8)) == (3, 1.102, 0.001)
    assert table.notes == ()


def test_fewer_than_three_seeds_are_warned_of(tmp_path: Path) -> None:
    table = submission(tmp_path, {"train_seed1.log": log(1, 1.1)})
    assert any("asks for three" in note for note in table.notes)


def test_a_seed_not_claimed_is_left_out_and_named(tmp_path: Path) -> None:
    logs = {f"train_seed{s}.log": log(s, 1.1) for s in (1, 2, 3, 9)}
    table = submission(tmp_path, logs, {"seeds": [1, 2, 3]})
    assert [run.seed for run in table.runs] == [1, 2, 3]
    assert any("left out: 9" in note for note in table.notes)


def test_of_two_runs_of_a_seed_the_claimed_one_counts(tmp_path: Path) -> None:
    logs = {"train_seed1.log": log(1, 1.11), "train_seed1_again.log": log(1, 1.15)}
    table = submission(tmp_path, logs, {"seed_results": {"1": {"val_bpb": 1.11}}})
    assert table.summary is not None and table.summary.mean == 1.11


def test_an_earlier_stage_counts_where_the_submission_claims_it(tmp_path: Path) -> None:
    logs = {f"train_seed{s}.log": log(s, 1.1, first=1.2 + s / 100) for s in (1, 2)}
    table = submission(tmp_path, logs, {"seed_results": {"1": 1.21, "2": 1.22}})
    assert table.stage == "final_roundtrip_exact"
    assert table.summary is not None and table.summary.mean == pytest.approx(1.215)


def test_a_log_cut_in_the_middle_is_refused_by_name(tmp_path: Path) -> None:
    cut = log(2, 1.1).split("step:100")[0]
    with pytest.raises(
        InputError, match=r"train_seed2\.log: expected a log with a final val_bpb, found .*step 0 of 100"
    ):
        submission(tmp_path, {"train_seed1.log": log(1, 1.1), "train_seed2.log": cut}, {"seeds": [1, 2]})


def test_a_cut_log_is_only_noted_where_its_seed_was_run_again(tmp_path: Path) -> None:
    cut = log(1, 1.1).split("step:100")[0]
    table = submission(tmp_path, {"train_seed1.log": log(1, 1.1), "debug_seed1.log": cut})
    assert table.summary is not None and table.summary.n == 1
    assert any("debug_seed1.log" in note for note in table.notes)


def test_a_folder_without_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no log file"):
        submission(tmp_path, {})
