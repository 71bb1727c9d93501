"""Runs one command with its log on disk and its limits watched, and leaves no process of it behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reproduce import guard
from reproduce.live import LogFollower, Phase, Progress

_TICK = 0.5  # seconds between two looks at the log
_POLITE = 5.0  # seconds between asking a run to end and ending it
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Limits:
    """Seconds after which a run is ended; None is no limit. ``silence`` is the time without a new line in the log."""

    train: float | None = None
    evaluate: float | None = None
    start: float | None = 3600.0  # from the start to the first training step: compilation, downloads
    silence: float | None = 1800.0  # a mixer may evaluate for ten minutes without a word
    total: float | None = None

    def broken(self, phases: Mapping[Phase, float], silent: float, total: float) -> str | None:
        """The limit that does not hold, in words; None while all do. Times in seconds."""
        if self.total is not None and total > self.total:
            return f"ran past its limit of {self.total:g} s"
        if self.silence is not None and silent > self.silence:
            return f"printed nothing for {self.silence:g} s"
        start = phases.get(Phase.START, 0.0) + phases.get(Phase.WARMUP, 0.0)
        for name, seconds, limit in (
            ("start", start, self.start),
            ("training", phases.get(Phase.TRAIN, 0.0), self.train),
            ("evaluation", phases.get(Phase.EVAL, 0.0), self.evaluate),
        ):
            if limit is not None and seconds > limit:
                return f"{name} ran past its limit of {limit:g} s"
        return None


# The contest's two budgets of 600 s (rules T-TRAIN, T-EVAL), with room for compilation at the seams and saving files.
CONTEST_LIMITS = Limits(train=630.0, evaluate=630.0)


@dataclass(frozen=True)
class ProcessResult:
    """How a command ended: exit code (negative: the signal), or why it was ended; seconds on a monotonic clock."""

    exit_code: int | None
    ended_because: str | None  # None: it ended by itself
    not_a_number: str | None
    seconds: float
    phases: Mapping[str, float] = field(default_factory=dict)
    peak_memory_bytes: int | None = None  # the largest single process of the run
    progress: Progress = field(default_factory=Progress)


def run_process(
    argv: tuple[str, ...],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    token: str,
    limits: Limits,
    on_start: Callable[[int], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop_on_nan: bool = True,
) -> ProcessResult:
    """Run ``argv`` with both outputs appended to ``log``; the trainer writes that file itself, through no pipe.

    The environment is ``env`` and the run's ``token``. Whatever happens to this process, the run's processes end: a
    guard waits on a pipe that only we hold. Raises OSError where the program cannot be started.
    """
    environment = {**env, guard.VARIABLE: token}
    with log.open("ab") as output:
        # Before the run: a harness killed in between leaves a guard with nothing to do, not a run without a guard.
        watch = _start_guard(token)
        try:
            child = subprocess.Popen(
                argv,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except BaseException:
            _stop_guard(watch)
            raise
    try:
        if on_start is not None:
            on_start(child.pid)
        return _watch(child, token, LogFollower(log), limits, on_progress, stop_on_nan)
    finally:
        _end(child, token, polite=0.0)
        _stop_guard(watch)


def _watch(
    child: subprocess.Popen[bytes],
    token: str,
    follower: LogFollower,
    limits: Limits,
    on_progress: Callable[[Progress], None] | None,
    stop_on_nan: bool,
) -> ProcessResult:
    begun = looked = heard = time.monotonic()
    phases: dict[Phase, float] = {}
    because: str | None = None
    with _Exit(child) as ended:
        while True:
            usage = ended.wait(_TICK)
            now = time.monotonic()
            phase = follower.progress.phase
            phases[phase] = phases.get(phase, 0.0) + now - looked
            looked = now
            if follower.poll():
                heard = now
                if on_progress is not None:
                    on_progress(follower.progress)
            if usage is not None:
                break
            if stop_on_nan and follower.progress.not_a_number is not None:
                because = "printed NaN or infinity"
            else:
                because = limits.broken(phases, now - heard, now - begun)
            if because is not None:
                _end(child, token, polite=_POLITE)
                usage = ended.wait(_POLITE)
                break
    follower.poll()
    return ProcessResult(
        exit_code=child.returncode,
        ended_because=because,
        not_a_number=follower.progress.not_a_number,
        seconds=time.monotonic() - begun,
        phases={str(phase): round(seconds, 3) for phase, seconds in phases.items()},
        peak_memory_bytes=usage,
        progress=follower.progress,
    )


class _Exit:
    """Waits for a child to end and learns its peak memory, which only the call that reaps it can tell."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._handle = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else None

    def __enter__(self) -> _Exit:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)

    def wait(self, seconds: float) -> int | None:
        """Peak memory in bytes (0 where unknown) once the child has ended, None while it runs."""
        if self._child.returncode is not None:
            return 0
        if self._handle is not None:
            select.select([self._handle], [], [], seconds)
        else:
            time.sleep(min(seconds, 0.1))
        try:
            pid, status, usage = os.wait4(self._child.pid, os.WNOHANG)
        except ChildProcessError:
            self._child.returncode = -signal.SIGKILL
            return 0
        if pid == 0:
            return None
        self._child.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _end(child: subprocess.Popen[bytes], token: str, polite: float) -> None:
    """End the run's processes: ask, wait up to ``polite`` seconds, then kill all that carry the token."""
    if child.returncode is None and polite:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGTERM)
        until = time.monotonic() + polite
        while time.monotonic() < until and _lives(child.pid):
            time.sleep(0.05)
    guard.end_marked(token)
    if child.returncode is None:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        if not polite:
            with contextlib.suppress(ChildProcessError):
                child.wait()


def _lives(pid: int) -> bool:
    """Whether our child still runs, without reaping it; where the system cannot tell (macOS), True."""
    return not hasattr(os, "waitid") or os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _start_guard(token: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, token],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={"PATH": os.environ.get("PATH", "")},
    )


def _stop_guard(watch: subprocess.Popen[bytes]) -> None:
    watch.kill()
    watch.wait()
    if watch.stdin is not None:
        watch.stdin.close()


def _load_libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


_LIBC = _load_libc()


def _die_with_parent() -> None:
    """In the child, before the program: the kernel ends it with the harness, even where the guard was killed too."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
