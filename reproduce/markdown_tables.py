"""Reads the pipe tables of a README: headings and cells as plain text, in linear time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

COLUMNS, ROWS, TABLES = 100, 1000, 200  # larger tables are reported, not read


@dataclass(frozen=True)
class Table:
    """``headings`` in lower case; ``rows`` of plain cells; ``bold`` says which cells were bold; ``line`` is 1-based."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: tuple[tuple[bool, ...], ...]
    line: int


def plain(cell: str) -> str:
    """A cell without markdown's emphasis, code marks and outer blanks."""
    return cell.replace("**", "").replace("__", "").replace("`", "").strip().strip("*").strip()


def tables(text: str, warnings: list[str]) -> Iterator[Table]:
    """Every pipe table of a text. What is too large to be a table of results is named in ``warnings``."""
    lines = text.splitlines()
    at, found = 0, 0
    while at + 1 < len(lines):
        if "|" not in lines[at] or not _is_rule(lines[at + 1]):
            at += 1
            continue
        start = at
        headings = _cells(lines[at])
        at += 2
        rows: list[list[str]] = []
        while at < len(lines) and "|" in lines[at]:
            if len(rows) < ROWS and len(headings) <= COLUMNS:
                rows.append(_cells(lines[at])[:COLUMNS])
            at += 1
        found += 1
        if len(headings) > COLUMNS:
            warnings.append(f"README line {start + 1}: a table of {len(headings)} columns was not read")
            continue
        if found > TABLES:
            warnings.append(f"README: only the first {TABLES} tables were read")
            return
        yield Table(
            tuple(plain(cell).lower() for cell in headings),
            tuple(tuple(plain(cell) for cell in row) for row in rows),
            tuple(tuple(cell.strip().startswith("**") for cell in row) for row in rows),
            start + 1,
        )


def _is_rule(line: str) -> bool:
    return "-" in line and not line.strip().strip("|-: \t").strip() and not set(line.strip()) - set("|-: \t")


def _cells(line: str) -> list[str]:
    body = line.strip()
    body = body[1:] if body.startswith("|") else body
    body = body[:-1] if body.endswith("|") else body
    return body.split("|")
