"""Finds the figures in one line of a log: key and value pairs, steps, sizes and times, in linear time."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

WIDTH = 4096  # characters of a line that are searched for figures

# Every quantifier that could walk far is possessive or bounded, and a word is entered only at its first letter, so that
# no text makes the search backtrack.
_NUMBER = r"[-+]?(?:\d[\d,_]*+(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?|[-+]?(?:nan|inf)\b"
_PAIR = re.compile(
    rf"(?<!\w)([A-Za-z_]\w*+)(?:\s?\([^()]{{0,30}}\))?[\"']?\s*+[:=]\s*+[\"']?({_NUMBER})([A-Za-z%]*+)", re.IGNORECASE
)
_STEP = re.compile(
    r"\s{0,20}(?:\[[^\]]{0,60}\]\s{0,5})?(?:"
    r"(?:training )?(?:step|iter|iteration|it)\b[ :=#]{0,5}\[?(\d{1,9})(?:\s?/\s?(\d{1,9}))?(?!\w|\.\d)"
    r"|(\d{1,9})/(\d{1,9}):?\s+(?=(?:val|train)_?\s?loss))",
    re.IGNORECASE,
)
_SIZE = re.compile(r"(?<![\w.])(\d[\d,_]*+(?:\.\d++)?)\s?(bytes|byte|b|kb|mb|kib|mib)\b", re.IGNORECASE)
_UNITS = {"bytes": 1, "byte": 1, "b": 1, "kb": 1000, "mb": 1_000_000, "kib": 1024, "mib": 1 << 20}
_OF = re.compile(r"(?<![\w.])(\d{1,9})\s?/\s?(\d{1,9})(?![\w.])")


@dataclass(frozen=True)
class Pair:
    """``key`` in lower case, ``value`` (finite or not), ``unit`` as printed, ``text`` the digits, ``at`` its column."""

    key: str
    value: float
    unit: str
    text: str
    at: int

    @property
    def digits(self) -> int:
        """Decimals printed."""
        return len(self.text.partition(".")[2]) if "e" not in self.text.lower() else 8


def number(text: str) -> float | None:
    """The number that ``text`` spells (``1,234``, ``16_000``, ``1e-3``); None where it spells none."""
    try:
        return float(text.strip().replace(",", "").replace("_", ""))
    except (ValueError, OverflowError):
        return None


def pairs(line: str) -> list[Pair]:
    """All ``key:value`` and ``key = value`` pairs with a number as value, from left to right."""
    found = []
    for match in _PAIR.finditer(line, 0, WIDTH):
        digits = match[2].rstrip(",_")
        value = number(digits)
        if value is not None:
            found.append(Pair(match[1].lower(), value, match[3], digits, match.start()))
    return found


def step_of(line: str) -> tuple[int, int | None] | None:
    """``(step, planned steps)`` where the line reports a training step."""
    match = _STEP.match(line, 0, 200)
    if not match:
        return None
    if match[3]:
        return int(match[3]), int(match[4])
    return int(match[1]), int(match[2]) if match[2] else None


def counted(text: str) -> bool:
    """Whether the text counts parts of a whole (``[12/474]``, ``52.9%``): progress, not a result."""
    return "%" in text or _OF.search(text, 0, WIDTH) is not None


def seconds(value: float, unit: str) -> float | None:
    """A time in seconds from a value with its unit; a bare number has no unit and gives None."""
    unit = unit.lower()
    if not math.isfinite(value) or value < 0:
        return None
    if unit in ("ms", "msec"):
        return value / 1000
    if unit in ("s", "sec", "secs", "second", "seconds"):
        return value
    if unit in ("m", "min", "mins", "minutes"):
        return value * 60
    if unit in ("h", "hours"):
        return value * 3600
    return None


def sizes_in(line: str) -> list[tuple[str, int, bool]]:
    """``(label before it, bytes, whether exact)`` for every size with a unit on the line."""
    found = []
    for match in _SIZE.finditer(line, 0, 400):
        value = number(match[1])
        unit = match[2].lower()
        if value is not None and math.isfinite(value) and value < 1e15:
            label = line[: match.start()].strip(" :=|\t~")[-120:]
            found.append((label, round(value * _UNITS[unit]), _UNITS[unit] == 1))
    return found
