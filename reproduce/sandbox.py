"""Runs a stranger's program with no network, one writable folder and hard limits, and says what it tried.

Bubblewrap gives the walls: fresh process, network, mount, IPC and host-name namespaces, no capabilities, no root, a
system that is read-only and shows neither homes nor password files. A monitor in this process gives the totals that
resource limits cannot (memory and processes of the whole tree, bytes of the whole folder, output, wall time).
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

from reproduce.attempts import read_attempts, watcher_folder
from reproduce.errors import InputError
from reproduce.processtree import ProcessTree, folder_size

log = logging.getLogger(__name__)

MIB, GIB = 1 << 20, 1 << 30
POLL_SECONDS, SLOWEST_POLL_SECONDS = 0.05, 0.25
TERM_GRACE_SECONDS = 1.0
INSIDE = Path("/sandbox")  # where the writable folder appears inside
ATTEMPTS_NAME = ".golfproof-attempts"
INSTALL = "install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap)"


class SandboxUnavailable(InputError):
    """This machine cannot build the walls; nothing was run."""


@dataclass(frozen=True)
class Limits:
    """What a run may use. Sizes in bytes, times in seconds; each is a total over the whole process tree
    except ``file_bytes`` (one file), ``open_files`` and ``cpu_seconds`` (one process)."""

    wall_seconds: float = 600.0
    cpu_seconds: int | None = None
    memory_bytes: int = 8 * GIB
    processes: int = 64
    file_bytes: int = 2 * GIB
    folder_bytes: int = 4 * GIB
    output_bytes: int = 64 * MIB
    open_files: int = 1024


@dataclass(frozen=True)
class SandboxResult:
    """One ended run. ``ended_by`` names the limit that ended it, or is None where the program ended by itself.

    ``output`` is standard output and error in order, cut to the last ``Limits.output_bytes``; ``attempts`` what its
    Python processes tried that the walls forbid, one line each; ``peak_memory_bytes`` and ``cpu_seconds`` of all its
    processes as the monitor sampled them.
    """

    command: tuple[str, ...]
    returncode: int
    output: str
    seconds: float
    ended_by: str | None = None
    peak_memory_bytes: int = 0
    cpu_seconds: float = 0.0
    attempts: tuple[str, ...] = ()
    sandboxed: bool = True
    limits: Limits = field(default_factory=Limits)

    @property
    def ok(self) -> bool:
        return self.returncode == 0 and self.ended_by is None


@cache
def refusal() -> str | None:
    """Why no sandbox can be built on this machine, in one line; None where it can."""
    if sys.platform != "linux":
        return f"the sandbox needs Linux, this is {sys.platform}"
    for tool, remedy in (("bwrap", INSTALL), ("prlimit", "install util-linux"), ("setpriv", "install util-linux")):
        if shutil.which(tool) is None:
            return f"{tool} is not on the PATH: {remedy}"
    if _drops_root():
        return None
    error = _trial([*_NAMESPACES, "--unshare-user", "--ro-bind", "/", "/", "--", "true"])
    return error and f"user namespaces do not work here ({error}); see sysctl kernel.unprivileged_userns_clone"


_NAMESPACES = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
_NOBODY = 65534
_BECOME_NOBODY = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--no-new-privs", "--")
_MAY_BECOME_NOBODY = ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")


@cache
def _drops_root() -> bool:
    """Whether we are root and can become nobody inside, which the kernel's process limit needs: it exempts root,
    whatever name root has in a user namespace."""
    if os.geteuid() != 0:
        return False
    return _trial([*_NAMESPACES, *_MAY_BECOME_NOBODY, "--ro-bind", "/", "/", "--", *_BECOME_NOBODY, "true"]) is None


def _trial(arguments: Sequence[str]) -> str | None:
    trial = subprocess.run(["bwrap", *arguments], capture_output=True, text=True, check=False)
    if trial.returncode == 0:
        return None
    lines = trial.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit {trial.returncode}"


@dataclass(frozen=True)
class Sandbox:
    """A place to run commands in. ``writable`` is the one folder they may write, seen inside as ``/sandbox``.

    ``read_only`` maps host paths to the paths they have inside. ``unsafe`` leaves the walls out (the limits stay):
    loud, and for people who asked for it. ``gpu`` shows the NVIDIA devices.
    """

    writable: Path
    read_only: Mapping[Path, Path] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    unsafe: bool = False
    gpu: bool = False

    def inside(self, path: Path) -> Path:
        """The path that ``path``, which lies in the writable folder, has for the command."""
        relative = path.resolve().relative_to(self.writable.resolve())
        return (self.writable.resolve() if self.unsafe else INSIDE) / relative

    def run(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        *,
        on_output: Callable[[bytes], None] | None = None,
        record_attempts: bool = True,
    ) -> SandboxResult:
        """Run ``command`` in the writable folder until it ends or breaks a limit.

        The environment is empty but for PATH, HOME, LANG and ``environment``. ``on_output`` gets each piece of output
        as it comes. Raises SandboxUnavailable, before anything runs, where the walls cannot be built.
        """
        folder = self.writable.resolve()
        if not folder.is_dir():
            raise InputError(self.writable, "a folder the sandbox may write in", "nothing")
        if self.unsafe:
            log.warning("NO SANDBOX: %s runs with your own rights, files and network", command[0])
        elif (reason := refusal()) is not None:
            raise SandboxUnavailable("sandbox", "bubblewrap and user namespaces (or --unsafe-no-sandbox)", reason)
        attempts = folder / ATTEMPTS_NAME
        attempts.unlink(missing_ok=True)
        inside = folder if self.unsafe else INSIDE
        values = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(inside),
            "TMPDIR": "/tmp",
            "LANG": "C.UTF-8",
            **(environment or {}),
        }
        if record_attempts:
            values["GOLFPROOF_ATTEMPTS"] = str(inside / ATTEMPTS_NAME)
            shown = [*map(str, self.read_only.values()), *(environment or {}).get("PYTHONPATH", "").split(os.pathsep)]
            values["GOLFPROOF_SHOWN"] = os.pathsep.join(filter(None, shown))
            values["PYTHONPATH"] = os.pathsep.join(filter(None, (str(watcher_folder()), values.get("PYTHONPATH"))))
        argv = self._limited(command)
        if not self.unsafe:
            argv = [*self._walls(folder, values), *argv]
        owner = folder.stat()
        if not self.unsafe and _drops_root():
            _give(folder, _NOBODY, _NOBODY)
        started = time.monotonic()
        process = subprocess.Popen(
            argv, cwd=folder, env=values if self.unsafe else {"PATH": os.defpath}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            output, ended_by, peak, cpu = _watch(process, folder, self.limits, started, on_output)
        finally:
            if not self.unsafe and _drops_root():
                _give(folder, owner.st_uid, owner.st_gid)
        return SandboxResult(
            command=tuple(str(part) for part in command),
            returncode=process.returncode,
            output=output.decode("utf-8", "replace"),
            seconds=time.monotonic() - started,
            ended_by=ended_by or _ended_by_signal(process.returncode),
            peak_memory_bytes=peak,
            cpu_seconds=cpu,
            attempts=read_attempts(attempts),
            sandboxed=not self.unsafe,
            limits=self.limits,
        )

    def _limited(self, command: Sequence[str | Path]) -> list[str]:
        limits = self.limits
        flags = [
            f"--fsize={limits.file_bytes}", f"--nofile={limits.open_files}", "--core=0",
            # Address space, not memory: libraries reserve several times what they touch. The monitor counts memory.
            f"--as={4 * limits.memory_bytes}", f"--data={limits.memory_bytes}",
        ]  # fmt: skip
        if not self.unsafe:  # outside a namespace this limit would count the user's other processes too
            flags.append(f"--nproc={4 * limits.processes}")  # counts threads
        if limits.cpu_seconds is not None:
            flags.append(f"--cpu={limits.cpu_seconds}")
        nobody = _BECOME_NOBODY if not self.unsafe and _drops_root() else ()
        folder = self.writable.resolve() if self.unsafe else INSIDE  # entered as nobody, for root lost its right to it
        return [*nobody, "prlimit", *flags, "--", "env", f"--chdir={folder}", *(str(part) for part in command)]

    def _walls(self, folder: Path, environment: Mapping[str, str]) -> list[str]:
        argv = ["bwrap", *_NAMESPACES, "--die-with-parent", "--new-session", "--hostname", "sandbox", "--clearenv"]
        if _drops_root():
            argv += _MAY_BECOME_NOBODY
        else:
            argv += ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
        for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"):
            path = Path("/") / name
            if path.is_symlink():
                argv += ["--symlink", str(path.readlink()), str(path)]
            elif path.is_dir():
                argv += ["--ro-bind", str(path), str(path)]
        argv += ["--dir", "/etc"]  # made for a file alone, it would be closed to all but root
        for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime"):
            argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        shared = str(self.limits.memory_bytes // 4)
        argv += ["--proc", "/proc", "--dev", "/dev", "--size", shared, "--perms", "1777", "--tmpfs", "/dev/shm",
                 "--size", shared, "--perms", "1777", "--tmpfs", "/tmp"]  # fmt: skip
        if self.gpu:
            for device in sorted(Path("/dev").glob("nvidia*")):
                argv += ["--dev-bind", str(device), str(device)]
        argv += ["--bind", str(folder), str(INSIDE)]
        shown = {path: path for path in (*_interpreter_folders(), watcher_folder())}
        for outside, seen_as in {**shown, **self.read_only}.items():
            for parent in reversed(seen_as.parents[:-1]):  # else they copy the host's modes, closed to nobody
                if not parent.is_relative_to(INSIDE) and not parent.is_relative_to("/usr"):
                    argv += ["--perms", "0755", "--dir", str(parent)]
            argv += ["--ro-bind", str(outside.resolve()), str(seen_as)]
        argv += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/"]
        for name, value in environment.items():
            argv += ["--setenv", name, value]
        return [*argv, "--"]


def _interpreter_folders() -> tuple[Path, ...]:
    """What this Python needs to start: its environment and the installation behind it, where not in /usr."""
    found = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent}
    return tuple(sorted(path for path in found if not path.is_relative_to("/usr")))


def _give(folder: Path, uid: int, gid: int) -> None:
    """Change the owner of ``folder`` and all in it; links themselves, never what they point to."""
    os.chown(folder, uid, gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                os.chown(Path(parent) / name, uid, gid, follow_symlinks=False)


def _ended_by_signal(returncode: int) -> str | None:
    number = -returncode if returncode < 0 else returncode - 128
    return {signal.SIGXFSZ: "file size", signal.SIGXCPU: "CPU time"}.get(number) if number > 0 else None  # type: ignore[call-overload]


def _watch(
    process: subprocess.Popen[bytes],
    folder: Path,
    limits: Limits,
    started: float,
    on_output: Callable[[bytes], None] | None,
) -> tuple[bytes, str | None, int, float]:
    """Collect output and poll the totals until the tree has ended: output, limit broken, peak memory, CPU time."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    tree = ProcessTree(process.pid)
    kept, seen, peak, ended_by = bytearray(), 0, 0, None
    free_at_start = shutil.disk_usage(folder).free
    next_poll = 0.0
    try:
        while ended_by is None:
            piece = _read(process.stdout, POLL_SECONDS)
            if piece:
                seen += len(piece)
                kept += piece
                if on_output is not None:
                    on_output(piece)
                if seen > limits.output_bytes:
                    ended_by = "output"
            elif process.poll() is not None:
                break
            if (now := time.monotonic()) < next_poll:
                continue
            count, memory = tree.measure(limits.memory_bytes)
            peak = max(peak, memory)
            used = folder_size(folder, stop_at=limits.folder_bytes)
            # Deleted files that are still open fill the disk without showing in the folder.
            lost = free_at_start - shutil.disk_usage(folder).free
            # Looking takes a tenth of the time at most, and is not put off for longer than a program could do harm.
            cost = time.monotonic() - now
            next_poll = now + cost + min(max(POLL_SECONDS, 9 * cost), SLOWEST_POLL_SECONDS)
            if now - started > limits.wall_seconds:
                ended_by = "wall time"
            elif memory > limits.memory_bytes:
                ended_by = "memory"
            elif count > limits.processes:
                ended_by = "processes"
            elif used > limits.folder_bytes or (lost > limits.folder_bytes and shutil.disk_usage(folder).free < GIB):
                ended_by = "disk"
    finally:
        if process.poll() is None:
            # Only a late but orderly program gets to tidy up; one that eats a resource is ended at once.
            tree.end(grace=TERM_GRACE_SECONDS if ended_by == "wall time" else 0.0)
        process.wait()
        while piece := _read(process.stdout, 0.0):
            if len(kept) < limits.output_bytes:
                kept += piece
        process.stdout.close()
    return bytes(kept[-limits.output_bytes :]), ended_by, peak, tree.cpu_seconds


def _read(stream: IO[bytes], wait: float) -> bytes:
    ready, _, _ = select.select([stream], [], [], wait)
    if not ready:
        return b""
    try:
        piece = os.read(stream.fileno(), 1 << 16)
    except BlockingIOError:
        return b""
    if not piece and wait:
        time.sleep(wait)  # closed output, program still running: poll, do not spin
    return piece
