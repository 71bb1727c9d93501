"""Finds settings that a README lists, and that a log's head repeats, where no command shows how the run was started."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from audit.source import Module
from reproduce.folder import SubmissionFolder

_FENCED = re.compile(r"^[ \t]*(```|~~~)[^\n]*\n(.*?)^[ \t]*\1", re.M | re.S)
_LINE = re.compile(r"""(?:export[ \t]+)?([A-Z][A-Z0-9_]{2,})=("[^"\n]*"|'[^'\n]*'|[^\s"']*)[ \t]*\\?$""")
_LIST = re.compile(r"""(["'])((?:[A-Z][A-Z0-9_]{2,}=[^;"'\n]*;[ ]?)+[A-Z][A-Z0-9_]{2,}=[^;"'\n]*);?\1""")
_PAIR = re.compile(r"(?<![\w.{])([A-Z][A-Z0-9]*_[A-Z0-9_]+)=([\w./+-]+)(?=[\s,;|)\]]|$)")
_TRAINING = re.compile(r"^\W*(?:step[: ]?\d+/|\d+/\d+ (?:train|val)_loss|warmup_step)")
_READ = re.compile(r"""(?:environ(?:\.get)?|getenv)[ \t]*[(\[][ \t]*["']([A-Z][A-Z0-9_]{2,})["']""")
_SWITCH = re.compile(r"(?:USE|ENABLE|DO|RUN)_([A-Z0-9]+(?:_[A-Z0-9]+)*)|([A-Z0-9]+(?:_[A-Z0-9]+)*)_(?:ENABLED?|ON)")
_WORD = re.compile(r"[A-Za-z0-9]+")
_DENIED = re.compile(r"\b(?:no|without|w/o|minus|pre|before|vs\.?|instead of)[ -]+[\w-]+", re.I)
FEWEST_LINES = 3
HEAD_CHARACTERS = 1 << 15
MOST_LOGS = 6


def variables_read(modules: tuple[Module, ...]) -> frozenset[str]:
    """Environment variables that a program reads by name, wherever it does."""
    return frozenset(name for module in modules for name in _READ.findall(module.text))


def listed(folder: SubmissionFolder, known: Collection[str]) -> dict[str, tuple[str, str]]:
    """Variables that the README lists by themselves, with value and place: a block of assignments, a list in quotes.

    A variable that it gives several values has none.
    """
    if folder.readme is None:
        return {}
    text = folder.readme_text
    file = folder.relative(folder.readme)
    return _agreed(
        (name, value, f"{file} line {text.count(chr(10), 0, at) + 1}")
        for name, value, at in _assignments(text)
        if name in known
    )


def _assignments(text: str) -> Iterator[tuple[str, str, int]]:
    for block in _FENCED.finditer(text):
        lines = [line.strip() for line in block[2].split("\n") if line.strip() and not line.strip().startswith("#")]
        matches = [_LINE.match(line) for line in lines]
        if len(lines) >= FEWEST_LINES and all(matches):
            yield from ((m[1], m[2].strip("'\""), block.start()) for m in matches if m is not None)
    for quoted in _LIST.finditer(text):
        for part in quoted[2].split(";"):
            name, _, value = part.strip().partition("=")
            yield name, value, quoted.start()


def announced(
    folder: SubmissionFolder, modules: tuple[Module, ...], known: Collection[str]
) -> dict[str, tuple[str, str]]:
    """Variables whose values the heads of the logs print as ``NAME=value``, unless a text of the program says that."""
    return _agreed(_announced(folder, modules, known))


def _announced(
    folder: SubmissionFolder, modules: tuple[Module, ...], known: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    for log in folder.logs[:MOST_LOGS]:
        with log.open("r", encoding="utf-8", errors="replace") as stream:
            head = stream.read(HEAD_CHARACTERS)
        for number, line in enumerate(head.split("\n"), 1):
            if _TRAINING.match(line):
                break
            if len(line) > 400 or "environ" in line:
                continue
            for pair in _PAIR.finditer(line):
                if pair[1] in known and not any(pair[0] in module.text for module in modules):
                    yield pair[1], pair[2], f"{folder.relative(log)} line {number}"


def titled(title: str, defaults: Mapping[str, object]) -> dict[str, str]:
    """Switches that are off by default and whose feature the submission's own title names: ``X_ENABLED``, ``USE_X``.

    For entries that tell neither command nor log: what stands in the title was on. "No X" in a title names nothing.
    """
    named = {word.lower() for word in _WORD.findall(_DENIED.sub(" ", title))}
    found: dict[str, str] = {}
    for name, default in defaults.items():
        switch = _SWITCH.fullmatch(name)
        if switch is None or str(default).lower() not in ("0", "false"):
            continue
        feature = (switch[1] or switch[2]).lower().split("_")
        if named.issuperset(feature):
            found[name] = "1"
    return found


def _agreed(rows: Iterable[tuple[str, str, str]]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    doubted: set[str] = set()
    for name, value, place in rows:
        if name in found and found[name][0] != value:
            doubted.add(name)
        found.setdefault(name, (value, place))
    return {name: said for name, said in found.items() if name not in doubted}


def add(environment: dict[str, str], why: dict[str, str], told: Mapping[str, tuple[str, str]]) -> bool:
    """Add what was told of variables that nothing better is known of; say whether anything was."""
    fresh = {name: said for name, said in told.items() if name not in environment}
    for name, (value, place) in fresh.items():
        environment[name], why[name] = value, place
    return bool(fresh)
