"""T-CAL: quantisation is calibrated on training data after the training clock has run out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from audit.events import Event
from audit.finding import Basis, Certainty, Finding, Severity
from audit.provenance import TRAIN, VAL
from audit.rule import Example, Rule
from audit.rules.examples import trainer

if TYPE_CHECKING:
    from audit.case import Case
    from reproduce.runlog import RunLog

LIMIT = 600.0  # seconds of training
OVERSHOOT = 2.0  # seconds past the limit that reviews have let pass
KEPT = 0.1  # seconds before the limit at which a run that keeps a reserve has stopped, however small the reserve
DISPUTED = 4.0  # seconds past that by which merged records with a reserve (#1851, #1855, #1868) missed it
UNHELD = 900.0  # seconds of training after which a run was under no such limit
NEAR_LIMIT = 598.5  # where the log does not time the calibration: training that ran to here left no room for it

# What a finding is then: nothing, a breach, one that merged records share, or a reserve that nobody timed.
_IN_TIME: dict[str, Any] = {"active": False}
_LATE: dict[str, Any] = {}
_DISPUTED: dict[str, Any] = {"certainty": Certainty.MEDIUM}
_UNTIMED: dict[str, Any] = {"severity": Severity.WARNING, "certainty": Certainty.MEDIUM}

_CALIBRATE = """
    moments = []
    for turn in range(8):
        piece = learn[turn * 128:turn * 128 + 128]
        with torch.no_grad():
            states = model(piece)
        moments.append(states.T @ states)
"""
_INVENTED = _CALIBRATE.replace("learn[turn * 128:turn * 128 + 128]", "torch.randint(0, 64, (128,))")
_LOG = """seed:1
step:5000/20000 train_loss:2.0 train_time:{ms}ms
stopping_early: wallclock_cap train_time:{ms}ms step:5000/20000
final_exact val_loss:2.00000000 val_bpb:1.18450000
"""


def _with_log(code: str, ms: int) -> dict[str, str]:
    return {"train_gpt.py": code, "train.log": _LOG.format(ms=ms)}


class LateCalibration(Rule):
    id = "T-CAL"
    title = "calibration after the clock"
    basis = Basis.RULING
    reference = "#569, #593, #606, #609, #615, #626, #639, #656, #706, #1028"
    forbids = "Calibrating quantisation or pruning on training data after the 600 seconds of training."
    why = "Everything must fit into training or evaluation, and evaluation may not read training data."
    comply = "Keep seconds back from the training clock for it, or calibrate on text that the model generates."
    VALID: ClassVar[tuple[Example, ...]] = (
        _with_log(trainer(_CALIBRATE), 588_000),
        _with_log(trainer(_INVENTED), 600_050),
        _with_log(trainer(_CALIBRATE), 11_946_000),
        {**_with_log(trainer(_CALIBRATE), 588_000), "long.log": _LOG.format(ms=7_188_700)},
        trainer(),
    )
    INVALID: ClassVar[tuple[Example, ...]] = (_with_log(trainer(_CALIBRATE), 600_050),)

    def check(self, case: Case) -> Iterator[Finding]:
        found = list(self.in_the_code(case))
        if any(finding.active and finding.severity is Severity.ERROR for finding in found):
            yield from found
            return
        from audit.evidence.evidence import Evidence
        from audit.evidence.t_cal import TCal

        logged = list(TCal().findings(Evidence.of_case(case)))
        measured = any(finding.active for finding in logged)  # then the logs say it better than the code
        yield from (finding for finding in found if not (finding.active and measured))
        yield from logged

    def in_the_code(self, case: Case) -> Iterator[Finding]:
        """Readings of training data between training and artifact, each late or not by what log and settings say."""
        steps = [e for e in case.timeline.of("step") if e.active and e.value.bits & TRAIN and not e.value.bits & VAL]
        if not steps:
            return
        trained = max(e.order for e in steps)
        loops = {loop.bit for e in steps for loop in e.loops}
        saved = max((e.order for e in case.timeline.of("save")), default=0)
        seen: set[tuple[str, int, bool]] = set()
        for read in case.timeline.of("forward"):
            if not read.value.bits & TRAIN or read.value.bits & VAL or read.order < trained or read.order > saved:
                continue
            if any(loop.bit in loops for loop in read.loops):
                continue
            place = (read.file, read.line, read.active)
            if place in seen:
                continue
            seen.add(place)
            changes, why = self.late(case, trained, read)
            call = read.calls[-1] if read.calls else None
            line, file = (call.line, call.file) if call is not None and len(read.calls) > 1 else (read.line, read.file)
            message = "the model runs on training data for calibration after training has ended"
            if changes is _IN_TIME:
                changes = {**_IN_TIME, "because": read.because or why}
            yield self.finding(case, read, f"{message}: {why}", line=line, file=file, **changes)

    def late(self, case: Case, trained: int, read: Event) -> tuple[dict[str, Any], str]:
        """Say whether calibration lies outside the training budget, as what a finding is then, and why."""
        between = [
            e for e in case.timeline.of("step") if e.active and trained < e.order < read.order and e.value.bits & VAL
        ]
        if not read.active:
            return _IN_TIME, "not reached"
        if between:
            return _LATE, "test-time training on validation tokens comes between"
        runs = [run for run in case.logs if run.train_seconds is not None and run.headline is not None]
        held = [run for run in runs if (run.train_seconds or 0.0) <= UNHELD]
        if runs and not held:
            return _IN_TIME, "training was not held to the contest's clock"  # T-TRAIN's, where a limit applies
        judged = [late_by_log(run) for run in held]
        if judged:
            over, why = max(judged)
            kept_back = all((run.train_seconds or 0.0) < LIMIT - KEPT for run in held)
            return _IN_TIME if over <= 0 else _DISPUTED if kept_back and over <= DISPUTED else _LATE, why
        limits = [
            e.data.get("limit")
            for e in case.timeline.of("deadline")
            if e.active and any(lo.bit in _bits(case) for lo in e.loops)
        ]
        seconds = [v / 1000 if v > 5000 else v for v in limits if isinstance(v, int | float) and v > 0]
        if not seconds or max(seconds) < NEAR_LIMIT:
            return _IN_TIME, f"training stops at {max(seconds):.1f} s" if seconds else "no log times it"
        if max(seconds) < LIMIT - KEPT:
            return _UNTIMED, f"training may run {max(seconds):.1f} s, which keeps {LIMIT - max(seconds):.1f} s back"
        return _LATE, f"training may run {max(seconds):.0f} s and nothing is kept back"


def _bits(case: Case) -> set[int]:
    return {loop.bit for e in case.timeline.of("step") if e.active for loop in e.loops}


def late_by_log(run: RunLog) -> tuple[float, str]:
    """Return the seconds by which a run's calibration passes the limit (positive is too late), and how one knows."""
    stopped = run.train_seconds or 0.0
    took = max((e.values.get("seconds", 0.0) for e in run.events if e.kind == "calibrated"), default=0.0)
    if took:
        over = stopped + took - LIMIT - OVERSHOOT
        return over, f"training stopped at {stopped:.1f} s and calibration took {took:.1f} s"
    return stopped - NEAR_LIMIT, f"training stopped at {stopped:.1f} s and calibration follows"
