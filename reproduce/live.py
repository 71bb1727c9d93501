"""Follows a growing log: which phase a run is in, its step, loss, speed and the time it has left.

The final figures come from ``reproduce.logs``; here a line is glimpsed once, as it arrives, and never read again.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path


class Phase(StrEnum):
    START = "start"
    WARMUP = "warm-up"
    TRAIN = "train"
    EVAL = "evaluate"
    DONE = "done"


@dataclass(frozen=True)
class Progress:
    """What the log told so far; times in seconds, ``fraction`` of the present phase in 0..1, None where unknown."""

    phase: Phase = Phase.START
    step: int = 0
    steps: int | None = None
    train_loss: float | None = None
    val_bpb: float | None = None
    stage: str = ""
    train_seconds: float | None = None
    step_seconds: float | None = None
    batch_tokens: int | None = None
    wallclock: float | None = None  # the trainer's own training limit
    seconds_left: float | None = None  # of the present phase
    fraction: float | None = None
    not_a_number: str | None = None  # the first line with a NaN or an infinite loss
    state: str = "running"  # or how the run ended, in the words of rundir.State
    note: str = ""

    @property
    def tokens_per_second(self) -> float | None:
        """Training tokens a second, where the log gives the batch and the step time."""
        if self.batch_tokens is None or not self.step_seconds:
            return None
        return self.batch_tokens / self.step_seconds


_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
_STEP = re.compile(r"\bstep[:\s=]+(\d+)(?:\s*/\s*(\d+))?", re.I)
_WARMUP = re.compile(r"warm[-_ ]?up[_ ]step[:\s=]+(\d+)(?:\s*/\s*(\d+))?", re.I)
_TRAIN_LOSS = re.compile(rf"\b(?:train_loss|loss)\s*[:=]\s*({_NUMBER})", re.I)
_VAL_LOSS = re.compile(rf"\bval_loss\s*[:=]\s*({_NUMBER})", re.I)
_BPB = re.compile(rf"\b(?:val_)?bpb\s*[:=]\s*({_NUMBER})", re.I)
_TRAIN_TIME = re.compile(r"\btrain_time\s*[:=]\s*([\d.]+)\s*(ms|s|m)?", re.I)
_STEP_TIME = re.compile(r"\bstep_avg\s*[:=]\s*([\d.]+)\s*(ms|s)?", re.I)
_TOKENS_RATE = re.compile(r"\b(?:tok(?:ens)?(?:/s|_s|_per_sec(?:ond)?))\s*[:=]\s*([\d.,]+)", re.I)
_BATCH = re.compile(r"\b(?:train_batch_tokens|batch)\s*[:=]\s*(\d+)")
_WALL = re.compile(r"\b(?:max_wallclock_seconds|wall)\s*[:=]\s*([\d.]+)")
_CHUNK = re.compile(r"(?:\[|windows:|chunks?[:= ])(\d+)/(\d+).*?(?:time|elapsed)\s*[:=]\s*([\d.]+)\s*(ms|s)\b", re.I)
_STAGE = re.compile(r"^eval:(\w+)", re.I)
_TRAINED = re.compile(
    r"stopping_early|peak memory|serialized model|^final_|eval_mode|ttt|sliding|gptq|quantiz|code size", re.I
)
_FINAL = re.compile(r"^\s*(final_\w+?)(?:_exact)?\s+val_loss", re.I)
_UNIT = {"ms": 1e-3, "s": 1.0, "m": 60.0, None: 1e-3, "": 1e-3}


def advance(progress: Progress, line: str) -> Progress:
    """``progress`` after one more line of the log. Lines over 2,000 characters are source code or noise: skipped."""
    line = line.strip()
    if not line or len(line) > 2000:
        return progress
    progress = _settings(progress, line)
    if match := _WARMUP.search(line):
        done, of = int(match[1]), int(match[2] or 0)
        return replace(progress, phase=Phase.WARMUP, fraction=min(done / of, 1.0) if of else None, seconds_left=None)
    step, train, val = _STEP.search(line), _TRAIN_LOSS.search(line), _VAL_LOSS.search(line)
    bpb = _BPB.search(line)
    values = [float(match[1]) for match in (train, val, bpb) if match]
    # Only a line of results counts: some trainers print their own source, where such words mean nothing.
    result = step is not None or _CHUNK.search(line) is not None or _FINAL.match(line) is not None
    if progress.not_a_number is None and result and any(not math.isfinite(value) for value in values):
        progress = replace(progress, not_a_number=line[:200])
    if step and (train or val) and progress.phase is not Phase.EVAL:
        return _trained(progress, line, step, train, bpb)
    if chunk := _CHUNK.search(line):
        done, of, seconds = int(chunk[1]), int(chunk[2]), float(chunk[3]) * _UNIT[chunk[4].lower()]
        stage = _STAGE.match(line)
        progress = replace(
            progress,
            phase=Phase.EVAL,
            stage=stage[1] if stage else progress.stage,
            fraction=min(done / of, 1.0) if of else None,
            seconds_left=seconds * (of - done) / done if 0 < done <= of else None,
        )
    elif progress.phase in (Phase.TRAIN, Phase.WARMUP) and _TRAINED.search(line):
        progress = replace(progress, phase=Phase.EVAL, fraction=None, seconds_left=None)
    if final := _FINAL.match(line):
        progress = replace(progress, phase=Phase.EVAL, stage=final[1], fraction=None, seconds_left=None)
    if bpb and math.isfinite(float(bpb[1])):
        progress = replace(progress, val_bpb=float(bpb[1]))
    return progress


def _settings(progress: Progress, line: str) -> Progress:
    if progress.phase is not Phase.START:
        return progress
    batch, wall = _BATCH.search(line), _WALL.search(line)
    if batch:
        progress = replace(progress, batch_tokens=int(batch[1]))
    if wall and float(wall[1]) > 0:
        progress = replace(progress, wallclock=float(wall[1]))
    return progress


def _trained(
    progress: Progress, line: str, step: re.Match[str], train: re.Match[str] | None, bpb: re.Match[str] | None
) -> Progress:
    done = int(step[1])
    steps = int(step[2]) if step[2] else progress.steps
    time, average, rate = _TRAIN_TIME.search(line), _STEP_TIME.search(line), _TOKENS_RATE.search(line)
    seconds = float(time[1]) * _UNIT[(time[2] or "").lower()] if time else progress.train_seconds
    each = float(average[1]) * _UNIT[(average[2] or "").lower()] if average else None
    if each is None and seconds and done:
        each = seconds / done
    batch = progress.batch_tokens
    if rate and each:
        batch = round(float(rate[1].replace(",", "")) * each)
    left, fraction = _remaining(done, steps, seconds, each, progress.wallclock)
    return replace(
        progress,
        phase=Phase.TRAIN,
        step=done,
        steps=steps,
        train_loss=float(train[1]) if train else progress.train_loss,
        val_bpb=float(bpb[1]) if bpb else progress.val_bpb,
        train_seconds=seconds,
        step_seconds=each or progress.step_seconds,
        batch_tokens=batch,
        seconds_left=left,
        fraction=fraction,
    )


def _remaining(
    done: int, steps: int | None, seconds: float | None, each: float | None, wallclock: float | None
) -> tuple[float | None, float | None]:
    """Seconds and fraction of training left to go: whichever comes first, the last step or the wall clock limit."""
    ends = []
    if steps and each:
        ends.append(((steps - done) * each, done / steps))
    if wallclock and seconds is not None:
        ends.append((wallclock - seconds, seconds / wallclock))
    if not ends:
        return None, min(done / steps, 1.0) if steps else None
    left, fraction = min(ends)
    return max(left, 0.0), min(fraction, 1.0)


class LogFollower:
    """Reads what was appended to a log since the last look, whole lines at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress = Progress()
        self.bytes_read = 0
        self._rest = b""

    def poll(self) -> bool:
        """Take in what is new; True where there was something. A log that is not there yet has nothing new."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.bytes_read)
                new = file.read()
        except FileNotFoundError:
            return False
        if not new:
            return False
        self.bytes_read += len(new)
        *lines, self._rest = (self._rest + new).replace(b"\r", b"\n").split(b"\n")
        self._rest = self._rest[-4000:]
        for line in lines:
            self.progress = advance(self.progress, line.decode("utf-8", "replace"))
        return True
