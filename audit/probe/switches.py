"""Finds switches that stood otherwise when the submission was made: what its logs tell of them and a run does not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

OFF, ON = ("0", "false", "off", "no"), ("1", "true", "on", "yes")
_HOLLOW = {"enabled", "enable", "use", "do", "run", "is", "with", "the", "eval", "final"}  # say nothing of which
# A 1 or a 0 that is no switch but a number, or a switch that is on where something is not.
_NUMBERS = {
    "epochs", "steps", "step", "seed", "rank", "layers", "layer", "len", "batch", "size", "lr", "num", "every", "dim",
    "bits", "order", "count", "passes", "phases", "decay", "alpha", "start", "last", "scale", "level", "blocks",
    "world", "local", "iters", "n", "k", "init", "debug", "min", "max", "warmup", "momentum", "clip", "temp",
    "weight", "wd", "skip", "no", "disable", "without",
}  # fmt: skip
_PUT_OFF = re.compile(r"(?i)[\w.-]+\s*[:=]\s*(?:0(?:\.0*)?|false|none|off|disabled|no)(?![\w.])")
_SAYS_OFF = re.compile(r"(?i)\b(?:disabled|skipp\w+|not)\b")
_WORD = re.compile(r"[a-z]+")
_SETTING = re.compile(r"[\w.-]+\s*[:=]\s*\S+")  # one of a list of all settings: on or off, it stands there
MAX_CHARS = 4_000_000
ALIKE = 0.5  # share of a run's kinds of lines that a log of the same program has

Lines = list[frozenset[str]]


def told(text: str, code: Collection[str]) -> Lines:
    """The words of each line of a log that is no line of ``code`` (trainers print themselves), without those of what it
    says is off."""
    found: dict[frozenset[str], None] = {}
    for line in text[:MAX_CHARS].splitlines():
        bare = line.strip()
        if bare and bare not in code and not _SAYS_OFF.search(bare) and not _SETTING.fullmatch(bare):
            found[frozenset(_WORD.findall(_PUT_OFF.sub(" ", bare).lower()))] = None
    return [line for line in found if line]


def words(name: str) -> frozenset[str]:
    """What a switch is about: TTT_ENABLED ttt, NGRAM_CACHE ngram and cache; empty for what is no switch by its name."""
    all_ = frozenset(_WORD.findall(name.lower()))
    return frozenset() if all_ & _NUMBERS else frozenset(w for w in all_ - _HOLLOW if len(w) > 2)


def contradicted(asked: Mapping[str, str | None], theirs: Sequence[Lines], ours: Lines) -> dict[str, str]:
    """Switches and the value to give them: on where every log of the submission (``theirs``) has a line of their words
    and the run (``ours``) has none, off where it is the other way round. ``asked`` are the values that the run had.
    Logs of another program, which has few of the run's lines, tell nothing."""
    flips: dict[str, str] = {}
    theirs = [lines for lines in theirs if _alike(ours, lines)]
    if not theirs:
        return flips
    for name, value in asked.items():
        state, about = (value or "").strip("'\"").lower(), words(name)
        if not about or state not in (*OFF, *ON):
            continue
        here, there = _in(about, ours), [_in(about, lines) for lines in theirs]
        if state in OFF and all(there) and not here:
            flips[name] = "1"
        elif state in ON and here and not any(there):
            flips[name] = "0"
    return flips


def _alike(ours: Lines, theirs: Lines) -> bool:
    known = set(theirs)
    return sum(line in known for line in ours) >= ALIKE * len(ours)


def _in(about: frozenset[str], lines: Iterable[frozenset[str]]) -> bool:
    return any(about <= line for line in lines)
