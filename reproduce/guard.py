"""Ends every process of a run once its harness is gone, however the harness ended.

A run's processes all carry ``GOLFPROOF_RUN=<token>`` in their environment, so that torchrun's workers, which move to
sessions of their own, are found as well. As a program, ``python guard.py TOKEN``, it waits for the end of its standard
input, which only the harness holds open, and then ends the run. It needs the standard library alone.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

VARIABLE = "GOLFPROOF_RUN"


def marked(token: str) -> list[int]:
    """Ids of the living processes whose environment carries ``token``; empty where there is no /proc (macOS)."""
    wanted = f"{VARIABLE}={token}".encode()
    found = []
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - a generator over /proc would trip over processes that end
    except OSError:
        return []
    for name in names:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            environment = Path("/proc", name, "environ").read_bytes()
        except OSError:
            continue  # ended in between, or somebody else's
        if wanted in environment.split(b"\0"):
            found.append(int(name))
    return found


def end_marked(token: str) -> int:
    """Kill the processes that carry ``token`` until none is left (more may be born meanwhile); how many were hit."""
    hit: set[int] = set()
    for _ in range(20):
        living = [pid for pid in marked(token) if not _is_zombie(pid)]
        if not living:
            break
        for pid in living:
            hit.add(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
    return len(hit)


def _is_zombie(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def main() -> None:
    """Wait for the harness to go, then end the run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C meant for the harness must not disarm it
    try:
        while os.read(0, 1):
            pass
    finally:
        end_marked(sys.argv[1])


if __name__ == "__main__":
    main()
