"""Describes what a run ran on: interpreter, libraries, GPU, driver, commit, environment without its secrets."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from reproduce.gpus import Gpus, find_gpus

# The libraries that can move a score: recorded where installed.
_LIBRARIES = (
    "torch", "triton", "numpy", "sentencepiece", "zstandard", "brotli", "flash-attn", "flash-attn-3", "scipy",
    "tiktoken", "golfproof", "ray",
)  # fmt: skip
_SECRET_WORDS = {
    "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "CREDENTIAL", "CREDENTIALS", "COOKIE", "APIKEY", "AUTH", "KEY",
    "SESSION", "DSN", "PAT",
}  # fmt: skip
_SECRET_VALUE = re.compile(r"^(hf_|gh[pousr]_|github_pat_|sk-|xox[abprs]-|AKIA|glpat-|eyJ)[A-Za-z0-9_\-.]{12,}")
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
REDACTED = "<redacted>"


def is_secret(name: str, value: str) -> bool:
    """Whether a variable looks like a credential, by a word of its name or the shape of its value.

    ``TOKENIZER_PATH``, ``TTT_CHUNK_TOKENS`` and numbers are none.
    """
    if _SECRET_VALUE.match(value):
        return True
    words = set(re.split(r"[^A-Z0-9]+", name.upper()))
    return bool(words & _SECRET_WORDS) and not re.fullmatch(r"-?[0-9.]*", value)


def redact(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with credentials replaced by ``<redacted>`` and logins cut out of addresses."""
    return {
        name: REDACTED if is_secret(name, value) else _LOGIN_IN_URL.sub("", value)
        for name, value in sorted(environment.items())
    }


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment a trainer gets: no credentials of the person who runs it."""
    return {name: value for name, value in environment.items() if not is_secret(name, value)}


def describe_machine() -> dict[str, Any]:
    """Interpreter, library versions, processor count, memory in bytes, GPUs with driver; nothing is imported for it.

    ``gpu_count`` is None where it is not known, and ``gpus_unknown`` then says why; ``visible_gpus`` is what
    CUDA_VISIBLE_DEVICES leaves of them to a run (None: all).
    """
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    gpus = find_gpus()
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "versions": versions,
        "cpus": os.cpu_count(),
        "memory_bytes": _memory(),
        "gpus": list(gpus.names),
        "gpu_count": gpus.count,
        "driver": gpus.driver,
        "gpus_unknown": gpus.why or None,
        "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }


def machine_line(machine: Mapping[str, Any]) -> str:
    """``host: 8 x NVIDIA H100 (81559 MiB), driver 550.54; Python 3.12.3, torch 2.11.0`` of a recorded machine."""
    gpus = Gpus(tuple(machine.get("gpus") or ()), machine.get("driver"), machine.get("gpus_unknown") or "")
    versions = machine.get("versions") or {}
    libraries = [f"{name} {versions[name]}" for name in ("torch",) if name in versions]
    visible = machine.get("visible_gpus")
    shown = "" if visible is None else f", of which the run sees {visible or 'none'}"
    told = "; ".join((f"{gpus}{shown}", ", ".join([f"Python {machine.get('python', '?')}", *libraries])))
    return f"{machine.get('host') or 'unknown machine'}: {told}"


def git_commit(folder: Path) -> str | None:
    """``<commit>`` or ``<commit>+changes`` of the repository ``folder`` lies in; None outside one or without git."""
    if shutil.which("git") is None:
        return None
    # A stranger's repository may configure a program for git to start: not for us.
    git = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    commit = _output([*git, "rev-parse", "HEAD"])
    if not commit:
        return None
    dirty = _output([*git, "status", "--porcelain", "--", "."])
    return commit + ("+changes" if dirty else "")


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _output(argv: list[str]) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
