"""Puts the runs of one submission into one table: a score a seed, mean and spread."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
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
    if not folder.logs and not runs:
        raise InputError(folder.path, "training logs with a final val_bpb", "no log file")
    notes: list[str] = []
    complete = [run for run in runs if run.complete]
    weak = [run for run in runs if not run.complete and run.headline is not None]
    if not complete:
        complete, weak = weak, []
    cut = [run for run in runs if not run.complete and run not in complete and (run.curve or run.steps)]
    claimed = {seed.seed for seed in claims.seeds if seed.seed is not None} | set(claims.seed_list)
    chosen = _choose(complete, claims, claimed, notes)
    covered = {_label(run) for run in chosen}
    shapes = {_shape(run) for run in chosen}
    for run in cut:
        label = _label(run)
        # Where no seeds are claimed, a log named like those that count (train_seed3 beside train_seed1) counts too.
        wanted = label in claimed if claimed and isinstance(label, int) else _shape(run) in shapes or not chosen
        if label not in covered and wanted:
            raise InputError(run.path, "a log with a final val_bpb", _where_it_stops(run))
        notes.append(f"{Path(run.path).name}: no final evaluation ({_where_it_stops(run)}), left out")
    if not chosen:
        raise InputError(folder.logs[0], "a log with a final val_bpb", "none in any log of the folder")
    for run in chosen:
        if run.named_seed is not None and run.named_seed != run.seed:
            notes.append(f"{Path(run.path).name}: the log says that it ran seed {run.seed}")
    said: dict[object, float] = {seed.seed: seed.val_bpb for seed in claims.seeds if seed.val_bpb is not None}
    if not said and len(chosen) == 1 and claims.val_bpb is not None:
        said = {_label(chosen[0]): claims.val_bpb}
    elif not said and claims.val_bpb is not None:
        said = _stage_of_the_best(chosen, claims.val_bpb)
    return tabulate([_claimed_stage(run, said, notes) for run in chosen], notes)


def _stage_of_the_best(runs: Sequence[RunLog], value: float) -> dict[object, float]:
    """Each run's score in the evaluation whose score of one run is claimed to the last digit; empty where none is."""
    for run in runs:
        metric = find_metric(run, value, tolerance=1e-8)
        if metric is not None and metric.digits >= 6 and metric.stage and not is_diagnostic(metric.stage):
            found = {_label(r): m.val_bpb for r in runs for m in r.metrics if m.stage == metric.stage}
            return {label: score for label, score in found.items() if score is not None}
    return {}


def _label(run: RunLog) -> object:
    """What tells a run from the others: the seed its file is named after, the seed it printed, or its place."""
    if run.named_seed is not None:
        return run.named_seed
    return run.seed if run.seed is not None else f"{Path(run.path).name} line {run.first_line}"


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
    for run in _without_copies(runs):
        by_seed.setdefault(_label(run), []).append(run)
    if claimed and any(seed in claimed for seed in by_seed):
        left = [str(seed) for seed in by_seed if seed not in claimed]
        if left:
            notes.append("not among the claimed seeds, left out: " + ", ".join(left[:8]))
        by_seed = {seed: found for seed, found in by_seed.items() if seed in claimed}
    unknown = [label for label in by_seed if not isinstance(label, int)]
    agreeing = [label for label in unknown if any(_agrees(run, claims) for run in by_seed[label])]
    if agreeing and len(unknown) > len(agreeing):
        notes.append("logs without a seed whose scores are not claimed are left out")
        by_seed = {label: found for label, found in by_seed.items() if label not in unknown or label in agreeing}
    by_seed = _without_ablations(by_seed, claims, notes)
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


def _without_copies(runs: Sequence[RunLog]) -> list[RunLog]:
    """Leave out logs without a seed that are copies of one with a seed (train.log beside train_seed42.log)."""
    named = {
        (run.headline.val_bpb, run.headline.val_loss, run.steps)
        for run in runs
        if run.headline is not None and isinstance(_label(run), int)
    }
    return [
        run
        for run in runs
        if isinstance(_label(run), int)
        or run.headline is None
        or (run.headline.val_bpb, run.headline.val_loss, run.steps) not in named
    ]


def _without_ablations(
    by_seed: dict[object, list[RunLog]], claims: Claims, notes: list[str]
) -> dict[object, list[RunLog]]:
    """Leave out logs named otherwise than the one whose score is claimed, save those named plainly after training."""
    if any(seed.val_bpb is not None for seed in claims.seeds):
        return by_seed
    shapes = {_shape(run) for found in by_seed.values() for run in found if _agrees(run, claims)}
    if not shapes:
        return by_seed
    plain = re.compile(r"(?:train|log|run|logs)(?:_?log|ing)?[_-]?(?:seed|s)?[_-]?#?\.(?:log|txt|out)$", re.IGNORECASE)
    kept = {
        label: runs
        for label, found in by_seed.items()
        if (runs := [run for run in found if _shape(run) in shapes or plain.match(_shape(run))])
    }
    if sum(map(len, kept.values())) < sum(map(len, by_seed.values())):
        notes.append("logs named otherwise than the one whose score is claimed are left out")
    return kept


def _agrees(run: RunLog, claims: Claims) -> bool:
    """Whether a claimed score stands in the run: its seed's, or the only one where none is claimed by seed."""
    said = [s.val_bpb for s in claims.seeds if s.val_bpb is not None and s.seed in (None, run.seed, run.named_seed)]
    if not any(seed.val_bpb is not None for seed in claims.seeds) and claims.val_bpb is not None:
        said = [claims.val_bpb]
    return any(find_metric(run, value) is not None for value in said)


def find_metric(run: RunLog, val_bpb: float, tolerance: float = 5.1e-5) -> Metric | None:
    """The evaluation of a run that reports ``val_bpb`` within ``tolerance``; the headline first, then the last such."""
    if run.headline and run.headline.val_bpb is not None and abs(run.headline.val_bpb - val_bpb) <= tolerance:
        return run.headline
    for metric in reversed(run.metrics):
        if metric.val_bpb is not None and math.isfinite(metric.val_bpb) and abs(metric.val_bpb - val_bpb) <= tolerance:
            return metric
    return None


def _claimed_stage(run: RunLog, said: Mapping[object, float], notes: list[str]) -> RunLog:
    """The run with the evaluation that is claimed for its seed as headline, where it has one that is no diagnostic."""
    value = said.get(_label(run), said.get(run.seed))
    metric = find_metric(run, value) if value is not None else None
    if metric is None or metric is run.headline or is_diagnostic(metric.stage):
        return run
    notes.append(f"{Path(run.path).name}: ends with another evaluation than {metric.stage}, which is claimed")
    return replace(run, headline=metric, headline_why="the evaluation that the submission claims")
