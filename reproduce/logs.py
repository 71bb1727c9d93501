"""Reads any trainer's log into its runs, in one pass and constant memory."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from reproduce import logfigures as figures
from reproduce.errors import InputError
from reproduce.logtext import LineReader
from reproduce.run_reader import BANNER, RunReader
from reproduce.runlog import RunLog

SOURCE_KEPT = 4 << 20  # characters of printed source kept

_CODE = re.compile(r"(?:from [\w.]+ import |import [\w.]+)")
_CODE_OPENS = re.compile(r"(?:from [\w.]+ import |import [\w.]+|#|\"|'|@|def |class |\ufeff)")
# Lines that only a run prints: they end a printed source whose closing rule is missing.
_NOT_CODE = re.compile(
    r"(?:Running P|world_size:\d|step:\d|train_loader:|val_loader:|model_params:\d|seed:\d|warmup_step:\d|"
    r"logs/\S+\.txt|val_bpb:enabled|final_\w+ val_loss:\d|\d+/\d+ (?:val|train)_loss: \d|Python \d)"
)
_FILE_SEED = re.compile(r"(?:seed|(?<![a-z])s)[_\-=]?(\d{1,10})(?!\d)", re.IGNORECASE)


class _Reader:
    """Splits the lines of a file into runs and printed sources."""

    def __init__(self) -> None:
        self.runs = [RunReader(1)]
        self.opening: list[tuple[int, str]] = []  # lines that may begin a printed source: comments before its imports
        self.in_source = False

    @property
    def run(self) -> RunReader:
        return self.runs[-1]

    def take(self, number: int, line: str) -> None:
        if self.in_source:
            if (line.startswith("=" * 60) and not line.strip("= ")) or _NOT_CODE.match(line):
                self.in_source = False
            else:
                if self.run.source_size < SOURCE_KEPT:
                    self.run.source.append(line)
                    self.run.source_size += len(line) + 1
                return
        if self.opening:
            if _CODE.match(line):
                self._open_source(number)
                self.run.source += [text for _, text in self.opening] + [line]
                self.opening = []
                return
            if len(self.opening) < 300 and not _NOT_CODE.match(line) and not line.startswith("=" * 20):
                self.opening.append((number, line))
                return
            self.flush()
        if _CODE_OPENS.match(line):
            if _CODE.match(line.lstrip("\ufeff")):
                self._open_source(number)
                self.run.source.append(line)
                return
            if not figures.pairs(line):
                self.opening.append((number, line))
                return
        self._line(number, line)

    def flush(self) -> None:
        """The lines held back were no source: read them as what they are."""
        held, self.opening = self.opening, []
        for number, line in held:
            self._line(number, line)

    def _open_source(self, number: int) -> None:
        self._begin(number)
        if self.run.source:  # printed twice, to the console and to the file: the later one stands
            self.run.source, self.run.source_size = [], 0
        self.in_source = True

    def _begin(self, number: int) -> None:
        if self.run.started:
            self.runs.append(RunReader(number))

    def _line(self, number: int, line: str) -> None:
        if not line.strip():
            return
        if line.startswith(("logs/", "Hyperparameters:")) or "Setting OMP_NUM_THREADS" in line:
            self._begin(number)
        elif "eed" in line[:100] or "EED" in line[:100]:
            banner = BANNER.match(line, 0, 200)
            if banner and self.run.metrics and int(banner[1]) != self.run.seed:
                self._begin(number)
        elif self.run.metrics and self.run.last_step is not None and self.run.last_step.step > 1:
            step = figures.step_of(line)
            if step is not None and step[0] in (0, 1) and "loss" in line.lower():
                self._begin(number)
        self.run.take(number, line)

    def finish(self) -> list[RunReader]:
        """The runs of the file: evaluations started separately are joined to the training they belong to."""
        self.flush()
        kept: list[RunReader] = []
        for run in self.runs:
            before = kept[-1] if kept else None
            if before and run.metrics and before.printed_again_by(run):
                before.last_line = run.last_line
                before.source, before.gpu = before.source or run.source, before.gpu or run.gpu
                before.settings = {**run.settings, **before.settings}
            elif before and not run.curve and (run.seed in (None, before.seed) or before.seed is None):
                before.absorb(run)
            elif before and not before.started:
                run.first_line = before.first_line
                kept[-1] = run
            else:
                kept.append(run)
        return kept


def read_runs(path: str | Path) -> tuple[RunLog, ...]:
    """Every run in a log file, in order; at least one.

    Raises InputError where the file is missing, empty or unreadable. Figures that cannot be read become warnings.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(path, "a log file", "a folder")
    lines, reader = LineReader(path), _Reader()
    for number, line in lines:
        reader.take(number, line)
    if lines.size == 0:
        raise InputError(path, "a training log", "an empty file")
    runs = reader.finish()
    if lines.cut:
        runs[0].warn(f"{lines.cut} line(s) longer than 2 MiB were cut")
    if lines.nuls:
        runs[0].warn(f"{lines.nuls} zero bytes were dropped")
    found = [run.result(str(path)) for run in runs]
    match = _FILE_SEED.search(path.stem)
    if match and len(found) == 1:
        named = int(match[1])
        seed, origin = (found[0].seed, "log") if found[0].seed is not None else (named, "file name")
        found = [replace(found[0], seed=seed, seed_from=origin, named_seed=named)]
    return tuple(found)


def read_log(path: str | Path) -> RunLog:
    """The run that a log file ends with: the last one with a headline; a warning says if the file holds others.

    Raises InputError where the file is missing, empty or unreadable.
    """
    runs = read_runs(path)
    scored = [run for run in runs if run.headline is not None]
    run = scored[-1] if scored else runs[-1]
    if len(runs) > 1:
        run = replace(run, warnings=(*run.warnings, f"the file holds {len(runs)} runs; this is the last scored one"))
    return run
