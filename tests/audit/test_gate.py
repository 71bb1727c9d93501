"""What the gate says, how it is configured, and how it ends."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.evidence.check import Status
from audit.evidence.gate import gate, passes
from audit.evidence.limits import Limits, read_limits
from audit.evidence.records import records, standing
from audit.evidence.s_scope import changed_paths
from audit.finding import AuditResult, Basis
from audit.verdict import Profile
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
    checks = gate(submission(tmp_path, total=16_100_000))
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


def test_the_record_that_stood_on_its_date_is_compared(tmp_path: Path) -> None:
    folder = submission(tmp_path)
    (tmp_path / "submission.json").write_text(json.dumps({"name": "entry", "date": "2026-04-06T10:00:00Z"}))
    line = next(check for check in gate(open_folder(folder.path), against="record") if check.name == "applied bar")
    assert line.status is Status.WARN  # 1.102 against 1.0856 of #1394
    assert "#1394" in line.evidence
    assert line.data["gain"] == pytest.approx(1.085626806 - 1.102, abs=1e-4)


def test_a_gain_is_judged_by_both_bars(tmp_path: Path) -> None:
    checks = gate(submission(tmp_path), against="1.12")
    assert status(checks, "applied bar") is Status.PASS
    assert status(checks, "written bar") is Status.PASS
    checks = gate(submission(tmp_path), against="1.1025")
    assert status(checks, "applied bar") is Status.PASS
    assert status(checks, "written bar") is Status.WARN


@pytest.mark.parametrize("wanted", ["record", "#99999", "-1", "nan", "best"])
def test_a_comparison_that_cannot_be_made_is_refused(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(InputError, match="--against"):
        gate(submission(tmp_path), against=wanted)


def test_every_record_has_the_score_that_the_leaderboard_prints() -> None:
    for record in records():
        mean = sum(record.val_bpb) / len(record.val_bpb)
        assert min(abs(mean - record.score), abs(min(record.val_bpb) - record.score)) < 2.5e-4, record.name


def test_the_record_that_stands_is_the_best_before_the_day() -> None:
    assert standing(date(2026, 3, 18)) is None
    found = standing(date(2026, 4, 9))
    assert found is not None and found.pr == 1477


def test_a_profile_turns_what_it_tolerates_into_a_warning(tmp_path: Path) -> None:
    folder = submission(tmp_path, total=16_100_000)
    policy = Profile("lenient", "", frozenset(Basis), tolerated={"ART-CAP": "merged before"})
    line = next(check for check in gate(folder, profile=policy) if check.rule == "ART-CAP")
    assert line.status is Status.WARN
    assert "merged before" in line.evidence


def test_a_basis_that_a_profile_does_not_count_fails_nobody(tmp_path: Path) -> None:
    policy = Profile("opinion", "", frozenset())
    assert passes(gate(submission(tmp_path, train=700_000), profile=policy))


def repository(folder: Path, paths: list[str]) -> Path:
    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder), *words],
            check=True, capture_output=True,
        )  # fmt: skip

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "base")
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    git("add", "-A")
    git("commit", "-q", "-m", "entry")
    return folder


def test_a_git_range_shows_what_the_pull_request_touches(tmp_path: Path) -> None:
    paths = ["records/track_10min_16mb/2026-04-01_A/README.md", "data/new name.py"]
    found = changed_paths(repository(tmp_path, paths), "HEAD~1..HEAD")
    assert sorted(found) == sorted(paths)


@pytest.mark.parametrize("text", ["HEAD", "--output=x..HEAD", "nowhere..HEAD", ""])
def test_a_range_that_git_does_not_know_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        changed_paths(repository(tmp_path, ["a"]), text)


@pytest.mark.parametrize("kind", ["junit", "md", "sarif"])
def test_the_other_formats_name_what_failed(tmp_path: Path, kind: str) -> None:
    submission(tmp_path, train=700_000)
    run = CliRunner().invoke(app, ["gate", str(tmp_path), "--no-audit", "--format", kind])
    assert run.exit_code == 1
    if kind != "sarif":  # which holds findings of the audit alone
        assert "training time" in run.output


def test_a_total_over_the_cap_only_with_code_that_is_not_shipped_asks_for_a_reader(tmp_path: Path) -> None:
    # The model leaves 20,000 bytes; the log counts 50,000 of code, the folder ships a dozen.
    line = next(check for check in gate(submission(tmp_path, total=16_030_000)) if check.rule == "ART-CAP")
    assert line.status is Status.WARN


def test_a_run_is_of_one_configuration_whatever_names_its_seed_or_was_measured(tmp_path: Path) -> None:
    folder = submission(tmp_path)
    for seed in (1, 2, 3):
        path = tmp_path / f"train_seed{seed}.log"
        head = f"matrix_lr: 0.02\n  experiment: deep_seed{seed}_8gpu\ns:{seed} driver version: 570.1{seed}.9\n"
        path.write_text(head + f"eigenvalues: 1302.{seed}0\nbl:2.2{seed} rl:2.3{seed}\n" + path.read_text())
    assert status(gate(folder), "one configuration for all seeds") is Status.PASS
    path.write_text(path.read_text().replace("0.02", "0.03"))
    assert status(gate(folder), "one configuration for all seeds") is Status.WARN
