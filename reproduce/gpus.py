"""Asks nvidia-smi which GPUs and driver this machine has, or says why that is not known."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

PATIENCE = 20.0  # seconds: nvidia-smi takes one on a healthy machine, and never answers with a GPU off the bus
_QUERY = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
_UNKNOWN = {"", "n/a", "[n/a]", "not supported", "[not supported]", "unknown error", "[unknown error]"}


@dataclass(frozen=True)
class Gpus:
    """``names`` with their memory, one a GPU; ``why`` says why they are not known, and is empty where they are.

    ``driver`` is None where it is not known. No GPU that is known has no name and an empty ``why``.
    """

    names: tuple[str, ...] = ()
    driver: str | None = None
    why: str = ""

    @property
    def count(self) -> int | None:
        """How many there are; None where that is not known."""
        return None if self.why else len(self.names)

    def usable(self, environment: Mapping[str, str]) -> int:
        """How many a run in ``environment`` can count on: what CUDA_VISIBLE_DEVICES leaves of the known ones."""
        shown = environment.get("CUDA_VISIBLE_DEVICES")
        if shown is None:
            return len(self.names)
        chosen = [part.strip() for part in shown.split(",")]
        valid = chosen[: next((i for i, one in enumerate(chosen) if one in ("", "-1", "NoDevFiles")), len(chosen))]
        return min(len(valid), len(self.names))

    def __str__(self) -> str:
        if self.why:
            return f"GPU not known ({self.why})"
        kinds = [f"{self.names.count(name)} x {name}" for name in dict.fromkeys(self.names)]
        return ", ".join(kinds) + f", driver {self.driver or 'not known'}" if kinds else "no GPU"


@cache  # machines do not grow GPUs while we run
def find_gpus() -> Gpus:
    """The GPUs of this machine; never raises and never waits longer than ``PATIENCE`` seconds."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Gpus(why="no nvidia-smi on the PATH")
    try:
        answer = _ask([program, *_QUERY])
    except subprocess.TimeoutExpired:
        return Gpus(why=f"nvidia-smi gave no answer in {PATIENCE:g} s")
    except OSError as error:
        return Gpus(why=f"nvidia-smi cannot be started: {error.strerror or error}")
    if "no devices were found" in answer.stdout.lower():
        return Gpus()
    if answer.returncode != 0:
        return Gpus(why=_cut(f"nvidia-smi ended with exit code {answer.returncode}: {answer.stdout}"))
    return read_answer(answer.stdout)


def read_answer(text: str) -> Gpus:
    """The GPUs in a table of name, memory and driver version, a line each, as nvidia-smi prints it."""
    names, drivers = [], []
    for line in filter(str.strip, text.splitlines()):
        cells = [cell.strip() for cell in line.rsplit(",", 2)]
        if len(cells) < 3 or cells[0].lower() in _UNKNOWN or not cells[0].isprintable():
            return Gpus(why=_cut(f"nvidia-smi answered {line.strip()!r}"))
        name, memory, driver = cells
        names.append(name if memory.lower() in _UNKNOWN else f"{name} ({memory})")
        if driver.lower() not in _UNKNOWN:
            drivers.append(driver)
    if not names:
        return Gpus(why="nvidia-smi answered nothing")
    return Gpus(tuple(names), drivers[0] if drivers else None)


def _ask(argv: list[str]) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        # One that waits for a broken driver cannot be killed: it is left to the system, not waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        assert process.stdout is not None
        process.stdout.close()
        raise
    return subprocess.CompletedProcess(argv, process.returncode, said)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"
