"""The run directory: what is to be run, how each seed fared, and the lock that keeps a second harness out.

runs/<name>/plan.json            the entry, its files by hash, the command, the environment: the same for every seed
            .lock  owner.json    held while a harness works here; who it is
            <seed>/run.json      state, exit code, times, machine, artifact: replaced as a whole, never in part
                   train.log     appended by the trainer itself while it runs
                   train.1.log   the log of an earlier attempt
                   artifact/     what the run was for
                   work/<entry>/ the working copy, while it is needed
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reproduce.durable import read_json, sha256, write_json
from reproduce.errors import InputError
from reproduce.logs import read_log
from reproduce.runlog import RunLog
from reproduce.workcopy import StoredFile

FORMAT = 1
LOG = "train.log"


class State(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"  # exit code other than 0, or no result in the log
    TIMEOUT = "over limit"  # of a phase, of the whole, or silent for too long
    NOT_A_NUMBER = "not a number"
    LOST = "lost"  # the harness or its machine went away in the middle
    STOPPED = "stopped"  # by the person at the keyboard


@dataclass(frozen=True)
class Plan:
    """What is run, the same for every seed; two plans with one ``identity`` are the same experiment."""

    name: str
    folder: str
    command: str
    env: dict[str, str]
    inputs: tuple[StoredFile, ...]
    seeds: tuple[int, ...]
    isolation: str = "none"  # or "sandbox"
    commit: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What may not change between two visits to one run directory."""
        return {
            "command": self.command,
            "environment": dict(self.env),
            "input files": {file.path: file.sha256 for file in self.inputs},
            "isolation": self.isolation,
        }


@dataclass(frozen=True)
class SeedRun:
    """``run.json``: one seed as it stands. Times in seconds on a monotonic clock, dates in UTC, sizes in bytes."""

    seed: int
    state: State = State.PENDING
    why: str = ""
    attempt: int = 0
    token: str = ""  # marks the processes of the running attempt
    pid: int | None = None
    started: str | None = None
    ended: str | None = None
    seconds: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    exit_code: int | None = None
    peak_memory_bytes: int | None = None
    argv: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    log: StoredFile | None = None
    artifact: StoredFile | None = None
    outputs: tuple[StoredFile, ...] = ()  # every file the run left, kept or not
    earlier: tuple[dict[str, Any], ...] = ()  # attempts before this one: state, why, seconds, log


class RunDirectory:
    """One run directory; reading needs no lock, changing anything does (``held``)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other harness out until the block ends. Raises InputError naming the one that is already here."""
        if self.path.exists() and not self.path.is_dir():
            raise InputError(self.path, "a folder for the run", "a file")
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock", timeout=0)
        owner = self.path / "owner.json"
        try:
            lock.acquire()
        except Timeout as error:
            who = ""
            with contextlib.suppress(InputError):
                told = read_json(owner)
                who = f" (process {told.get('pid')} on {told.get('host')}, since {told.get('since')})"
            raise InputError(
                self.path, "a run directory that no other harness works in", f"one at work{who}"
            ) from error
        try:
            write_json(owner, {"pid": os.getpid(), "host": platform.node(), "since": utc_now()})
            yield
        finally:
            lock.release()

    def plan(self) -> Plan:
        """The plan this directory was begun with. Raises InputError where there is none or it cannot be read."""
        value = read_json(self.path / "plan.json")
        if value.get("format") != FORMAT:
            raise InputError(
                self.path / "plan.json", f"a run plan of format {FORMAT}", f"format {value.get('format')!r}"
            )
        try:
            inputs = tuple(StoredFile(**file) for file in value["inputs"])
            return Plan(
                **{
                    **{key: value[key] for key in ("name", "folder", "command", "env", "isolation", "commit")},
                    "inputs": inputs,
                    "seeds": tuple(int(seed) for seed in value["seeds"]),
                    "notes": tuple(value["notes"]),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                self.path / "plan.json", "a complete run plan", f"{type(error).__name__}: {error}"
            ) from error

    def begin(self, plan: Plan) -> Plan:
        """Write ``plan``, or go on with the one that is here when it is the same experiment (seeds are joined).

        Raises InputError, changing nothing, where the directory belongs to another experiment or holds other files.
        """
        if (self.path / "plan.json").exists():
            old = self.plan()
            for what, value in plan.identity.items():
                if old.identity[what] != value:
                    changed = _difference(old.identity[what], value)
                    raise InputError(
                        self.path,
                        f"a run directory of the same {what} (another --out begins anew)",
                        f"other: {changed}",
                    )
            plan = replace(old, seeds=tuple(dict.fromkeys((*old.seeds, *plan.seeds))), notes=plan.notes)
        else:
            strange = [
                p.name for p in self.path.iterdir() if p.name not in {".lock", "owner.json"} and p.suffix != ".tmp"
            ]
            if strange:
                raise InputError(self.path, "an empty folder or a run directory", f"{sorted(strange)[0]!r} in it")
        write_json(self.path / "plan.json", {"format": FORMAT, **asdict(plan)})
        return plan

    def seed_folder(self, seed: int) -> Path:
        return self.path / str(seed)

    def log(self, seed: int) -> Path:
        """The log of a seed's latest attempt."""
        return self.seed_folder(seed) / LOG

    def read(self, seed: int) -> SeedRun:
        """How ``seed`` stands; pending where nothing was written, or where what was written cannot be read any more."""
        path = self.seed_folder(seed) / "run.json"
        if not path.exists():
            return SeedRun(seed)
        try:
            return _seed_run(read_json(path))
        except (InputError, TypeError, ValueError, KeyError) as error:
            return SeedRun(seed, why=f"run.json is not readable ({error}): the seed is run anew")

    def write(self, run: SeedRun) -> None:
        """Replace a seed's ``run.json``. Raises OSError where the disk does not take it; the old one then stands."""
        path = self.seed_folder(run.seed) / "run.json"
        if path.is_dir():  # a damaged file system, or a hand: out of the way, not deleted
            path.rename(path.with_name(f"run.json.strange.{time.time_ns()}"))
        write_json(path, {"format": FORMAT, **asdict(run)})

    def finished(self, seed: int) -> bool:
        """Whether ``seed`` is done and its log is, byte for byte, the one that was recorded."""
        run = self.read(seed)
        if run.state is not State.FINISHED or run.log is None:
            return False
        path = self.seed_folder(seed) / run.log.path
        try:
            return path.stat().st_size == run.log.bytes and sha256(path) == run.log.sha256
        except OSError:  # gone, or no longer readable: as good as never run
            return False

    def read_log(self, run: SeedRun) -> RunLog:
        """What the log of ``run`` says. A run that went on from a checkpoint repeats steps: the last telling counts."""
        told = read_log(self.log(run.seed))
        told = replace(
            told, seed=run.seed, gpu=told.gpu or ", ".join(dict.fromkeys(run.machine.get("gpus", ()))) or None
        )
        if all(attempt.get("log") != LOG for attempt in run.earlier):
            return told
        return replace(told, curve=tuple({step.step: step for step in told.curve}.values()))

    def seeds(self) -> tuple[SeedRun, ...]:
        """Every seed of the plan as it stands, in the plan's order."""
        return tuple(self.read(seed) for seed in self.plan().seeds)


def open_run_directory(path: Path) -> RunDirectory:
    """The run directory at ``path``. Raises InputError where there is none."""
    if not path.is_dir():
        raise InputError(path, "a run directory", "a file" if path.exists() else "nothing")
    if not (path / "plan.json").is_file():
        raise InputError(path, "a run directory", "a folder without plan.json")
    return RunDirectory(path)


def utc_now() -> str:
    """The present moment as text; for people, never for measuring."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _seed_run(value: dict[str, Any]) -> SeedRun:
    known = {item.name for item in fields(SeedRun)}
    value = {key: content for key, content in value.items() if key in known}
    value["state"] = State(value["state"])
    for name in ("log", "artifact"):
        value[name] = StoredFile(**value[name]) if value.get(name) else None
    value["outputs"] = tuple(StoredFile(**file) for file in value.get("outputs", ()))
    value["argv"], value["earlier"] = tuple(value.get("argv", ())), tuple(value.get("earlier", ()))
    return SeedRun(**value)


def _difference(old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return f"{shown} changed"
    return json.dumps(new)
