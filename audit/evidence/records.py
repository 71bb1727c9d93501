"""The official records, and which of them stood on a day."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from reproduce.errors import InputError

TABLE = Path(__file__).with_name("records.toml")


@dataclass(frozen=True)
class Record:
    """One row of the contest's leaderboard; ``val_bpb`` of each seed, ``score`` as the leaderboard prints it."""

    name: str
    date: date
    score: float
    val_bpb: tuple[float, ...]
    pr: int | None = None

    @property
    def label(self) -> str:
        """How a message calls it."""
        return f"#{self.pr} {self.score}" if self.pr else f"{self.name} {self.score}"


@cache
def records() -> tuple[Record, ...]:
    """All records, newest first."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["record"]
    return tuple(Record(**{**row, "val_bpb": tuple(row["val_bpb"])}) for row in rows)


def standing(on: date) -> Record | None:
    """The best record of the days before ``on``; None where there is none."""
    earlier = [record for record in records() if record.date < on]
    return min(earlier, key=lambda record: record.score) if earlier else None


def day(text: str | None) -> date | None:
    """The day that a submission's date names, whatever follows it; None where it names none."""
    match = re.match(r"\s{0,5}(\d{4})-(\d{2})-(\d{2})", text or "")
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def find(wanted: str, on: date | None) -> Record:
    """The record that ``--against`` names: ``record`` (that stood on the day), ``#1493``, or a score such as 1.081.

    Raises InputError for anything else, and for ``record`` without a day.
    """
    text = wanted.strip().lower()
    if text == "record":
        if on is None:
            raise InputError("--against record", "a submission.json with a date", "none")
        found = standing(on)
        if found is None:
            raise InputError("--against record", "a submission after the first record", on.isoformat())
        return found
    number = re.fullmatch(r"#?(\d{1,5})", text)
    if number:
        match = next((record for record in records() if record.pr == int(number[1])), None)
        if match is None:
            raise InputError("--against", "a pull request with a record", wanted)
        return match
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 < score < 20:
        raise InputError("--against", "`record`, a record's pull request, or a score in bits per byte", wanted)
    return Record(f"a score of {score}", date.min, score, (score,))
