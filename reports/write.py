"""Writes a report's files into a folder: each appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from reports.formats import render
from reports.report import Report

SUFFIXES = {
    "html": ".html",
    "markdown": ".md",
    "json": ".json",
    "sarif": ".sarif",
    "junit": ".junit.xml",
    "github": ".annotations.txt",
    "terminal": ".txt",
}


def write_reports(found: Report, folder: str | Path, *, name: str = "report") -> dict[str, Path]:
    """Write ``name``.html, .md and .json into ``folder`` (made if missing); gives the paths by format."""
    written = write_all(found, folder, ("html", "markdown", "json"), name=name)
    return {SUFFIXES[kind][1:]: path for kind, path in written.items()}


def write_all(found: Report, folder: str | Path, formats: Iterable[str], *, name: str = "report") -> dict[str, Path]:
    """Write these formats into ``folder`` (made if missing); all are made before the first is written."""
    texts = {kind: render(found, kind) for kind in formats}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return {kind: write_text(folder / f"{name}{SUFFIXES[kind]}", text) for kind, text in texts.items()}


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
