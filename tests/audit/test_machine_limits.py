"""Limits of time on machines that are not the contest's, and what is claimed where no log was shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.gate import evidence_rules
from audit.finding import Certainty, Severity
from reproduce.folder import open_folder

LOG = (
    "{gpu}world_size:{world} grad_accum_steps:1\nseed:1\nstep:9000/9000 train_loss:2.0 train_time:{train}ms\n"
    "final_exact val_loss:1.87000000 val_bpb:1.10000000 eval_time:{spent}ms\n"
)


def line(folder: Path, rule: str, log: str = "", readme: str = "", **metadata: object) -> Check:
    (folder / "train_gpt.py").write_text("import torch\n")
    for name, text in (("train.log", log), ("README.md", readme), ("submission.json", json.dumps(metadata))):
        if text and text != "{}":
            (folder / name).write_text(text)
    evidence = Evidence.of_folder(open_folder(folder))
    return next(check for each in evidence_rules() if each.id == rule for check in each.lines(evidence))


@pytest.mark.parametrize(
    ("world", "gpu", "seconds", "wanted"),
    [
        (8, "", 640, Status.FAIL),
        (1, "", 4400, Status.WARN),  # 550 s of eight, at best
        (1, "", 5100, Status.WARN),  # of an unnamed GPU
        (1, "|   0  NVIDIA H100 80GB HBM3   On  |\n", 5100, Status.FAIL),
        (1, "|   0  NVIDIA A100-SXM4-80GB   On  |\n", 5100, Status.WARN),
        (2, "|   0  NVIDIA H100 80GB HBM3   On  |\n", 3000, Status.FAIL),
        (1, "", 590, Status.PASS),
    ],
)
@pytest.mark.parametrize("rule", ["T-TRAIN", "T-EVAL"])
def test_seconds_of_fewer_or_other_gpus(
    tmp_path: Path, rule: str, world: int, gpu: str, seconds: int, wanted: Status
) -> None:
    times = (seconds, 60) if rule == "T-TRAIN" else (590, seconds)
    log = LOG.format(gpu=gpu, world=world, train=times[0] * 1000, spent=times[1] * 1000)
    assert line(tmp_path, rule, log).status is wanted


def test_the_seconds_of_diagnostics_are_not_the_evaluations(tmp_path: Path) -> None:
    log = LOG.format(gpu="", world=8, train=590_000, spent=520_000)
    log = log.replace("final_exact", "diagnostic quantized val_loss:1.9 val_bpb:1.2000 eval_time:97000ms\nfinal_exact")
    assert line(tmp_path, "T-EVAL", log).status is Status.PASS


def test_an_admitted_training_time_fails_and_a_kept_one_is_no_evidence(tmp_path: Path) -> None:
    table = "# Entry, val_bpb: 1.1000\n\n| Metric | Value |\n|---|---|\n| val_bpb | 1.1000 |\n| training time | {} |\n"
    assert line(tmp_path, "T-TRAIN", readme=table.format("1,200s")).status is Status.FAIL
    assert line(tmp_path, "T-TRAIN", readme=table.format("599 s")).status is Status.UNCHECKED


def test_training_seconds_of_the_metadata_may_be_those_of_the_whole_run(tmp_path: Path) -> None:
    assert line(tmp_path, "T-TRAIN", val_bpb=1.1, training_time_seconds=2145).status is Status.WARN


@pytest.mark.parametrize(
    ("claimed", "wanted"),
    [
        ({"val_bpb": 1.1, "compressed_size_bytes": 16_349_337}, Status.FAIL),
        ({"val_bpb": 1.1, "bytes_model": 67_000_000}, Status.UNCHECKED),  # perhaps uncompressed
        ({"val_bpb": 1.1, "bytes_total": 15_999_999}, Status.UNCHECKED),
        ({"val_bpb": 1.1, "bytes_total": "135 MB"}, Status.WARN),
    ],
)
def test_claimed_sizes_count_only_against_their_author(tmp_path: Path, claimed: dict, wanted: Status) -> None:
    assert line(tmp_path, "ART-CAP", **claimed).status is wanted


def test_a_record_claimed_without_any_log_asks_for_a_reader(tmp_path: Path) -> None:
    found = line(tmp_path, "S-FILES", readme="# Entry\n", val_bpb=1.1)
    assert (found.status, found.severity, found.certainty) == (Status.FAIL, Severity.ERROR, Certainty.MEDIUM)


@pytest.mark.parametrize("metadata", [{"val_bpb": None}, {"val_bpb": 1.1, "track": "non_record_16mb"}])
def test_missing_logs_of_no_record_only_warn(tmp_path: Path, metadata: dict) -> None:
    found = line(tmp_path, "S-FILES", readme="# Entry\n", **metadata)
    assert (found.status, found.severity) == (Status.FAIL, None)
