"""Remembers audits by what they rest on: the submission's files, the analyser's own code, the rules and the profile."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import sqlite3
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_CHUNK = 1 << 20


def default_cache_path() -> Path:
    """Where results are kept unless the caller says otherwise: ``$XDG_CACHE_HOME/golfproof/audits.sqlite``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "golfproof" / "audits.sqlite"


@cache
def code_digest(*rooms: str) -> str:
    """A digest of the analyser's own sources, and of further ``rooms``: no result outlives the code that made it."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("audit", "reproduce", *rooms):
        root = Path(importlib.import_module(name).__path__[0])
        for path in sorted([*root.rglob("*.py"), *root.rglob("*.toml")]):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def folder_digest(folder: Path, files: Iterable[Path]) -> str:
    """A digest of the names and contents of a submission's files."""
    digest = hashlib.blake2b(digest_size=20)
    for path in sorted(files):
        digest.update(path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape") + b"\0")
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        digest.update(b"\0")
    return digest.hexdigest()


class ResultCache:
    """A table of records in one SQLite file; a file that cannot be used is no error, only no cache."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=10.0)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("CREATE TABLE IF NOT EXISTS audits (key TEXT PRIMARY KEY, record TEXT NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            _log.warning("no cache: %s: %s", path, error)
            self._database = None

    def get(self, keys: list[str]) -> dict[str, dict[str, Any]]:
        """The records known under these keys."""
        if self._database is None:
            return {}
        found: dict[str, dict[str, Any]] = {}
        try:
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                marks = ",".join("?" * len(some))
                rows = self._database.execute(f"SELECT key, record FROM audits WHERE key IN ({marks})", some)
                found.update({key: json.loads(record) for key, record in rows})
        except (sqlite3.Error, ValueError) as error:
            _log.warning("the cache cannot be read: %s: %s", self.path, error)
        return found

    def put(self, key: str, record: dict[str, Any]) -> None:
        """Keep a record; a full disk or a locked file costs the record, not the run."""
        if self._database is None:
            return
        try:
            with self._database:
                self._database.execute("INSERT OR REPLACE INTO audits VALUES (?, ?)", (key, json.dumps(record)))
        except sqlite3.Error as error:
            _log.warning("the cache cannot be written: %s: %s", self.path, error)

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None
