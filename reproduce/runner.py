"""Reruns the seeds of an entry in a run directory that survives the harness, and gives the table of their scores."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reproduce.attempt import Job, end_leftovers, run_attempt
from reproduce.confine import require_readable
from reproduce.errors import InputError
from reproduce.executors import RayExecutor
from reproduce.folder import SubmissionFolder, open_folder
from reproduce.gpus import find_gpus
from reproduce.launch import author_launch, parse_launch, requested_processes, resolve
from reproduce.live import Phase, Progress
from reproduce.machine import git_commit, redact
from reproduce.process import Limits
from reproduce.ray_seeds import run_on_cluster
from reproduce.rundir import Plan, RunDirectory, State
from reproduce.table import SeedTable, tabulate
from reproduce.workcopy import StoredFile, input_files

OnProgress = Callable[[int, Progress], None]


@dataclass(frozen=True)
class Options:
    """How to run; the defaults run on this machine, one seed after another, in the open."""

    limits: Limits = field(default_factory=Limits)
    retries: int = 0
    data: Path | None = None  # linked into the working copy as ``data``
    processes: int | None = None  # instead of torchrun's --nproc_per_node
    sandbox: bool = False
    resume_env: Mapping[str, str] = field(default_factory=dict)
    keep_work: bool = False
    evaluate_apart: bool = False  # training and evaluation as two commands; see Job
    cluster: RayExecutor | None = None  # None: on this machine


_PLAIN = Options()
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


def run_seeds(
    folder: Path | str,
    seeds: Sequence[int],
    *,
    out: Path | str,
    command: str | None = None,
    env: Mapping[str, str] | None = None,
    progress: OnProgress | None = None,
    options: Options = _PLAIN,
) -> SeedTable:
    """Run ``seeds`` of the entry in ``folder``; finished ones of an earlier visit to ``out`` are kept.

    ``progress(seed, Progress)`` is called as logs grow, and once more when a seed has ended (``Progress.state``).
    A seed that fails does not stop the others: the table's notes name it. Without ``options.sandbox`` the entry's code
    runs with the rights of the caller. Raises InputError on an entry or run directory that cannot be used.
    """
    directory = RunDirectory(Path(out))
    plan, jobs = _prepare(Path(folder), tuple(dict.fromkeys(seeds)), Path(out), command, dict(env or {}), options)
    try:
        with directory.held():
            plan = directory.begin(plan)
            source = Path(plan.folder)
            if options.cluster is not None:
                run_on_cluster(directory, jobs, source, options.cluster, options.retries, progress)
            for job in jobs:
                if options.cluster is None:
                    _run_seed(directory, job, source, options.retries, progress)
                if progress is not None:
                    run = directory.read(job.seed)
                    progress(job.seed, Progress(phase=Phase.DONE, state=str(run.state), note=run.why, fraction=1.0))
    except OSError as error:
        # Nothing is lost: what could not be written is as it was, and the same command goes on from there.
        said = error.strerror or str(error)
        if error.errno in _DISK:
            raise InputError(out, "a disk that can be written to", said) from error
        raise InputError(error.filename or out, "a file, folder or program that can be used", said) from error
    return table_of(directory)


def table_of(directory: RunDirectory) -> SeedTable:
    """The scores of the finished seeds of a run directory; its notes name the seeds that have none, and why."""
    plan = directory.plan()
    logs, notes = [], list(plan.notes)
    for run in directory.seeds():
        if directory.finished(run.seed):
            logs.append(directory.read_log(run))
            if run.earlier:
                told = "; ".join(f"{item['state']}: {item['why']}" for item in run.earlier)
                notes.append(f"seed {run.seed}: finished in attempt {run.attempt} ({told})")
        else:
            log = directory.log(run.seed)
            told = f"seed {run.seed}: {run.state}" + (f", {run.why}" if run.why else "")
            notes.append(told + (f" (log: {log})" if log.is_file() else ""))
    return tabulate(tuple(logs), notes=tuple(notes))


def _prepare(
    folder: Path, seeds: tuple[int, ...], out: Path, command: str | None, env: dict[str, str], options: Options
) -> tuple[Plan, tuple[Job, ...]]:
    """What is to be run: the plan that the run directory keeps, and a job for each seed."""
    if not seeds:
        raise InputError("--seeds", "at least one seed, such as 1337,42,7", "none")
    if options.sandbox and options.data is not None:
        require_readable(options.data)
    entry = open_folder(folder)
    if entry.trainer is None:
        raise InputError(folder, "a folder with a trainer to run", entry.trainer_why)
    source = entry.path.resolve()
    launch = (
        parse_launch(command)
        if command is not None
        else author_launch(entry.run_command, entry.trainer.resolve(), source)
    )
    # Before anything is put down: a command that cannot be started is no experiment.
    program = resolve(launch, source)[0]
    if options.cluster is None and shutil.which(program) is None and not (source / program).is_file():
        raise InputError("--command", "a program on the PATH or in the folder", repr(program))
    notes, processes = list(launch.notes), options.processes
    wanted = requested_processes(launch)
    if processes is None and wanted is not None:
        # On a cluster this machine's own GPUs say nothing: a seed has those that were asked of Ray for it.
        there = find_gpus()
        gpus = there.usable(os.environ) if options.cluster is None else int(options.cluster.num_gpus)
        if wanted > max(gpus, 1):
            processes = max(gpus, 1)
            has = f"this machine has {gpus} to use" if options.cluster is None else f"--num-gpus gives a seed {gpus}"
            why = f" ({there.why})" if options.cluster is None and there.why else ""
            notes.append(f"the run command asks for {wanted} processes, a GPU each; {has}{why}: {processes} started")
    plan = Plan(
        name=source.name,
        folder=str(source),
        command=launch.text,
        env=redact(env),
        inputs=_inputs(entry, out),
        seeds=seeds,
        isolation="sandbox" if options.sandbox else "none",
        commit=git_commit(source),
        notes=tuple(notes),
    )
    jobs = tuple(
        Job(
            seed,
            plan.name,
            launch,
            plan.inputs,
            env=env,
            limits=options.limits,
            sandbox=options.sandbox,
            data=str(options.data) if options.data is not None else None,
            processes=processes,
            resume_env=dict(options.resume_env),
            keep_work=options.keep_work,
            evaluate_apart=options.evaluate_apart,
        )
        for seed in seeds
    )
    return plan, jobs


def _inputs(entry: SubmissionFolder, out: Path) -> tuple[StoredFile, ...]:
    """The entry's files; of a trainer that lies alone among other things, it and the Python files beside it."""
    alone = entry.readme is None and entry.metadata_path is None and entry.trainer is not None
    only = (entry.trainer, *entry.helpers) if alone and entry.trainer is not None else ()
    return input_files(entry.path, out, only=only, leave_out=entry.logs)


def _run_seed(directory: RunDirectory, job: Job, source: Path, retries: int, progress: OnProgress | None) -> None:
    if directory.finished(job.seed):
        return
    run = end_leftovers(directory.read(job.seed))
    for _ in range(retries + 1):
        try:
            run = run_attempt(
                job,
                source,
                directory.seed_folder(job.seed),
                run,
                record=directory.write,
                on_progress=(lambda told: progress(job.seed, told)) if progress is not None else None,
            )
        except KeyboardInterrupt:
            now = directory.read(job.seed)
            directory.write(replace(now, state=State.STOPPED, why="stopped at the keyboard", pid=None))
            raise
        directory.write(run)
        if run.state is State.FINISHED:
            break
