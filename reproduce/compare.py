"""Says seed by seed and for the mean whether a rerun reproduces a claim, within a bound whose reason is stated."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reproduce.claims import Claims, read_claims
from reproduce.errors import InputError
from reproduce.folder import open_folder
from reproduce.rundir import open_run_directory
from reproduce.runlog import RunLog
from reproduce.runner import table_of
from reproduce.statistics import Test, welch_below
from reproduce.table import SeedTable, from_logs


@dataclass(frozen=True)
class Bound:
    """How far a rerun of a seed may lie from the claim, in bits per byte; ``basis`` says where that comes from."""

    kind: str
    per_seed: float
    basis: str

    def of_mean(self, seeds: int) -> float:
        """The bound of a mean over ``seeds`` independent runs."""
        return self.per_seed / math.sqrt(seeds)


# Measured over the contest's public logs (benchmarks/seed_spread.py prints these figures again).
DETERMINISTIC = Bound(
    "deterministic evaluation",
    0.002,
    "three times the median standard deviation between seeds (0.00065) in 1,508 public evaluations; "
    "a rerun on a fresh machine moved it by 0.0002 (#1453)",
)
TEST_TIME_TRAINING = Bound(
    "test-time training or n-gram cache",
    0.006,
    "in 95% of 437 public evaluations the seeds have a smaller standard deviation (0.0059)",
)
MIXER = Bound(
    "online mixer",
    0.016,
    "twice the published drift of the Hedge mixer between machines, 0.008 with the same weights; "
    "its seeds differ by 0.013 (#1453)",
)
_MIXER = re.compile(r"mix|hedge", re.IGNORECASE)
_ADAPTS = re.compile(r"ttt|n[-_]?gram|slot|ppm|cache|online", re.IGNORECASE)


def bound_of(stage: str) -> Bound:
    """The bound for an evaluation, by the name its log gives it."""
    if _MIXER.search(stage):
        return MIXER
    return TEST_TIME_TRAINING if _ADAPTS.search(stage) else DETERMINISTIC


class Verdict(StrEnum):
    REPRODUCED = "reproduced"
    WORSE = "worse"
    BETTER = "better"  # as suspicious: something else was run
    UNCHECKED = "unchecked"  # one side has no figure


@dataclass(frozen=True)
class Difference:
    """One figure on both sides, bits per byte; ``seed`` is None for the mean, ``difference`` is ours minus claimed."""

    stage: str
    seed: int | None
    claimed: float | None
    ours: float | None
    bound: float
    verdict: Verdict

    @property
    def difference(self) -> float | None:
        return None if self.claimed is None or self.ours is None else self.ours - self.claimed


@dataclass(frozen=True)
class Reproduction:
    """A rerun beside a claim: each stage both sides have, the headline last; ``worse`` tests the headline's means."""

    against: str
    stage: str
    rows: tuple[Difference, ...]
    means: tuple[Difference, ...]
    worse: Test | None  # one-sided: the claim lies below the rerun
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """That of the headline's mean."""
        return next((mean.verdict for mean in self.means if mean.stage == self.stage), Verdict.UNCHECKED)


@dataclass(frozen=True)
class Target:
    """What is to be reproduced: scores by stage and seed, and the claimed mean of the headline where there is one."""

    name: str
    stage: str | None  # the headline's, where known
    scores: Mapping[str, Mapping[int, float]]
    mean: float | None = None
    headline: Mapping[int, float] | None = None


def read_target(path: Path) -> Target:
    """The claim at ``path``: a run directory, a submission folder with claims or logs, or a submission.json.

    Raises InputError where there is nothing to compare with.
    """
    if (path / "plan.json").is_file():
        table = table_of(open_run_directory(path))
        if not table.runs:
            raise InputError(path, "a run directory with a finished seed", "none")
        return Target(str(path), table.stage, _by_stage(table))
    folder = open_folder(path)
    claims = read_claims(folder)
    try:
        table = from_logs(folder)
    except InputError:
        table = SeedTable((), "", None)
    headline = _claimed_seeds(claims)
    if not headline and claims.val_bpb is None and not table.runs:
        raise InputError(path, "claimed scores or logs to compare with", "neither")
    return Target(folder.name, table.stage or None, _by_stage(table), claims.val_bpb, headline)


def compare(ours: SeedTable, target: Target) -> Reproduction:
    """``ours`` beside ``target``. Stages are matched by name; the claimed headline is compared with our headline."""
    mine = _by_stage(ours)
    notes = []
    theirs = {stage: dict(scores) for stage, scores in target.scores.items() if stage in mine}
    if target.headline:
        theirs[ours.stage] = {**theirs.get(ours.stage, {}), **target.headline}
    if target.stage is not None and ours.stage and target.stage != ours.stage:
        notes.append(f"the claim ends in {target.stage}, the rerun in {ours.stage}")
    stages = [stage for stage in mine if stage in theirs and stage != ours.stage]
    rows: list[Difference] = []
    means: list[Difference] = []
    for stage in [*stages, ours.stage] if ours.stage else stages:
        bound, claimed, run = bound_of(stage), theirs.get(stage, {}), mine.get(stage, {})
        seeds = list(dict.fromkeys([*run, *claimed]))
        rows += [_difference(stage, seed, claimed.get(seed), run.get(seed), bound.per_seed) for seed in seeds]
        shared = [seed for seed in seeds if seed in claimed and seed in run]
        whole = target.mean if stage == ours.stage and not shared else None
        claimed_mean = whole if whole is not None else _mean([claimed[seed] for seed in shared])
        our_mean = _mean(list(run.values()) if whole is not None else [run[seed] for seed in shared])
        count = max(len(shared) or len(run), 1)
        means.append(_difference(stage, None, claimed_mean, our_mean, bound.of_mean(count)))
    final_claim, final_run = list(theirs.get(ours.stage, {}).values()), list(mine.get(ours.stage, {}).values())
    worse = welch_below(final_claim, final_run) if final_claim and final_run else None
    return Reproduction(target.name, ours.stage, tuple(rows), tuple(means), worse, tuple(notes))


def _difference(stage: str, seed: int | None, claimed: float | None, ours: float | None, bound: float) -> Difference:
    if claimed is None or ours is None:
        return Difference(stage, seed, claimed, ours, bound, Verdict.UNCHECKED)
    # Both figures were rounded to what the log prints: a hair is no difference.
    if abs(ours - claimed) <= bound + 1e-9:
        verdict = Verdict.REPRODUCED
    else:
        verdict = Verdict.WORSE if ours > claimed else Verdict.BETTER
    return Difference(stage, seed, claimed, ours, bound, verdict)


def _by_stage(table: SeedTable) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for run in table.runs:
        if run.seed is None:
            continue
        for stage, value in _scores(run).items():
            found.setdefault(stage, {})[run.seed] = value
    return found


def _scores(run: RunLog) -> dict[str, float]:
    """The last val_bpb of each evaluation after training; the headline under its own stage."""
    scores = {metric.stage: metric.val_bpb for metric in run.metrics if metric.val_bpb is not None}
    if run.headline is not None and run.headline.val_bpb is not None:
        scores[run.headline.stage] = run.headline.val_bpb
    # Trainers print a result twice, rounded and in full (``x`` and ``x_exact``): the full one stands for both.
    return {stage: value for stage, value in scores.items() if f"{stage}_exact" not in scores}


def _claimed_seeds(claims: Claims) -> dict[int, float]:
    return {one.seed: one.val_bpb for one in claims.seeds if one.seed is not None and one.val_bpb is not None}


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
