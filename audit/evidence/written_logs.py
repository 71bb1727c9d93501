"""Tells logs that runs have written from logs that were edited: lines that two seeds share, clocks that run back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from audit.evidence.splits import ratio
from reproduce import logfigures as figures
from reproduce.errors import InputError
from reproduce.logtext import LineReader
from reproduce.runlog import Metric, RunLog, Step

MEASURED_DIGITS = 8  # of loss, score and milliseconds on one line: two runs do not share them by chance
SHARED_LINES, SHARED_PART = 10, 0.5  # measured; runs of different seeds share none to three of a hundred
FIRST_STEPS = 10  # before them seeds still agree
CLOCK_BACK = 10.0  # seconds; a clock printed in tenths of a minute jumps by six
ODD_PAIR = 5e-4  # of the ratio of loss and score; runs of one script on one split agree within 3.1e-4 (measured)
_LINES = 20_000  # of a log that are compared

_OF_LOSS = re.compile(r"loss|bpb|nll|ppl|^(?:bl|bb|rl|rb)$")
_WORDS = ("loss", "bpb", "nll", "ppl", "bl:", "BPB")


@dataclass(frozen=True)
class Shared:
    """Two runs of which ``lines`` measured lines of ``of`` are equal to the last digit; ``example`` is one."""

    one: RunLog
    other: RunLog
    lines: int
    of: int
    example: str


@dataclass(frozen=True)
class OddPair:
    """A stage whose loss and score imply other bytes per token in one run than in the others."""

    run: RunLog
    metric: Metric
    ratio: float
    usual: float


def shared_lines(runs: Sequence[RunLog]) -> Shared | None:
    """Two runs of different seeds most of whose measured lines are equal, which no two runs' are; None without such."""
    seeds = [run for run in runs if run.seed is not None][:6]
    for one, other in itertools.combinations(seeds, 2):
        if one.seed == other.seed:
            continue
        ours, theirs = (_measured(run.path, run.first_line, run.last_line) for run in (one, other))
        same, least = ours & theirs, min(len(ours), len(theirs))
        if len(same) >= SHARED_LINES and len(same) >= SHARED_PART * least:
            return Shared(one, other, len(same), least, min(same))
    return None


@lru_cache(maxsize=16)
def _measured(path: str, first: int, last: int) -> frozenset[str]:
    """The lines of a run that carry so many digits of loss, score and milliseconds that chance repeats none."""
    found: set[str] = set()
    try:
        for number, line in LineReader(path):
            if number > last or len(found) >= _LINES:
                break
            if number >= first and any(word in line for word in _WORDS) and _digits(line) >= MEASURED_DIGITS:
                found.add(" ".join(line.split())[:300])
    except InputError:
        return frozenset()
    return frozenset(found)


def _digits(line: str) -> int:
    """Digits of measurements on a line; none on one of the first steps, or where no loss is printed."""
    step = figures.step_of(line)
    if step is not None and step[0] <= FIRST_STEPS:
        return 0
    losses = [p for p in figures.pairs(line[:400]) if _OF_LOSS.search(p.key) and "." in p.text and p.value > 0]
    times = [p for p in figures.pairs(line[:400]) if p.unit.lower() == "ms"]
    if not losses:
        return 0
    return sum(p.digits for p in losses) + sum(len(p.text.replace(".", "")) for p in times)


def clock_back(run: RunLog) -> tuple[Step, Step] | None:
    """Two steps in their order between which the trainer's clock runs back; None where it never does.

    A step counter that falls as well is another run in the same file, or one that was resumed.
    """
    steps = [step for step in run.curve if step.train_seconds is not None and step.step > FIRST_STEPS]
    for before, after in itertools.pairwise(steps):
        if after.step > before.step and (before.train_seconds or 0.0) - (after.train_seconds or 0.0) > CLOCK_BACK:
            return before, after
    return None


def odd_pair(runs: Sequence[RunLog]) -> OddPair | None:
    """The evaluation of one run whose loss and score do not belong together as those of the other runs do."""
    stages: dict[str, list[tuple[float, RunLog, Metric]]] = {}
    for run in runs:
        for metric in run.metrics:
            value = ratio(metric) if metric.digits >= 6 else None
            if value:
                stages.setdefault(metric.stage, []).append((value, run, metric))
    for found in reversed(stages.values()):
        if len({id(run) for _, run, _ in found}) < 3:
            continue  # of two nobody knows which is the odd one
        ordered = sorted(value for value, _, _ in found)
        usual = ordered[len(ordered) // 2]
        value, run, metric = max(found, key=lambda item: abs(item[0] / usual - 1))
        if ODD_PAIR < abs(value / usual - 1) < 0.02:  # more is another table or tokenizer: M-BYTES weighs it
            return OddPair(run, metric, value, usual)
    return None
