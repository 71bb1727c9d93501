"""What a run directory shows at this moment, read from its files alone, for people who watch somebody else's run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from reproduce.errors import InputError
from reproduce.live import LogFollower, Progress
from reproduce.machine import machine_line
from reproduce.rundir import LOG, Plan, RunDirectory, SeedRun, State, open_run_directory
from reproduce.runlog import RunLog
from reproduce.statistics import Summary, summarise


@dataclass(frozen=True)
class SeedView:
    """One seed: what is recorded of it, how its log goes, its curves; ``quiet`` is seconds since the log last grew."""

    run: SeedRun
    progress: Progress = field(default_factory=Progress)
    log: RunLog | None = None
    quiet: float | None = None

    @property
    def val_bpb(self) -> float | None:
        """The score, once there is one."""
        return self.log.headline.val_bpb if self.log is not None and self.log.headline is not None else None


@dataclass(frozen=True)
class Snapshot:
    """A run directory as it stands."""

    path: Path
    plan: Plan
    seeds: tuple[SeedView, ...]

    @property
    def summary(self) -> Summary | None:
        """Over the scores of the finished seeds; None while there is none."""
        scores = [seed.val_bpb for seed in self.seeds if seed.run.state is State.FINISHED and seed.val_bpb is not None]
        return summarise(scores) if scores else None

    @property
    def machines(self) -> tuple[str, ...]:
        """What the seeds ran on, a line a machine."""
        return tuple(dict.fromkeys(machine_line(seed.run.machine) for seed in self.seeds if seed.run.machine))

    @property
    def over(self) -> bool:
        """Whether no seed is waiting or running any more."""
        return all(seed.run.state not in (State.PENDING, State.RUNNING) for seed in self.seeds)


class Watcher:
    """Looks at a run directory again and again; a log is read on from where it was left."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where ``path`` is no run directory."""
        self.directory = open_run_directory(path)
        self.directory.plan()
        self._followers: dict[tuple[int, int], LogFollower] = {}
        self._logs: dict[Path, tuple[tuple[int, int], RunLog | None]] = {}

    def look(self) -> Snapshot:
        """The present state. Raises InputError where the plan has gone."""
        plan = self.directory.plan()
        return Snapshot(self.directory.path, plan, tuple(self._seed(self.directory, seed) for seed in plan.seeds))

    def _seed(self, directory: RunDirectory, seed: int) -> SeedView:
        run = directory.read(seed)
        path = directory.seed_folder(seed) / LOG
        try:
            status = path.stat()
        except OSError:
            return SeedView(run)
        follower = self._followers.setdefault((seed, run.attempt), LogFollower(path))
        follower.poll()
        stamp = (status.st_mtime_ns, status.st_size)
        if self._logs.get(path, (None, None))[0] != stamp:
            try:
                self._logs[path] = stamp, directory.read_log(run)
            except InputError:  # a log of no lines yet
                self._logs[path] = stamp, None
        quiet = max(0.0, time.time() - status.st_mtime) if run.state is State.RUNNING else None
        return SeedView(run, follower.progress, self._logs[path][1], quiet)
