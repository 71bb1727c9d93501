"""Puts the runs of one submission into one table: a score a seed, mean and spread."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reproduce.errors import InputError
from reproduce.headline import is_diagnostic
from reproduce.logs import read_runs
from reproduce.runlog import Metric, RunLog
from reproduce.statistics import Summary, summarise

if TYPE_CHECKING:
    from reproduce.claims import Claims
    from reproduce.folder import SubmissionFolder


@dataclass(frozen=True)
class SeedTable:
    """One run a seed, in the order of the logs; ``stage`` is the evaluation they are compared by.

    ``summary`` is over the headline val_bpb of the runs; None where no run has one.
    """

    runs: tuple[RunLog, ...]
    stage: str
    summary: Summary | None
    notes: tuple[str, ...] = ()


def tabulate(runs: Sequence[RunLog], notes: Sequence[str] = ()) -> SeedTable:
    """The table of runs that are known to belong together; warns below three seeds."""
    said = list(notes)
    scores = [run.headline.val_bpb for run in runs if run.headline and run.headline.val_bpb is not None]
    stages = list(dict.fromkeys(run.headline.stage for run in runs if run.headline))
    if len(stages) > 1:
        said.append("the runs end in different evaluations: " + ", ".join(stages))
    if 0 < len(scores) < 3:
        said.append(f"{len(scores)} seed(s): the contest asks for three")
    return SeedTable(tuple(runs), stages[0] if stages else "", summarise(scores) if scores else None, tuple(said))


def from_logs(folder: SubmissionFolder) -> SeedTable:
    """The table from the logs that a submission folder holds.

    Raises InputError where the folder has no log with a score, and where the log of a seed stops before its final
    evaluation while no other log has that seed's score.
    """
    from reproduce.claims import read_claims

    return table_of(folder, read_all(folder), read_claims(folder))


def read_all(folder: SubmissionFolder) -> tuple[RunLog, ...]:
    """Every run in every log of the folder; a log that cannot be read is left out."""
    runs: list[RunLog] = []
    for path in folder.logs:
        try:
            runs += read_runs(path)
        except InputError:
            continue
    return tuple(runs)


def table_of(folder: SubmissionFolder, runs: Sequence[RunLog], claims: Claims) -> SeedTable:
    """Choose among ``runs`` those that the submission reports; see from_logs for the errors."""
    if not folder.logs:
        raise InputError(folder.path, "training logs with a final val_bpb", "no log file")
    notes: list[str] = []
    complete = [run for run in runs if run.complete]
    weak = [run for run in runs if not run.complete and run.headline is not None]
    if not complete:
        complete, weak = weak, []
    cut = [run for run in runs if not run.complete and run not in complete and (run.curve or run.steps)]
    claimed = {seed.seed for seed in claims.seeds if seed.seed is not None} | set(claims.seed_list)
    chosen = _choose(complete, claims, claimed, notes)
    covered = {run.seed for run in chosen}
    shapes = {_shape(run) for run in chosen}
    for run in cut:
        # Where no seeds are claimed, a log named like those that count (train_seed3 beside train_seed1) counts too.
        wanted = run.seed in claimed if claimed and run.seed is not None else _shape(run) in shapes or not chosen
        if run.seed not in covered and wanted:
            raise InputError(run.path, "a log with a final val_bpb", _where_it_stops(run))
        notes.append(f"{Path(run.path).name}: no final evaluation ({_where_it_stops(run)}), left out")
    if not chosen:
        raise InputError(folder.logs[0], "a log with a final val_bpb", "none in any log of the folder")
    return tabulate(_same_stage(chosen, claims, notes), notes)


def _shape(run: RunLog) -> str:
    return re.sub(r"\d+", "#", Path(run.path).name)


def _where_it_stops(run: RunLog) -> str:
    if run.failures:
        return f"a run that ended with {run.failures[-1]}"
    if run.steps is not None:
        planned = f" of {run.planned_steps}" if run.planned_steps else ""
        return f"a log that stops at step {run.steps}{planned}"
    return "a log that stops before its first result"


def _choose(runs: Sequence[RunLog], claims: Claims, claimed: set[int], notes: list[str]) -> list[RunLog]:
    """One run a seed: of several the one whose score was claimed, else the last in a file named after training."""
    by_seed: dict[object, list[RunLog]] = {}
    for run in runs:
        by_seed.setdefault(run.seed if run.seed is not None else run.path, []).append(run)
    if claimed and any(seed in claimed for seed in by_seed):
        left = [str(seed) for seed in by_seed if seed not in claimed]
        if left:
            notes.append("not among the claimed seeds, left out: " + ", ".join(Path(name).name for name in left[:8]))
        by_seed = {seed: found for seed, found in by_seed.items() if seed in claimed}
    chosen = []
    for seed, found in by_seed.items():
        matching = [run for run in found if _agrees(run, claims)]
        pool = matching or found
        named = [run for run in pool if "train" in Path(run.path).name.lower() or "seed" in Path(run.path).name.lower()]
        run = (named or pool)[-1]
        if len(found) > 1:
            notes.append(f"seed {seed}: {len(found)} runs in the logs, {Path(run.path).name} is used")
        chosen.append(run)
    return chosen


def _agrees(run: RunLog, claims: Claims) -> bool:
    said = [seed.val_bpb for seed in claims.seeds if seed.val_bpb is not None and seed.seed in (None, run.seed)]
    return any(find_metric(run, value) is not None for value in said)


def find_metric(run: RunLog, val_bpb: float, tolerance: float = 5.1e-5) -> Metric | None:
    """The evaluation of a run that reports ``val_bpb`` within ``tolerance``; the headline first, then the last such."""
    if run.headline and run.headline.val_bpb is not None and abs(run.headline.val_bpb - val_bpb) <= tolerance:
        return run.headline
    for metric in reversed(run.metrics):
        if metric.val_bpb is not None and math.isfinite(metric.val_bpb) and abs(metric.val_bpb - val_bpb) <= tolerance:
            return metric
    return None


def _same_stage(runs: Sequence[RunLog], claims: Claims, notes: list[str]) -> list[RunLog]:
    """Compare the runs by the evaluation that was claimed, where every run has it and it is not a diagnostic."""
    said = {seed.seed: seed.val_bpb for seed in claims.seeds if seed.val_bpb is not None}
    found: list[RunLog] = []
    for run in runs:
        value = said.get(run.seed)
        metric = find_metric(run, value) if value is not None else None
        if metric is None or metric is run.headline or is_diagnostic(metric.stage):
            return list(runs)
        found.append(replace(run, headline=metric, headline_why="the evaluation that the submission claims"))
    if found:
        notes.append(
            f"the logs end in another evaluation; {found[0].headline.stage if found[0].headline else ''} is claimed"
        )
    return found
