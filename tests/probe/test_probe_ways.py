"""Which other ways a probe tries where a first run fails or ends elsewhere; the runs here are written, not made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from audit.probe import probe, runs
from audit.probe.launch import Launch, Ran
from audit.probe.probe import judge
from audit.probe.runs import Run, Runs, planned
from reproduce.folder import open_folder
from reproduce.sandbox import SandboxResult

FIGURE = "final_roundtrip_exact val_loss:5.00000000 val_bpb:3.44000000\n"
SLIDING = "final_sliding_window_s64_exact val_loss:5.00000000 val_bpb:3.44000000\n"
OUT_OF_MEMORY = "RuntimeError: DefaultCPUAllocator: can't allocate memory\n"


def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prints: Callable[[Launch], str], log: str = "") -> Run:
    """The first run of a program that prints what ``prints`` says, and fails where that gives no figure; it asks for
    USE_TTT and EVAL_STRIDE."""
    (tmp_path / "train_gpt.py").write_text("import os\nUSE_TTT = int(os.environ.get('USE_TTT', '0'))\n")
    if log:
        (tmp_path / "train_seed1.log").write_text(f"seed:1\n{log}")
    monkeypatch.setattr(runs, "read_recording", lambda path: recording(plans[-1]))
    plans: list[Launch] = []

    def launched(folder: object, data: Path, workspace: Path, plan: Launch) -> Ran:
        plans.append(plan)
        text = prints(plan)
        workspace.mkdir(parents=True, exist_ok=True)
        (workspace / "probe.log").write_text(text)
        result = SandboxResult((), 0 if "final" in text else 1, text, 1.0, cpu_seconds=1.0)
        return Ran(result, workspace / "probe.log", (workspace / "tape",))

    monkeypatch.setattr(runs, "launch", launched)
    folder = open_folder(tmp_path)
    return Runs(folder, tmp_path / "runs", planned(folder, Launch()), "spike", lambda text: None).first()


def recording(plan: Launch) -> runs.Recording:
    asked = {"USE_TTT": (plan.environment.get("USE_TTT", "0"),) * 2, "EVAL_STRIDE": ("256", str(plan.toy.stride))}
    empty: Mapping[int, np.ndarray] = {width: np.zeros((0, width), int) for width in (3, 4)}
    return runs.Recording(np.zeros(0), empty[4], empty[4], empty[3], (), (), False, "", dict(asked))


def test_a_program_that_works_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = first(tmp_path, monkeypatch, lambda plan: FIGURE, log=FIGURE)
    assert not run.changed and run.tried_cpu_seconds == 0 and not run.failure


def test_one_that_takes_too_much_memory_gets_the_sizes_of_its_code_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = first(tmp_path, monkeypatch, lambda plan: FIGURE if plan.toy.constants else OUT_OF_MEMORY)
    assert run.changed == "sizes of its code made small" and run.tried_cpu_seconds == 1.0


def test_one_that_fails_whatever_is_tried_says_with_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = first(tmp_path, monkeypatch, lambda plan: "AssertionError: 7 parameters\n")
    verdict, reasons = judge(run, [])
    assert (verdict, run.changed) == ("review", "") and "7 parameters" in reasons[0] and run.tried_cpu_seconds > 3


def test_a_package_that_is_missing_is_not_looked_for_in_other_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = first(tmp_path, monkeypatch, lambda plan: "ModuleNotFoundError: No module named 'mlx'\n")
    assert run.failure == "ModuleNotFoundError: No module named 'mlx'" and run.tried_cpu_seconds == 0


def test_a_second_stride_is_tried_for_a_stage_that_was_not_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = first(tmp_path, monkeypatch, lambda plan: FIGURE if plan.toy.stride == 64 else FIGURE + SLIDING, log=SLIDING)
    assert run.changed == "a stride of 32" and judge(run, [])[0] == "holds"


def test_a_switch_is_put_as_the_logs_tell_and_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FIGURE + "ttt:start lr=0.1\n" + FIGURE.replace("roundtrip", "ttt").replace("5.0", "4.9")
    run = first(tmp_path, monkeypatch, lambda plan: log if plan.environment.get("USE_TTT") == "1" else FIGURE, log=log)
    assert run.changed == "USE_TTT=1, as its logs tell" and judge(run, [], ("final_ttt",))[0] == "holds"


def test_a_switch_without_which_the_published_stage_was_reached_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, other = "ttt:start lr=0.1\n" + FIGURE, FIGURE.replace("roundtrip", "other")
    run = first(tmp_path, monkeypatch, lambda p: other if p.environment.get("USE_TTT") == "1" else FIGURE, log=log)
    assert run.changed == "" and run.tried_cpu_seconds == 1.0 and judge(run, [], ("final_roundtrip",))[0] == "holds"


def test_a_stage_that_no_way_reaches_is_review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = first(tmp_path, monkeypatch, lambda plan: FIGURE, log=SLIDING)
    verdict, reasons = judge(run, [], ("final_sliding_window_s64",))
    assert verdict == "review" and "final_sliding_window_s64, was not reached" in reasons[0]


def test_a_figure_that_is_only_printed_is_not_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = first(tmp_path, monkeypatch, lambda plan: FIGURE)
    verdict, reasons = judge(run, probe._experiments({"first": run}))
    assert verdict == "review" and "the mean of no losses that were seen" in reasons[0]
