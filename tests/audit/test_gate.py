"""What the gate says, how it is configured, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.evidence.check import Status
from audit.evidence.gate import gate, passes
from audit.evidence.limits import Limits, read_limits
from audit.finding import AuditResult
from golfproof.app import app
from reproduce.errors import InputError
from reproduce.folder import SubmissionFolder, open_folder

LOG = """\
seed:{seed}
step:0/9 val_loss:6.9 val_bpb:4.1000 train_time:0ms
step:9/9 train_loss:2.0 train_time:{train}ms
Serialized model int6+zstd: {model} bytes
Total submission size int6+zstd: {total} bytes
final_exact val_loss:2.00000000 val_bpb:{score:.8f} eval_time:1000ms
"""


def submission(folder: Path, train: int = 599_000, total: int = 15_900_000, cut: bool = False) -> SubmissionFolder:
    (folder / "train_gpt.py").write_text("import torch\n")
    (folder / "submission.json").write_text(json.dumps({"name": "entry", "val_bpb": 1.102, "val_bpb_std": 0.001}))
    (folder / "README.md").write_text("# Entry\n")
    for seed in (1, 2, 3):
        text = LOG.format(seed=seed, train=train, model=total - 50_000, total=total, score=1.1 + seed / 1000)
        (folder / f"train_seed{seed}.log").write_text(text.split("step:9")[0] if cut and seed == 3 else text)
    return open_folder(folder)


def verdict(kind: str) -> AuditResult:
    return AuditResult("entry", "train_gpt.py", "its name", kind, (), ())


def status(checks, name: str) -> Status:
    return next(check.status for check in checks if check.name == name)


def test_a_sound_submission_passes_every_limit(tmp_path: Path) -> None:
    checks = gate(submission(tmp_path), audit=verdict("clean"))
    assert passes(checks)
    for name in (
        "audit of the code",
        "artifact size",
        "training time",
        "evaluation time",
        "claimed score",
        "claimed std",
    ):
        assert status(checks, name) is Status.PASS


def test_without_an_audit_the_code_is_unchecked_not_passed(tmp_path: Path) -> None:
    assert status(gate(submission(tmp_path)), "audit of the code") is Status.UNCHECKED


@pytest.mark.parametrize(
    ("kind", "wanted"), [("illegal", Status.FAIL), ("review", Status.WARN), ("unruled", Status.WARN)]
)
def test_the_audits_verdict_is_a_line(tmp_path: Path, kind: str, wanted: Status) -> None:
    assert status(gate(submission(tmp_path), audit=verdict(kind)), "audit of the code") is wanted


def test_an_artifact_over_the_cap_fails_with_the_log_named(tmp_path: Path) -> None:
    checks = gate(submission(tmp_path, total=16_000_001))
    line = next(check for check in checks if check.rule == "ART-CAP")
    assert line.status is Status.FAIL
    assert (line.file, line.line) == ("train_seed1.log", 5)


def test_training_past_the_clock_fails(tmp_path: Path) -> None:
    assert status(gate(submission(tmp_path, train=700_000)), "training time") is Status.FAIL


def test_limits_come_from_the_caller(tmp_path: Path) -> None:
    assert status(gate(submission(tmp_path), Limits(total_bytes=1_000_000)), "artifact size") is Status.FAIL


def test_a_log_cut_in_the_middle_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train_seed3\.log"):
        gate(submission(tmp_path, cut=True))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("golfproof.toml", "train-seconds = 5\n"),
        ("golfproof.toml", "[gate]\ntrain_seconds = 5\n"),
        ("pyproject.toml", "[tool.golfproof]\ntrain-seconds = 5\n"),
        ("pyproject.toml", "[tool.golfproof.gate]\ntrain-seconds = 5\n"),
    ],
)
def test_limits_are_read_from_the_nearest_configuration(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "inner").mkdir()
    assert read_limits(tmp_path / "inner").train_seconds == 5


def test_an_option_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "golfproof.toml").write_text("train-seconds = 5\n")
    assert read_limits(tmp_path, {"train_seconds": 7.0, "eval_seconds": None}).train_seconds == 7


@pytest.mark.parametrize(
    "text", ["speed = 5\n", "train-seconds = 'fast'\n", "train-seconds = -1\n", "train-seconds =\n"]
)
def test_a_configuration_that_does_not_fit_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "golfproof.toml").write_text(text)
    with pytest.raises(InputError, match=r"golfproof\.toml"):
        read_limits(tmp_path)


def test_the_command_exits_0_and_1(tmp_path: Path) -> None:
    submission(tmp_path)
    run = CliRunner().invoke(app, ["gate", str(tmp_path), "--no-audit"])
    assert run.exit_code == 0, run.output
    assert "artifact size" in run.output
    run = CliRunner().invoke(app, ["gate", str(tmp_path), "--no-audit", "--total-bytes", "1000"])
    assert run.exit_code == 1
    assert "FAIL" in run.output


def test_strict_fails_on_what_was_not_checked(tmp_path: Path) -> None:
    submission(tmp_path)
    assert CliRunner().invoke(app, ["gate", str(tmp_path), "--no-audit", "--strict"]).exit_code == 1


def test_the_json_holds_every_line(tmp_path: Path) -> None:
    submission(tmp_path)
    run = CliRunner().invoke(app, ["gate", str(tmp_path), "--no-audit", "--format", "json"])
    printed = json.loads(run.output)
    assert printed["passed"] is True
    assert {line["rule"] for line in printed["checks"]} >= {"ART-CAP", "T-TRAIN", "T-EVAL", "E-CLAIM"}
