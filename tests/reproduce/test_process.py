"""A command is ended at the limit of its phase, and nothing of it is left, not even workers in other sessions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reproduce import guard
from reproduce.live import Phase
from reproduce.process import CONTEST_LIMITS, Limits, ProcessResult, run_process

HANGS_AFTER = """
import sys, time
for line in sys.argv[1].split("|"):
    print(line, flush=True)
time.sleep(600)
"""


def run(tmp_path: Path, script: str, *words: str, limits: Limits, token: str = "a-token") -> ProcessResult:
    argv = (sys.executable, "-c", script, *words)
    return run_process(argv, cwd=tmp_path, env=dict(os.environ), log=tmp_path / "train.log", token=token, limits=limits)


@pytest.mark.parametrize(
    ("log", "limits", "why"),
    [
        ("", Limits(start=0.1), "start ran past"),
        ("step:1/9 train_loss:3.0", Limits(train=0.1), "training ran past"),
        ("step:1/9 train_loss:3.0|stopping_early: wallclock_cap", Limits(evaluate=0.1), "evaluation ran past"),
        ("step:1/9 train_loss:3.0", Limits(total=0.1), "ran past its limit"),
        ("step:1/9 train_loss:3.0", Limits(silence=0.1), "printed nothing"),
    ],
)
def test_run_is_ended_at_the_limit_of_its_phase(tmp_path: Path, log: str, limits: Limits, why: str) -> None:
    result = run(tmp_path, HANGS_AFTER, log, limits=limits)
    assert result.ended_because is not None and why in result.ended_because
    assert result.exit_code is not None and result.exit_code < 0


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.EVAL])
def test_contest_gives_each_phase_ten_minutes_and_a_little(phase: Phase) -> None:
    assert CONTEST_LIMITS.broken({phase: 610.0}, 0.0, 610.0) is None
    assert CONTEST_LIMITS.broken({phase: 640.0}, 0.0, 640.0) is not None


def test_start_and_warm_up_do_not_count_as_training() -> None:
    assert Limits(train=10.0).broken({Phase.START: 100.0, Phase.WARMUP: 50.0, Phase.TRAIN: 5.0}, 0.0, 155.0) is None


def test_exit_code_of_the_command_is_given(tmp_path: Path) -> None:
    assert run(tmp_path, "raise SystemExit(7)", limits=Limits()).exit_code == 7


def test_log_is_appended_to(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text("before\n")
    run(tmp_path, "print('after')", limits=Limits())
    assert (tmp_path / "train.log").read_text() == "before\nafter\n"


def test_worker_in_a_session_of_its_own_is_ended_with_the_run(tmp_path: Path) -> None:
    forks = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
"""
    run(tmp_path, forks, limits=Limits(), token="a-token-with-a-worker")
    assert guard.marked("a-token-with-a-worker") == []


def test_guard_ends_the_run_when_its_input_closes() -> None:
    environment = {**os.environ, guard.VARIABLE: "a-guarded-token"}
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment)
    words = [sys.executable, "-I", "-S", guard.__file__, "a-guarded-token"]
    subprocess.run(words, stdin=subprocess.DEVNULL, check=True, timeout=60)
    assert orphan.wait(timeout=60) < 0


def test_process_with_another_token_is_left_alone() -> None:
    environment = {**os.environ, guard.VARIABLE: "a-neighbour"}
    neighbour = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment)
    try:
        guard.end_marked("a-neighbou")
        assert neighbour.poll() is None
    finally:
        neighbour.kill()
        neighbour.wait()


def test_program_that_is_not_there_raises_and_leaves_no_guard(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_process(
            ("/no/such/program",),
            cwd=tmp_path,
            env={},
            log=tmp_path / "train.log",
            token="a-token-of-nothing",
            limits=Limits(),
        )
    assert not any(b"a-token-of-nothing" in line for line in command_lines())


def command_lines() -> list[bytes]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_bytes())
            except OSError:
                continue
    return found
