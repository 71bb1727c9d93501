"""Finds the configuration that logs print: dumps of hyperparameters, and figures that the trainer logs by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.source import Module
from reproduce.folder import SubmissionFolder

_MAX_LOGS = 6
_HEAD_CHARACTERS = 1 << 20
_DUMP_LINES = 6  # this many known names in a row make a dump
_ENTRY = re.compile(r"\s*['\"]?([A-Za-z_]\w*)['\"]?\s*[:=]\s*(.*?),?\s*$")
_PAIR = re.compile(r"(?<![\w.])([A-Za-z_]\w*)[:=]\s?([^\s,;|()\[\]{}]+)(?=\s|$)")
_TYPE_NAME = re.compile(r"(?:str|int|float|bool|list|dict|tuple|bytes|object|Tensor|torch\.\w+|nn\.\w+)\b")
_TRAINING = re.compile(r"^\W*(?:step[: ]?\d+/|\d+/\d+ (?:train|val)_loss|warmup_step)")
_LITERAL = re.compile(r"-?\d|True$|False$|None$|['\"\[(]|[\w./:-]+$")
_SIDE_LOG = re.compile(r"baseline|ablat|smoke|debug|control|sanity|reference|_old|failed|probe|build|install", re.I)


@dataclass(frozen=True)
class Logged:
    """What logs print for one attribute: each value with the number of logs and the first place that print it."""

    values: Mapping[str, tuple[int, str]]
    value: str
    place: str

    def preferring(self, resolved: Any) -> Logged:
        """The same, a tie between logs that differ decided for the value resolved without them."""
        most = max(count for count, _ in self.values.values())
        for value, (count, place) in self.values.items():
            if count == most and same_value(value, resolved):
                return Logged(self.values, value, place)
        return self


def same_value(left: Any, right: Any) -> bool:
    """Whether two values, or their texts, say the same: 0.50 and 0.5, True and 1, the same items."""
    left, right = ({"True": 1, "False": 0}.get(str(side), side) for side in (left, right))
    if str(left) == str(right):
        return True
    try:
        return float(left) == float(right)
    except (ValueError, TypeError):
        return str(left).replace(" ", "") == str(right).replace(" ", "")


def read_logged(folder: SubmissionFolder, modules: tuple[Module, ...], attributes: frozenset[str]) -> dict[str, Logged]:
    """Values of the program's own settings in its logs, by attribute name.

    A figure counts where it stands in a dump of settings, or where the program's text prints just that attribute under
    that name (``f"seq_len:{args.seq_len}"``); a name that happens to fit does not.
    """
    if not attributes or not folder.logs:
        return {}
    chosen = [log for log in folder.logs if not _SIDE_LOG.search(log.name)] or list(folder.logs)
    printed = _printed_by_name(modules, attributes)
    own_lines = {line.strip() for module in modules for line in module.lines if ":" in line or "=" in line}
    seen: dict[str, dict[str, tuple[int, str]]] = {}
    for log in chosen[:_MAX_LOGS]:
        for name, value, line in _read(log, attributes, printed, own_lines):
            values = seen.setdefault(name, {})
            count, place = values.get(value, (0, f"{folder.relative(log)} line {line}"))
            values[value] = (count + 1, place)
    found: dict[str, Logged] = {}
    for name, values in seen.items():
        value = max(values, key=lambda text: values[text][0])  # the first of equals
        found[name] = Logged(values, value, values[value][1])
    return found


def _printed_by_name(modules: tuple[Module, ...], attributes: frozenset[str]) -> frozenset[str]:
    """Attributes that the program prints under their own name."""
    pattern = re.compile(r"(?<![\w.])(\w+)[:=]\s?\{\s*\w+(?:\.\w+)*?\.(\w+)\s*(?:![rs])?(?::[^{}]*)?\}")
    return frozenset(
        match[1]
        for module in modules
        for match in pattern.finditer(module.text)
        if match[1] == match[2] and match[1] in attributes
    )


def _read(
    log: Path, wanted: frozenset[str], printed: frozenset[str], own_lines: set[str]
) -> list[tuple[str, str, int]]:
    with log.open("r", encoding="utf-8", errors="replace") as stream:
        head = stream.read(_HEAD_CHARACTERS)
    found: list[tuple[str, str, int]] = []
    seen: set[str] = set()
    block: list[tuple[str, str, int]] = []

    def close() -> None:
        if len(block) >= _DUMP_LINES:
            for name, value, line in block:
                if name not in seen:
                    seen.add(name)
                    found.append((name, value, line))
        block.clear()

    gap = 0
    for number, line in enumerate(head.split("\n"), 1):
        if len(line) > 2000:
            continue
        if _TRAINING.match(line):
            break
        text = line.strip()
        if text in own_lines:
            continue  # the log prints the source
        entry = _ENTRY.match(line)
        if (
            entry
            and len(entry[2]) < 300
            and " " not in entry[2].strip("[](){}'\"").replace(", ", ",")
            and _LITERAL.match(entry[2])
            and not _TYPE_NAME.match(entry[2])  # an annotation: the log prints some source
        ):
            name = entry[1] if entry[1] in wanted else entry[1].lower()
            if name in wanted:
                block.append((name, entry[2].strip("'\""), number))
                gap = 0
            else:
                gap += 1  # a computed value between the settings of a dump
        else:
            gap += 1
        if gap > 4:
            close()
            gap = 0
        for pair in _PAIR.finditer(line):
            name = pair[1]
            if name in printed and name not in seen and _LITERAL.match(pair[2]):
                seen.add(name)
                found.append((name, pair[2].strip("'\""), number))
    close()
    return found
