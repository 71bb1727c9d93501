"""Reads what a sandboxed program tried that it may not do: the record that its Python processes leave behind."""

from __future__ import annotations

import json
from pathlib import Path

MAX_ATTEMPTS = 200


def watcher_folder() -> Path:
    """The folder whose sitecustomize module makes every Python process of the sandbox keep the record."""
    return Path(__file__).resolve().parent / "watcher"


def read_attempts(path: Path) -> tuple[str, ...]:
    """Distinct attempts in order, one line each (``opened for reading: /etc/shadow``); hostile text is escaped.

    The program can tamper with the record: what stands in it was tried, what does not stand in it may have been too.
    """
    if not path.is_file() or path.is_symlink():
        return ()
    found: dict[str, None] = {}
    with path.open("rb") as stream:
        text = stream.read(1 << 20).decode("utf-8", "replace")
    for line in text.splitlines():
        try:
            kind, what = json.loads(line)
        except (ValueError, TypeError):
            continue
        found[f"{kind}: {ascii(str(what))[1:-1][:300]}"] = None
        if len(found) == MAX_ATTEMPTS:
            break
    return tuple(found)
