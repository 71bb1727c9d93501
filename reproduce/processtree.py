"""Measures and ends a process with all its descendants, and sizes the folder they write."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ProcessTree:
    """The process ``root`` and everything it started, as /proc shows them from outside their namespace."""

    def __init__(self, root: int) -> None:
        self.root = root
        self._members: set[int] = {root}
        self._seconds: dict[int, float] = {}

    def members(self) -> set[int]:
        """Process ids now alive in the tree; one that was re-parented away stays a member."""
        children: dict[int, list[int]] = {}
        alive = set()
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            parent = _parent(int(entry.name))
            if parent is not None:
                alive.add(int(entry.name))
                children.setdefault(parent, []).append(int(entry.name))
        found, queue = set(), [*(self._members & alive)]
        while queue:
            pid = queue.pop()
            if pid not in found:
                found.add(pid)
                queue += children.get(pid, [])
        self._members = found | {self.root}
        return found

    def measure(self, exact_above: int) -> tuple[int, int]:
        """Number of processes, and bytes of memory they hold together.

        Resident pages are cheap to read but count a shared page once a process; beyond ``exact_above`` bytes the
        proportional figure, which is slower, decides.
        """
        members = self.members()
        resident = sum(_resident(pid) for pid in members)
        for pid in members:
            self._seconds[pid] = max(self._seconds.get(pid, 0.0), _cpu_seconds(pid))
        if resident > exact_above:
            resident = sum(_proportional(pid) for pid in members)
        return len(members), resident

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all processes seen so far, as of the last measurement."""
        return sum(self._seconds.values())

    def end(self, grace: float) -> None:
        """SIGTERM the tree, wait up to ``grace`` seconds, then SIGKILL what is left until nothing is."""
        if grace > 0:
            for pid in self.members() - {self.root}:
                _signal(pid, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while time.monotonic() < deadline and len(self.members() - {self.root}) > 0:
                time.sleep(0.02)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.root, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while (left := self.members() - {self.root}) and time.monotonic() < deadline:
            for pid in left:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.01)


def folder_size(folder: Path, stop_at: int) -> int:
    """Bytes allocated below ``folder`` (links not followed); stops counting once past ``stop_at``.

    Each entry costs 4 KiB at least, so that a million empty files are not free.
    """
    total, queue = 0, [str(folder)]
    while queue and total <= stop_at:
        try:
            entries = list(os.scandir(queue.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            total += max(status.st_blocks * 512, 4096)
            if entry.is_dir(follow_symlinks=False):
                queue.append(entry.path)
    return total


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _parent(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rfind(")") + 2 :].split()  # the name before it may hold anything
    return None if fields[0] in "ZX" else int(fields[1])


def _cpu_seconds(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0.0
    user, system = text[text.rfind(")") + 2 :].split()[11:13]
    return (int(user) + int(system)) / TICKS


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return _resident(pid)
