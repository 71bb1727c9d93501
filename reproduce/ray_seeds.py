"""Runs seeds as Ray tasks: Ray says where and when, logs and artifacts come back to the one run directory."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reproduce.attempt import Job, end_leftovers, put_aside, run_attempt
from reproduce.durable import sync, write_bytes
from reproduce.executors import RayExecutor
from reproduce.live import LogFollower, Phase, Progress
from reproduce.rundir import LOG, RunDirectory, SeedRun, State

_TICK = 0.5  # seconds


@dataclass(frozen=True)
class Begun:
    """An attempt has started on some machine."""

    run: SeedRun


@dataclass(frozen=True)
class Grown:
    """``piece`` stands at byte ``offset`` of the log of the attempt with ``token``."""

    seed: int
    token: str
    offset: int
    piece: bytes


@dataclass(frozen=True)
class Returned:
    """What an attempt brings back from the machine it ran on."""

    run: SeedRun
    log: bytes
    artifact: bytes | None


def run_on_cluster(
    directory: RunDirectory,
    jobs: Sequence[Job],
    source: Path,
    executor: RayExecutor,
    retries: int,
    progress: Callable[[int, Progress], None] | None,
) -> None:
    """Run the unfinished ones of ``jobs``, as many at once as the cluster has room for; call with the directory held.

    Only this process writes to the run directory. Raises InputError where there is no cluster, OSError on a full disk.
    """
    waiting = [job for job in jobs if not directory.finished(job.seed)]
    if not waiting:
        return
    ray = executor.connect()
    from ray.util.queue import Empty, Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # The queue lives beside us: a lost machine takes only what it had not yet sent.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
    files = ray.put({file.path: (source / file.path).read_bytes() for file in waiting[0].inputs})
    task = executor.remote(ray, _attempt)
    desks = {job.seed: _Desk(directory, job, progress) for job in waiting}
    running = {task.remote(job, files, queue): job for job in waiting}
    tries = dict.fromkeys(desks, 0)

    def take_in() -> None:
        with contextlib.suppress(Empty):
            while True:
                event = queue.get_nowait()
                desks[event.run.seed if isinstance(event, Begun) else event.seed].take(event)

    try:
        while running:
            ready, _ = ray.wait(list(running), timeout=_TICK)
            take_in()
            for reference in ready:
                job = running.pop(reference)
                state = desks[job.seed].finish(_result(ray, reference))
                if state is not State.FINISHED and tries[job.seed] < retries:
                    tries[job.seed] += 1
                    running[task.remote(job, files, queue)] = job
    finally:
        for reference in running:
            with contextlib.suppress(Exception):
                ray.cancel(reference, force=True)
        queue.shutdown(force=True)


def _result(ray: Any, reference: Any) -> Returned | Exception:
    try:
        returned: Returned = ray.get(reference)
        return returned
    except ray.exceptions.RayTaskError as error:
        return error.as_instanceof_cause()
    except ray.exceptions.RayError as error:
        return error


class _Desk:
    """Keeps one seed's files in the run directory in step with the attempts that run elsewhere."""

    def __init__(self, directory: RunDirectory, job: Job, progress: Callable[[int, Progress], None] | None) -> None:
        self.directory, self.home, self.progress = directory, directory.seed_folder(job.seed), progress
        self.home.mkdir(parents=True, exist_ok=True)
        self.run = end_leftovers(directory.read(job.seed))
        self.follower = LogFollower(self.home / LOG)
        self.ended: set[str] = set()

    def take(self, event: Begun | Grown) -> None:
        """Put down what an attempt tells while it runs; messages may come later than its result."""
        token = event.run.token if isinstance(event, Begun) else event.token
        if token in self.ended:
            return
        if isinstance(event, Begun):
            if token == self.run.token:  # the same attempt, told again with its process id
                self._write(replace(event.run, attempt=self.run.attempt, earlier=self.run.earlier))
                return
            self._begin(event.run)
        elif token == self.run.token:
            log = self.home / LOG
            with log.open("r+b" if log.exists() else "wb") as file:
                file.seek(event.offset)
                file.write(event.piece)
            if self.follower.poll() and self.progress is not None:
                self.progress(self.run.seed, self.follower.progress)

    def finish(self, result: Returned | Exception) -> State:
        """Put down how an attempt ended; the state of the seed."""
        if isinstance(result, Exception):
            first = (str(result).splitlines() or [type(result).__name__])[0]
            self._write(replace(self.run, state=State.FAILED, why=f"given up: {first[:200]}", pid=None))
            return State.FAILED
        if result.run.token != self.run.token:  # its first message is still on the way, or was lost with it
            self._begin(result.run)
        self.ended.add(result.run.token)
        write_bytes(self.home / LOG, result.log)
        if result.artifact is not None and result.run.artifact is not None:
            place = self.home / result.run.artifact.path
            write_bytes(place, result.artifact)
            sync(place.parent.parent)
        self._write(replace(result.run, attempt=self.run.attempt, earlier=self.run.earlier))
        return result.run.state

    def _begin(self, run: SeedRun) -> None:
        before = self.run
        self.ended.add(before.token)
        if before.state is State.RUNNING:
            before = replace(before, state=State.LOST, why="its machine was lost")
        earlier = put_aside(self.home, before)
        self.follower = LogFollower(self.home / LOG)
        self._write(replace(run, attempt=before.attempt + 1, earlier=earlier))

    def _write(self, run: SeedRun) -> None:
        self.run = run
        self.directory.write(run)
        if self.progress is not None and run.state is State.RUNNING:
            self.progress(run.seed, Progress(phase=Phase.START))


def _attempt(job: Job, files: dict[str, bytes], queue: Any) -> Returned:
    """On some machine of the cluster: run the job in a folder of its own and bring everything back."""
    place = Path(tempfile.mkdtemp(prefix="golfproof-"))
    try:
        for name, content in files.items():
            target = place / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        home = place / "home"
        sender = _Sender(job.seed, home / LOG, queue)
        run = run_attempt(
            job, place / "source", home, SeedRun(job.seed), record=sender.begun, on_progress=lambda _: sender.grown()
        )
        artifact = (home / run.artifact.path).read_bytes() if run.artifact is not None else None
        return Returned(run, (home / LOG).read_bytes(), artifact)
    finally:
        shutil.rmtree(place, ignore_errors=True)


class _Sender:
    """Sends a log home piece by piece, without waiting for an answer."""

    def __init__(self, seed: int, log: Path, queue: Any) -> None:
        self.seed, self.log, self.queue = seed, log, queue
        self.token, self.sent = "", 0

    def begun(self, run: SeedRun) -> None:
        self.token = run.token
        self._send(Begun(run))

    def grown(self) -> None:
        with self.log.open("rb") as file:
            file.seek(self.sent)
            piece = file.read()
        if piece:
            self._send(Grown(self.seed, self.token, self.sent, piece))
            self.sent += len(piece)

    def _send(self, event: Begun | Grown) -> None:
        self.queue.actor.put.remote(event)
