"""T-CAL weighs what a reserve leaves: too little is a breach, a reader's where merged records did the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.case import Case
from audit.finding import Certainty, Finding, Severity
from audit.rules.examples import trainer
from audit.rules.t_cal import LateCalibration
from reproduce.folder import open_folder

CALIBRATE = """
    moments = []
    for turn in range(8):
        with torch.no_grad():
            states = model(learn[turn * 128:turn * 128 + 128])
        moments.append(states.T @ states)
"""
STOPS = """        if 1000.0 * (time.perf_counter() - began) >= {limit}:
            break
"""
LOG = """seed:1
step:5000/20000 train_loss:2.0 train_time:{ms}ms
stopping_early: wallclock_cap train_time:{ms}ms step:5000/20000
gptq:calibrating with training data...
gptq:calibrated 68 layers in {took}s
final_exact val_loss:2.00000000 val_bpb:1.18450000
"""


def timed(limit: str) -> str:
    """A trainer that stops by the clock and calibrates on training data afterwards."""
    text = trainer(CALIBRATE).replace("import glob\n", "import glob\nimport time\n")
    text = text.replace(
        "    for step in range(100):\n", "    began = time.perf_counter()\n    for step in range(100):\n"
    )
    return text.replace("        trainer.step()\n", "        trainer.step()\n" + STOPS.format(limit=limit), 1)


def found(folder: Path, code: str, log: str = "") -> list[Finding]:
    (folder / "train_gpt.py").write_text(code, encoding="utf-8")
    if log:
        (folder / "train.log").write_text(log, encoding="utf-8")
    return [f for f in LateCalibration().check(Case(open_folder(folder))) if f.active]


@pytest.mark.parametrize(("limit", "severity"), [("600000.0", Severity.ERROR), ("600000.0 - 500.0", Severity.WARNING)])
def test_without_logs_a_reserve_that_is_subtracted_is_no_error(tmp_path: Path, limit: str, severity: Severity) -> None:
    assert [f.severity for f in found(tmp_path, timed(limit))] == [severity]


@pytest.mark.parametrize(
    ("ms", "took", "certainties"),
    [
        (588_000, 9.0, []),
        (599_500, 2.0, []),
        (599_500, 3.5, [Certainty.MEDIUM]),
        (596_000, 12.8, [Certainty.HIGH]),
        (599_500, 40.0, [Certainty.HIGH]),
        (600_050, 3.5, [Certainty.HIGH]),
    ],
)
def test_logs_that_time_it_decide(tmp_path: Path, ms: int, took: float, certainties: list[Certainty]) -> None:
    told = found(tmp_path, timed("600000.0 - 500.0"), LOG.format(ms=ms, took=took))
    assert [(f.severity, f.certainty) for f in told] == [(Severity.ERROR, certainty) for certainty in certainties]
