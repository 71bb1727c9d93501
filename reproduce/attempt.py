"""One attempt at one seed: a fresh working copy, the run, and what it left, put down as a SeedRun."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from reproduce import guard
from reproduce.confine import TRIED, confined, visible_data
from reproduce.durable import sha256, sync
from reproduce.errors import InputError
from reproduce.launch import Launch, resolve
from reproduce.live import Progress
from reproduce.logs import read_log
from reproduce.machine import describe_machine, redact, without_secrets
from reproduce.process import Limits, ProcessResult, run_process
from reproduce.rundir import LOG, SeedRun, State, utc_now
from reproduce.workcopy import StoredFile, make_copy, new_files

_ARTIFACT_SUFFIXES = {
    ".ptz",
    ".pt",
    ".bin",
    ".zst",
    ".xz",
    ".lzma",
    ".br",
    ".gz",
    ".int8",
    ".int6",
    ".golf",
    ".npz",
    ".gpfa",
}
_LARGEST_ARTIFACT = 16_000_000  # bytes, the contest's cap (rule ART-CAP)
_LARGEST_HASHED = 1 << 30  # bytes
_ROOM = 1 << 16  # bytes: a disk with less left than this may have swallowed lines of the log


@dataclass(frozen=True)
class Job:
    """All that it takes to run a seed of an entry, on this machine or another."""

    seed: int
    entry: str  # the folder's name, kept in the working copy
    launch: Launch
    inputs: tuple[StoredFile, ...]
    env: Mapping[str, str] = field(default_factory=dict)  # the user's, over the launch's
    limits: Limits = field(default_factory=Limits)
    sandbox: bool = False
    data: str | None = None  # linked into the working copy as ``data``
    processes: int | None = None
    resume_env: Mapping[str, str] = field(default_factory=dict)  # how the trainer is told to go on; empty: it cannot
    keep_work: bool = False
    evaluate_apart: bool = False  # PHASE=train, then PHASE=evaluate with ARTIFACT: as our own trainer understands


def run_attempt(
    job: Job,
    source: Path,
    home: Path,
    before: SeedRun,
    *,
    record: Callable[[SeedRun], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SeedRun:
    """Run ``job`` from the entry in ``source`` inside ``home``, after ``before``; ``record`` is told when it starts.

    Gives the attempt as it ended, whatever the trainer did. Raises InputError where the entry itself cannot be used,
    OSError where this machine cannot go on (no room, no program).
    """
    home.mkdir(parents=True, exist_ok=True)
    work = home / "work" / job.entry
    resuming = bool(job.resume_env) and before.state in (State.LOST, State.STOPPED) and work.is_dir()
    earlier = put_aside(home, before, go_on=resuming)
    if not resuming:
        make_copy(source, job.inputs, work)
        if job.data is not None and not (work / "data").exists():
            _link_data(Path(job.data).resolve(), work / "data", job.sandbox)
    argv = resolve(job.launch, work, processes=job.processes)
    own = _own_environment(job, resuming)
    env = {**without_secrets(os.environ), **own}
    token = uuid.uuid4().hex
    begun = SeedRun(
        job.seed,
        State.RUNNING,
        attempt=before.attempt + 1,
        token=token,
        started=utc_now(),
        argv=argv,
        environment=redact(own if job.sandbox else env),
        machine=describe_machine(),
        earlier=earlier,
    )
    # Recorded before the start as well: a harness that dies in between leaves a token to look for.
    if record is not None:
        record(begun)
    result = _run_phases(
        job,
        begun,
        env,
        own,
        home,
        work,
        on_start=(lambda pid: record(replace(begun, pid=pid))) if record is not None else None,
        on_progress=on_progress,
    )
    sync(home / LOG)
    return _conclude(job, replace(begun, ended=utc_now()), result, home, work)


def _run_phases(
    job: Job,
    run: SeedRun,
    env: dict[str, str],
    own: dict[str, str],
    home: Path,
    work: Path,
    *,
    on_start: Callable[[int], None] | None,
    on_progress: Callable[[Progress], None] | None,
) -> ProcessResult:
    """Run the whole at once, or training and evaluation as two commands of which the second sees no training shard."""

    def go(extra: dict[str, str], *, hide_training: bool) -> ProcessResult:
        argv = run.argv
        if job.sandbox:
            data = visible_data(Path(job.data), hide_training=hide_training) if job.data is not None else {}
            for place in data.values():  # the sandbox would make folders that only root may enter
                (work / place).parent.mkdir(parents=True, exist_ok=True)
            gpu = run.machine["gpu_count"] != 0
            variables = {**own, **extra}
            argv = confined(argv, writable=home / "work", cwd=work, environment=variables, data=data, gpu=gpu)
        return run_process(
            argv,
            cwd=work,
            env={**env, **extra},
            log=home / LOG,
            token=run.token,
            limits=job.limits,
            on_start=on_start,
            on_progress=on_progress,
        )

    if not job.evaluate_apart:
        return go({}, hide_training=False)
    trained = go({"PHASE": "train"}, hide_training=False)
    if trained.exit_code != 0 or trained.ended_because is not None:
        return trained
    artifact = _artifact(_outputs(work, job.inputs), read_log(home / LOG).model_bytes)
    if artifact is None:
        return trained  # judged by its log, which has no score
    if job.data is not None:
        shutil.rmtree(work / "data")  # the places where the shards were shown
        (work / "data").mkdir()
    evaluated = go({"PHASE": "evaluate", "ARTIFACT": artifact.path}, hide_training=True)
    phases = {name: trained.phases.get(name, 0.0) + evaluated.phases.get(name, 0.0) for name in evaluated.phases}
    return replace(
        evaluated,
        seconds=trained.seconds + evaluated.seconds,
        phases={**trained.phases, **phases},
        peak_memory_bytes=max(trained.peak_memory_bytes or 0, evaluated.peak_memory_bytes or 0),
    )


def end_leftovers(run: SeedRun) -> SeedRun:
    """``run`` as it must be seen by a harness that finds it running without one: lost, its processes ended."""
    if run.state is not State.RUNNING:
        return run
    if run.token:
        guard.end_marked(run.token)
    return replace(run, state=State.LOST, why="the harness or its machine went away in the middle")


def _own_environment(job: Job, resuming: bool) -> dict[str, str]:
    """The variables we set; without a sandbox they go on top of the caller's."""
    # Ray, or the user, says which GPUs are this run's: that must hold inside the sandbox, too.
    devices = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER") if name in os.environ}
    return {
        "PYTHONUNBUFFERED": "1",  # the log must show the present
        **devices,
        **job.launch.env,
        **job.env,
        **(job.resume_env if resuming else {}),
        "SEED": str(job.seed),
    }


def _link_data(data: Path, place: Path, sandbox: bool) -> None:
    if sandbox:
        place.mkdir()  # the sandbox shows the data here, read only
    else:
        place.symlink_to(data, target_is_directory=True)


def put_aside(home: Path, before: SeedRun, *, go_on: bool = False) -> tuple[dict[str, object], ...]:
    """Keep the log of the attempt before under its number; give the list of attempts so far.

    With ``go_on`` the log stays, for the next attempt to append to.
    """
    log = home / LOG
    if before.attempt == 0:
        if log.exists():  # of a run whose run.json was lost: nobody knows what made it
            log.rename(home / f"train.unknown.{time.time_ns()}.log")
        return ()
    kept = home / f"train.{before.attempt}.log"
    if go_on and log.is_file():
        kept = log
        with log.open("ab+") as file:
            file.seek(max(0, log.stat().st_size - 1))
            if file.read(1) not in (b"", b"\n"):
                file.write(b"\n")  # a line that was cut must not run into the next
    elif log.is_dir():
        log.rename(home / f"train.strange.{time.time_ns()}.log")
    elif log.exists():
        log.replace(kept)
    told = {
        "attempt": before.attempt,
        "state": str(before.state),
        "why": before.why,
        "seconds": before.seconds,
        "started": before.started,
        "log": kept.name if kept.is_file() else None,
    }
    return (*before.earlier, told)


def _conclude(job: Job, run: SeedRun, result: ProcessResult, home: Path, work: Path) -> SeedRun:
    log = home / LOG
    state, why, model_bytes = _judge(result, log, home)
    outputs = _outputs(work, job.inputs)
    artifact = _artifact(outputs, model_bytes) if state is State.FINISHED else None
    shutil.rmtree(home / "artifact", ignore_errors=True)
    if artifact is not None:
        kept = home / "artifact" / Path(artifact.path).name
        kept.parent.mkdir()
        shutil.copyfile(work / artifact.path, kept)
        sync(kept)
        artifact = replace(artifact, path=f"artifact/{kept.name}")
    if not job.keep_work:
        shutil.rmtree(home / "work", ignore_errors=True)
    return replace(
        run,
        state=state,
        why=why,
        seconds=round(result.seconds, 3),
        phases=dict(result.phases),
        exit_code=result.exit_code,
        peak_memory_bytes=result.peak_memory_bytes or None,
        log=StoredFile(LOG, log.stat().st_size, sha256(log)),
        outputs=outputs,
        artifact=artifact,
    )


def _judge(result: ProcessResult, log: Path, home: Path) -> tuple[State, str, int | None]:
    """State, reason, and the size of the artifact in bytes where the log tells it."""
    if result.not_a_number is not None:
        return State.NOT_A_NUMBER, f"the log says {result.not_a_number!r}", None
    if result.ended_because is not None:
        return State.TIMEOUT, result.ended_because, None
    if shutil.disk_usage(home).free < _ROOM:
        return State.FAILED, "the disk was full when it ended: its log may lack lines", None
    if result.exit_code != 0:
        return State.FAILED, f"exit code {result.exit_code}: {_cause(log)}", None
    try:
        told = read_log(log)
    except InputError as error:
        return State.FAILED, f"ended with exit code 0, but its log cannot be read: {error}", None
    if told.headline is None or told.headline.val_bpb is None:
        return State.FAILED, f"ended with exit code 0 without a val_bpb in its log: {_cause(log)}", None
    return State.FINISHED, "", told.model_bytes


def _cause(log: Path) -> str:
    """Why a run failed: the first error its log names, else its last line."""
    try:
        named = [line for line in read_log(log).failures if "ChildFailedError" not in line]  # torchrun's own, after it
    except InputError:
        named = []
    if named:
        return named[0][:200]
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16384))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    said = [line for line in lines if line and not line.startswith(TRIED)]
    return said[-1][:200] if said else "nothing was printed"


def _outputs(work: Path, inputs: tuple[StoredFile, ...]) -> tuple[StoredFile, ...]:
    return tuple(
        StoredFile(path.relative_to(work).as_posix(), path.stat().st_size, sha256(path))
        for path in new_files(work, inputs)
        if path.stat().st_size <= _LARGEST_HASHED
    )


def _artifact(outputs: tuple[StoredFile, ...], model_bytes: int | None) -> StoredFile | None:
    """The compressed model among the files a run left: of the size the log tells, else the largest under the cap."""
    exact = [file for file in outputs if file.bytes == model_bytes]
    if exact:
        return exact[0]
    likely = [
        file for file in outputs if Path(file.path).suffix in _ARTIFACT_SUFFIXES and file.bytes <= _LARGEST_ARTIFACT
    ]
    packed = [file for file in likely if Path(file.path).suffix != ".pt"] or likely
    return max(packed, key=lambda file: file.bytes, default=None)
