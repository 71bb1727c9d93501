"""Finds the configuration that logs print: dumps of hyperparameters, and figures that the trainer logs by name."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from audit.source import Module
from reproduce.folder import SubmissionFolder

_MAX_LOGS = 6
_HEAD_CHARACTERS = 1 << 20
_DUMP_LINES = 6  # this many known names in a row make a dump
_ENTRY = re.compile(r"\s*['\"]?([A-Za-z_]\w*)['\"]?\s*[:=]\s*(.*?),?\s*$")
_PAIR = re.compile(r"(?<![\w.])([A-Za-z_]\w*)[:=]\s?([^\s,;|()\[\]{}]+)(?=\s|$)")
_TRAINING = re.compile(r"^\W*(?:step[: ]?\d+/|\d+/\d+ (?:train|val)_loss|warmup_step)")
_LITERAL = re.compile(r"-?\d|True$|False$|None$|['\"\[(]|[\w./:-]+$")
_SIDE_LOG = re.compile(r"baseline|ablat|smoke|debug|control|sanity|reference|_old|failed|probe|build|install", re.I)


@dataclass(frozen=True)
class Logged:
    """A value that logs print, with the first place; ``disagreement`` lists the values where logs differ."""

    value: str
    place: str
    disagreement: str = ""


def read_logged(
    folder: SubmissionFolder, modules: tuple[Module, ...], attributes: frozenset[str], variables: frozenset[str]
) -> dict[str, Logged]:
    """Values of the program's own settings in its logs, by attribute name.

    A figure counts where it stands in a dump of settings, or where the program's text prints just that attribute under
    that name (``f"seq_len:{args.seq_len}"``); a name that happens to fit does not.
    """
    wanted = {name: name for name in attributes}
    wanted.update({name.lower(): name.lower() for name in variables if name.lower() in attributes})
    if not wanted or not folder.logs:
        return {}
    chosen = [log for log in folder.logs if not _SIDE_LOG.search(log.name)] or list(folder.logs)
    printed = _printed_by_name(modules, attributes)
    own_lines = {line.strip() for module in modules for line in module.lines if ":" in line or "=" in line}
    values: dict[str, list[tuple[str, str]]] = {}
    for log in chosen[:_MAX_LOGS]:
        for name, value, line in _read(log, wanted, printed, own_lines):
            values.setdefault(name, []).append((value, f"{folder.relative(log)} line {line}"))
    found: dict[str, Logged] = {}
    for name, seen in values.items():
        counts = Counter(value for value, _ in seen)
        value = counts.most_common(1)[0][0]
        place = next(place for candidate, place in seen if candidate == value)
        found[name] = Logged(value, place, ", ".join(sorted(counts)) if len(counts) > 1 else "")
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
    log: Path, wanted: dict[str, str], printed: frozenset[str], own_lines: set[str]
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
        ):
            name = wanted.get(entry[1]) or wanted.get(entry[1].lower())
            if name:
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
