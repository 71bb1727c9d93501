"""The rule on calibration: reading training data for quantisation is training, and ends with the training clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from audit.evidence.check import Check, Status
from audit.evidence.evidence import Evidence
from audit.evidence.evidence_rule import EvidenceRule
from audit.finding import Basis
from audit.rule import Example
from reproduce.runlog import Event, RunLog

# Calibration on text that the model wrote itself, or on none, is no training data.
_OWN = re.compile(r"autoregress|self[-_ ]?gen|\bar\b|generat|random|synthetic|noise|skip|disabled", re.IGNORECASE)
_VALIDATION = re.compile(r"\bval(?:idation)?[-_ ](?:data|tokens|calib)", re.IGNORECASE)
# A call, not a definition, of what collects statistics for quantisation, with the beginning of its arguments.
_COLLECTOR = re.compile(r"(?:hessian|calib)[a-z_]{0,40}\(([^)]{1,300})")
_DEFINED = re.compile(r"\bdef [a-z_]{0,40}$")
_OF_VALIDATION = re.compile(r"\bval_(?:tokens|data|loader|dataset|seqs)\b")
_OF_TRAINING = re.compile(r"train_?(?:tokens|data|loader|dataset|seqs|files|shards|stream)")
OVERSHOOT = 2.0  # seconds past the limit that reviews have let pass

_LOG = """\
seed:1
step:5000/20000 train_loss:2.0 train_time:{ms}ms
stopping_early: wallclock_cap train_time:{ms}ms step:5000/20000
{line}
gptq:calibrated 68 layers in 9.0s
final_exact val_loss:2.00000000 val_bpb:1.18450000
"""
_TRAIN = "gptq:calibrating with training data..."
_GENERATED = "gptq:generating autoregressive calibration data (64 seqs x 2048 tokens)..."


class TCal(EvidenceRule):
    id = "T-CAL"
    title = "calibration after the clock"
    order = 22
    basis = Basis.RULING
    reference = "#569, #593, #606, #609, #615, #626, #639, #656, #706, #1028"
    forbids = "Calibrating quantisation or pruning on training data after the 600 seconds of training."
    why = "Everything must fit into training or evaluation, and evaluation may not read training data."
    comply = "Keep seconds back from the training clock for it, or calibrate on text that the model generates."
    VALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(ms=588_000, line=_TRAIN)},
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(ms=600_050, line=_GENERATED)},
    )
    INVALID: ClassVar[tuple[Example, ...]] = (
        {"train_gpt.py": "import torch\n", "train.log": _LOG.format(ms=600_050, line=_TRAIN)},
    )

    def weigh(self, evidence: Evidence) -> Iterator[Check]:
        limit = f"within {evidence.limits.train_seconds:g} s"
        passed: Check | None = None
        for run in evidence.reported:
            found = late_calibration(run)
            if found is None or ("train" not in found[0].text.lower() and _collects_validation(evidence)):
                continue
            if evidence.non_record and found[1] > evidence.limits.train_seconds + 5:
                continue  # without a limit on time; one that stops at the limit says that it keeps to it
            event, start, took = found
            over = start + (took or 0.0) - evidence.limits.train_seconds
            shown = f"{start:.1f} s + " + (f"{took:.1f} s" if took is not None else "a time not logged")
            if over > OVERSHOOT or (took is None and over > -0.5):
                # Where seconds were kept back but too few, a reader decides; where none were, the rule was not heeded.
                kept = evidence.limits.train_seconds - start > OVERSHOOT and over <= 10
                yield self.line(
                    Status.WARN if kept else Status.FAIL,
                    shown,
                    f"{evidence.name(run)}: {start:.1f} s are gone when calibration on training data begins"
                    + (f", it ends {over:.1f} s past the limit" if took is not None else ", too few are left for it"),
                    limit=limit,
                    file=evidence.place(run),
                    at=event.line,
                    start=start,
                    took=took,
                )
                return
            if took is None:
                continue
            passed = self.line(Status.PASS, shown, limit=limit, file=evidence.place(run), at=event.line)
        yield passed or self.line(Status.UNCHECKED, "no log times calibration on training data", limit=limit)


def late_calibration(run: RunLog) -> tuple[Event, float, float | None] | None:
    """``(its line, seconds gone when it began, seconds it took or None)``; adapting before it counts as time gone.

    None where the log does not say that training data were read after the clock stopped.
    """
    clock = next((event for event in run.events if event.kind == "clock"), None)
    if clock is None or run.train_seconds is None:
        return None
    gone = clock.values.get("train_time", run.train_seconds)
    begun: Event | None = None
    for event in run.events:
        if event.line <= clock.line:
            continue
        if event.kind == "adapted" and begun is None:
            gone += event.values.get("seconds", 0.0)
        elif event.kind == "calibration" and _reads_training(event.text):
            begun = begun or event
        elif event.kind in ("calibration", "calibrated") and (
            _OWN.search(event.text) or _VALIDATION.search(event.text)
        ):
            return None  # on text of its own making, or on validation tokens: no training data
        elif event.kind == "calibrated" and begun is not None:
            return begun, gone, event.values.get("seconds")
    return None


def _collects_validation(evidence: Evidence) -> bool:
    """Whether the shipped program hands validation tokens to its collector, where the log does not say which it read.

    That is another matter (D-VALCAL).
    """
    return any(
        _OF_VALIDATION.search(call[1])
        and not _OF_TRAINING.search(call[1])
        and not _DEFINED.search(program, max(call.start() - 45, 0), call.start())
        for program in evidence.programs
        for call in _COLLECTOR.finditer(program)
    )


def _reads_training(text: str) -> bool:
    if _OWN.search(text) or _VALIDATION.search(text):
        return False
    return bool(re.search(r"train|calibration data|calibrating with|batches|collecting hessians", text, re.IGNORECASE))
