"""Writes a report's files into a folder: each appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from reports import html, markdown, report
from reports.report import Report


def write_reports(found: Report, folder: str | Path, *, name: str = "report") -> dict[str, Path]:
    """Write ``name``.html, .md and .json into ``folder`` (made if missing); gives the paths by format."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"html": html.render(found), "md": markdown.render(found), "json": report.to_json(found) + "\n"}
    return {kind: write_text(folder / f"{name}.{kind}", text) for kind, text in texts.items()}


def write_text(path: Path, text: str) -> Path:
    """Replace ``path`` by ``text`` in one step; lone surrogates are written as escapes."""
    data = text.encode("utf-8", errors="backslashreplace")
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
