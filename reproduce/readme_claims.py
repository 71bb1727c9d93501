"""Reads what a README says beside the score that it claims: the artifact's size, the machine, the training time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from reproduce.machine_names import machine_in
from reproduce.markdown_tables import Table, plain, tables

LINES, WIDTH = 2000, 1000  # of a README that are read

_NUMBER = re.compile(r"(?<![\w.,])(\d{1,2}\.\d{3,12})(?![\w])(?!\.\d)")
_HEADLINE = re.compile(
    r"(?:#{1,4}[^\n]{0,200}?|(?:[>*_` -]|mean |final |best )*)\bval[_ -]?bpb[`*_ ]{0,4}[:=][`*_ ]{0,4}"
    r"(\d\.\d{3,12})(?![\w])(?!\.\d)",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"diagnostic|baseline|target|sota|record to|previous|leader|compare|\bvs\b|\bold\b|expect", re.IGNORECASE
)
_SIZE = re.compile(r"(?<![\w.,])(\d{1,3}(?:\.\d{1,6})?)\s?(MB|MiB)\b|(?<![\w.,])(\d{1,3}(?:,\d{3}){2})(?![\w])(?!,\d)")
_NOT_ARTIFACT = re.compile(
    r"uncompressed|unpacked|raw|fp32|fp16|bf16|param|before|memory|peak|vram|checkpoint|pre-?quant|data ?set|shard|"
    r"other|baseline|would|without|headroom|margin|spare|left|under|limit of|budget",
    re.IGNORECASE,
)
_OF_ARTIFACT = re.compile(r"artifact|submission|total|compressed|bytes|\bsize\b|\bmb\b", re.IGNORECASE)
_OF_TIME = re.compile(r"train\w*[ _-]{0,3}(?:wall[ _-]?clock|time|seconds|duration)", re.IGNORECASE)
_TIME = re.compile(r"[~≈]?\s?(\d[\d,]{0,8}(?:\.\d{1,3})?)\s?(ms|s|sec|seconds|min|minutes|h|hours)\b", re.IGNORECASE)
_SECONDS = {
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "seconds": 1.0,
    "min": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hours": 3600.0,
}


@dataclass(frozen=True)
class Said:
    """A figure in bytes, seconds or bits per byte; ``decimals`` as written (negative: rounded above the unit)."""

    value: float
    decimals: int
    line: int  # 1-based


@dataclass(frozen=True)
class Beside:
    """What stands beside the claimed score; None where nothing, or more than one thing, does."""

    bytes_total: Said | None = None
    train_seconds: Said | None = None
    hardware: str | None = None
    hardware_line: int = 0


def headline(text: str) -> Said | None:
    """The first ``val_bpb: 1.2345`` in a heading of a README's opening or at the start of a line; None without one."""
    for number, line in enumerate(text.splitlines()[:60], 1):
        match = _HEADLINE.match(line[:WIDTH])
        if match and not _OTHERS.search(match[0]):
            return Said(float(match[1]), len(match[1].partition(".")[2]), number)
    return None


def beside(text: str, score: float, warnings: list[str]) -> Beside:
    """What the README's lines and table rows that hold ``score`` (bits per byte) say of size, machine and time."""
    found = Beside()
    inside: set[int] = set()
    for table in tables(text, warnings):
        inside.update(range(table.line, table.line + 2 + len(table.rows)))
        found = _joined(found, _of_table(table, score))
    for number, line in enumerate(text.splitlines()[:LINES], 1):
        if number not in inside and (at := _holds(line[:WIDTH], score)) is not None:
            found = _joined(found, _of_line(plain(line[:WIDTH]), line[at:WIDTH], number))
    return found


def _joined(ours: Beside, theirs: Beside) -> Beside:
    """What was found first stands."""
    return replace(
        ours,
        bytes_total=ours.bytes_total or theirs.bytes_total,
        train_seconds=ours.train_seconds or theirs.train_seconds,
        hardware=ours.hardware or theirs.hardware,
        hardware_line=ours.hardware_line or theirs.hardware_line,
    )


def _holds(text: str, score: float) -> int | None:
    """The column after the score in a text that gives it to three or more decimals; None where it does not."""
    for match in _NUMBER.finditer(text):
        decimals = len(match[1].partition(".")[2])
        if abs(float(match[1]) - score) <= 0.5000001 * 10.0**-decimals and (decimals >= 4 or score == float(match[1])):
            return match.end()
    return None


def _of_line(whole: str, after: str, number: int) -> Beside:
    sizes = list(_sizes(whole, number))
    words = _OF_ARTIFACT.search(_SIZE.sub(" ", whole)) or "|" in whole
    size = sizes[0] if len(sizes) == 1 and words and not _NOT_ARTIFACT.search(whole) else None
    machine = machine_in(after)
    named = machine is not None and machine.count is not None
    return Beside(size, None, after.strip() if named else None, number if named else 0)


def _of_table(table: Table, score: float) -> Beside:
    """A table with one row a run, or with one row a figure."""
    rows = [(table.line + 2 + at, tuple(cell[:WIDTH] for cell in row)) for at, row in enumerate(table.rows)]
    holding = [(number, row) for number, row in rows if any(_holds(cell, score) is not None for cell in row)]
    if not holding:
        return Beside()
    if len(table.headings) == 2:
        size = seconds = None
        for number, row in rows:
            name, cell = row[0], row[1] if len(row) > 1 else ""
            if re.search(r"total|artifact|submission", name, re.IGNORECASE) and not _NOT_ARTIFACT.search(name + cell):
                size = size or next(_sizes(cell, number), None)
            if _OF_TIME.search(name) and "total" not in name.lower():
                seconds = seconds or _time(cell, number)
        return Beside(size, seconds)
    number, row = holding[0]
    cells = list(zip(table.headings, row, strict=False))
    sizes = [
        size
        for heading, cell in cells
        if _OF_ARTIFACT.search(heading) and not _NOT_ARTIFACT.search(heading + " " + cell)
        for size in _sizes(cell, number)
    ]
    machine = machine_in(" ".join(row))
    named = machine is not None and machine.count is not None
    return Beside(sizes[0] if len(sizes) == 1 else None, None, " ".join(row) if named else None, number if named else 0)


def _sizes(text: str, number: int) -> Iterator[Said]:
    for match in _SIZE.finditer(text):
        if float(match[1] or 0) == 16:
            continue  # the cap, which many lines quote beside the size
        if match[3]:
            yield Said(float(match[3].replace(",", "")), 0, number)
        else:
            unit = 1_000_000 if match[2].upper() == "MB" else 1 << 20
            yield Said(float(match[1]) * unit, len(match[1].partition(".")[2]) - 6, number)


def _time(text: str, number: int) -> Said | None:
    match = _TIME.search(text)
    if not match:
        return None
    unit = match[2].lower()
    factor = next(_SECONDS[name] for name in ("ms", "min", "h", "s") if unit.startswith(name))
    return Said(float(match[1].replace(",", "")) * factor, 0, number)
