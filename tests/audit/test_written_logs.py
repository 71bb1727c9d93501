"""Logs that a run wrote are told from logs that were edited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.gate import evidence_rules
from audit.evidence.written_logs import clock_back, odd_pair, shared_lines
from audit.finding import Severity
from reproduce.folder import open_folder
from reproduce.logs import read_runs
from reproduce.runlog import RunLog


def log(seed: int, losses: list[float], score: float, times: list[int] | None = None, loss: float | None = None) -> str:
    """A log with a step a loss (every hundredth), the trainer's clock in milliseconds, and a final evaluation."""
    clocks = times or [100 * at * 85 + seed for at in range(1, len(losses) + 1)]
    lines = [f"seed:{seed}", "step:1/20000 train_loss:6.9301 train_time:1234ms"]
    lines += [
        f"step:{100 * at}/20000 train_loss:{value:.4f} train_time:{clock}ms step_avg:85.00ms"
        for at, (value, clock) in enumerate(zip(losses, clocks, strict=True), 1)
    ]
    lines.append(f"final_exact val_loss:{1.7 * score if loss is None else loss:.8f} val_bpb:{score:.8f}")
    return "\n".join(lines) + "\n"


def losses(seed: int, count: int = 30) -> list[float]:
    return [2 + (seed * 7919 + at * 104729) % 9973 / 1e4 for at in range(count)]


def runs(folder: Path, **texts: str) -> list[RunLog]:
    found = []
    for name, text in texts.items():
        (folder / f"train_{name}.log").write_text(text)
        found += read_runs(folder / f"train_{name}.log")
    return found


def check_of(folder: Path, name: str) -> Check:
    (folder / "train_gpt.py").write_text("import torch\n")
    evidence = Evidence.of_folder(open_folder(folder))
    return next(line for rule in evidence_rules() for line in rule.lines(evidence) if line.name == name)


def test_runs_of_different_seeds_share_nothing(tmp_path: Path) -> None:
    assert shared_lines(runs(tmp_path, seed1=log(1, losses(1), 1.1), seed2=log(2, losses(2), 1.102))) is None


def test_a_log_copied_for_another_seed_is_found_whatever_score_was_written_into_it(tmp_path: Path) -> None:
    times = [8500 * at for at in range(1, 31)]
    copied = runs(tmp_path, seed1=log(1, losses(1), 1.1, times), seed2=log(2, losses(1), 1.097, times))
    shared = shared_lines(copied)
    assert shared is not None
    assert (shared.lines, shared.of) == (30, 31)


def test_half_of_the_lines_changed_hide_no_copy_but_a_few_equal_ones_make_none(tmp_path: Path) -> None:
    times = [8500 * at for at in range(1, 31)]
    mixed = losses(1)[:18] + losses(2)[18:]
    assert shared_lines(runs(tmp_path, seed1=log(1, losses(1), 1.1, times), seed2=log(2, mixed, 1.097, times)))
    few = losses(1)[:6] + losses(2)[6:]
    assert shared_lines(runs(tmp_path, seed1=log(1, losses(1), 1.1, times), seed3=log(3, few, 1.097, times))) is None


def test_losses_of_four_digits_without_a_time_prove_nothing(tmp_path: Path) -> None:
    text = "seed:{}\n" + "".join(f"step:{at}00/9000 train_loss:2.5113\n" for at in range(1, 30))
    text += "final_exact val_loss:1.7 val_bpb:1.1\n"
    assert shared_lines(runs(tmp_path, seed1=text.format(1), seed2=text.format(2))) is None


def test_two_logs_of_one_seed_are_not_called_copies(tmp_path: Path) -> None:
    text = log(1, losses(1), 1.1)
    assert shared_lines(runs(tmp_path, a=text, b=text)) is None


def test_a_clock_that_runs_back_between_two_steps_is_found(tmp_path: Path) -> None:
    times = [8500 * at for at in range(1, 31)]
    times[20] = 90_000
    (run,) = runs(tmp_path, seed1=log(1, losses(1), 1.1, times))
    found = clock_back(run)
    assert found is not None
    assert [step.step for step in found] == [2000, 2100]


def test_a_clock_that_begins_anew_with_its_steps_is_another_run(tmp_path: Path) -> None:
    first, second = log(1, losses(1), 1.1), log(2, losses(2), 1.1)
    assert all(clock_back(run) is None for run in runs(tmp_path, both=first + second))


@pytest.mark.parametrize(("printed", "odd"), [(1.7, False), (1.7003, False), (1.7034, True)])
def test_a_loss_that_does_not_give_its_score_as_the_other_seeds_do_is_odd(
    tmp_path: Path, printed: float, odd: bool
) -> None:
    three = {f"seed{s}": log(s, losses(s), 1.1 + s / 1000) for s in (1, 2)}
    three["seed3"] = log(3, losses(3), 1.103, loss=printed * 1.103)
    found = odd_pair(runs(tmp_path, **three))
    assert (found is not None) is odd
    assert found is None or found.run.seed == 3


def test_of_two_logs_nobody_knows_which_pair_is_odd(tmp_path: Path) -> None:
    assert odd_pair(runs(tmp_path, a=log(1, losses(1), 1.1), b=log(2, losses(2), 1.1, loss=1.9))) is None


def test_copied_logs_are_an_error_of_the_claim(tmp_path: Path) -> None:
    times = [8500 * at for at in range(1, 31)]
    runs(tmp_path, seed1=log(1, losses(1), 1.1, times), seed2=log(2, losses(1), 1.097, times))
    line = check_of(tmp_path, "logs as written")
    assert line.status is Status.FAIL
    assert line.severity is Severity.ERROR


def test_honest_logs_pass_and_a_summary_alone_is_unchecked(tmp_path: Path) -> None:
    runs(tmp_path, seed1=log(1, losses(1), 1.1))
    assert check_of(tmp_path, "logs as written").status is Status.PASS
    (tmp_path / "train_seed1.log").write_text("seed:1\nfinal_exact val_loss:1.87 val_bpb:1.1000\n")
    assert check_of(tmp_path, "logs as written").status is Status.UNCHECKED


def test_a_score_that_was_cut_instead_of_rounded_only_warns(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        text = log(seed, losses(seed), 1.15168 + seed / 1000) + "ttt_exact val_loss:2.3 val_bpb:1.38740515\n"
        (tmp_path / f"train_seed{seed}.log").write_text(text)
    claim = {"val_bpb": 1.1536, "seeds": {"1": 1.1526, "2": 1.1536, "3": 1.1546}}
    (tmp_path / "submission.json").write_text(json.dumps(claim))
    assert check_of(tmp_path, "seed 1").status is Status.WARN
