"""Writes a file so that a crash, a full disk or a lost power supply leaves the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from reproduce.errors import InputError


def write_bytes(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: write beside it, fsync, rename, fsync the folder.

    Raises OSError, leaving ``path`` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, durably."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``. Raises InputError where it is unreadable or something else."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(path, "a readable file", error.strerror or str(error)) from error
    except ValueError as error:
        raise InputError(path, "a JSON object", f"invalid JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(path, "a JSON object", type(value).__name__)
    return value


def sync(path: Path) -> None:
    """Ask the disk to keep what is in ``path`` (a file, or a folder's entries) before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
