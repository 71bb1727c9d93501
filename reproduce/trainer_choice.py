"""Decides which of a folder's Python files is the trainer that was submitted, on evidence it can name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reproduce.run_command import RunCommand

_HEAD_BYTES = 1 << 20
_TRAINER_NAME = re.compile(r"(?:^|[_-])(?:train|pretrain)(?:[_-]|er\b|ing\b|\.|\d|$)", re.I)
_NOT_THE_ONE = re.compile(
    r"mlx|human|readable|unpacked|decoded|decompress|source|_src|uncompressed|raw|old|backup|bak|orig|copy|test|dev|debug|"
    r"baseline|ablat|reference|sanity|smoke|exp[_\d]|cpu|local|golfed_in",
    re.I,
)
_TRAINS = re.compile(rb"\.backward\(|optimizer|torch\.optim|value_and_grad|Muon", re.I)
_UNPACKS = re.compile(rb"decompress|b85decode|b64decode|exec\(|runpy")
_CODE_SIZE = re.compile(rb"code[ _]?(?:size|bytes)[^0-9\n]{0,40}(\d[\d,_]{2,})", re.I)
_SIZE_KEYS = re.compile(r"code|train_gpt|script", re.I)


Credit = Callable[..., None]  # (file, points, kind of evidence, reason to show)


@dataclass(frozen=True)
class Choice:
    """The trainer and the reasons for it; ``trainer`` is None where nothing can be one."""

    trainer: Path | None
    why: str


def is_trainer_name(name: str) -> bool:
    """Whether a file is named like a trainer (train_gpt.py, train.py, pretrain_x.py)."""
    return name.endswith(".py") and bool(_TRAINER_NAME.search(name)) and not name.startswith(("test_", "run_", "save_"))


def choose_trainer(
    folder: Path,
    python: list[Path],
    commands: tuple[RunCommand, ...],
    metadata: dict[str, object],
    logs: tuple[Path, ...],
) -> Choice:
    """Weigh name, run commands, the code size and the source that logs print, and submission.json.

    The contest asks for a train_gpt.py; another file wins where the run command, the logs or the sizes say so.
    """
    candidates = [file for file in python if is_trainer_name(file.name)]
    if not candidates:
        candidates = [file for file in python if _looks_like_trainer(file)]
    if not candidates:
        return Choice(None, "no Python file" if not python else "no Python file that trains or unpacks a model")
    if len(candidates) == 1:
        only = candidates[0]
        return Choice(only, f"the only trainer in the folder ({only.relative_to(folder).as_posix()})")
    points: dict[Path, float] = defaultdict(float)
    reasons: dict[Path, list[str]] = defaultdict(list)
    kinds: dict[Path, set[str]] = defaultdict(set)

    def credit(file: Path, amount: float, kind: str, reason: str = "") -> None:
        points[file] += amount
        if reason and kind not in kinds[file]:
            kinds[file].add(kind)
            reasons[file].append(reason)

    for file in candidates:
        _weigh_name(file, folder, credit)
    _weigh_commands(candidates, commands, credit)
    _weigh_metadata(candidates, metadata, credit)
    _weigh_logs(candidates, logs, credit)
    best = max(candidates, key=lambda file: (points[file], -len(file.parts), -len(file.name)))
    others = ", ".join(file.relative_to(folder).as_posix() for file in candidates if file != best)
    why = "; ".join(reasons[best]) or "the plainest name"
    return Choice(best, f"{best.relative_to(folder).as_posix()}: {why} (not {others})")


def _weigh_name(file: Path, folder: Path, credit: Credit) -> None:
    if file.name == "train_gpt.py":
        credit(file, 3.0, "name", "it has the contest's file name")
    elif file.name.startswith("train_gpt"):
        credit(file, 1.0, "name", "it is named after the contest's trainer")
    if _NOT_THE_ONE.search(file.stem):
        credit(file, -2.0, "name")
    if file.parent != folder:
        credit(file, -2.0, "name")
    if not _looks_like_trainer(file):
        credit(file, -3.0, "content")


def _weigh_commands(candidates: list[Path], commands: tuple[RunCommand, ...], credit: Credit) -> None:
    named = [command for command in commands if any(file.name == command.script_name for file in candidates)]
    for source, amount in (("README", 4.0), ("submission.json", 4.0), ("another text", 1.5)):
        here = [command for command in named if _source(command) == source]
        if not here:
            continue
        for file in candidates:
            ours = [command for command in here if command.script_name == file.name]
            if ours:
                share = len(ours) / len(here)
                credit(file, amount * (0.5 + share / 2), "command", f"{ours[0].file} line {ours[0].line} runs it")


def _source(command: RunCommand) -> str:
    name = command.file.rsplit("/", 1)[-1]
    if name.lower().startswith("readme"):
        return "README"
    return name if name == "submission.json" else "another text"


def _weigh_metadata(candidates: list[Path], metadata: dict[str, object], credit: Credit) -> None:
    sizes = {value for key, value in _flat(metadata) if isinstance(value, int) and _SIZE_KEYS.search(key)}
    for file in candidates:
        if file.stat().st_size in sizes:
            credit(file, 4.0, "size", f"submission.json gives its size, {file.stat().st_size} bytes, as the code's")
        if any(isinstance(value, str) and value.rsplit("/", 1)[-1] == file.name for _, value in _flat(metadata)):
            credit(file, 2.5, "metadata", "submission.json names it")


def _weigh_logs(candidates: list[Path], logs: tuple[Path, ...], credit: Credit) -> None:
    sizes = {file: file.stat().st_size for file in candidates}
    texts: dict[Path, list[bytes]] = {}
    for log in logs[:6]:
        with log.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
            stream.seek(max(log.stat().st_size - (1 << 16), 0))
            tail = stream.read(1 << 16)
        logged = {int(found.replace(b",", b"").replace(b"_", b"")) for found in _CODE_SIZE.findall(head + b"\n" + tail)}
        for file in candidates:
            if sizes[file] in logged:
                credit(
                    file,
                    4.0 / min(len(logs), 6),
                    "logged size",
                    f"{log.name} logs its size, {sizes[file]} bytes, as the code's",
                )
            if b"\nimport " in head or head.startswith((b"import ", b'"""', b"from ")):
                lines = texts.setdefault(file, _telling_lines(file))
                if len(lines) >= 5 and sum(line in head for line in lines) >= 0.95 * len(lines):
                    credit(file, 3.0 / min(len(logs), 6), "logged source", f"{log.name} prints its source")


def _telling_lines(file: Path) -> list[bytes]:
    """Some forty long lines spread over a file, to look for in a log."""
    with file.open("rb") as stream:
        lines = [line.strip() for line in stream.read(_HEAD_BYTES).splitlines()]
    lines = [line for line in lines if 30 <= len(line) <= 400]
    return lines[:: max(len(lines) // 40, 1)]


def _looks_like_trainer(file: Path) -> bool:
    with file.open("rb") as stream:
        text = stream.read(_HEAD_BYTES)
    return bool(_TRAINS.search(text)) or bool(_UNPACKS.search(text))


def _flat(value: object, key: str = "", depth: int = 0) -> list[tuple[str, object]]:
    if depth < 4 and isinstance(value, dict):
        return [pair for name, inner in value.items() for pair in _flat(inner, f"{key}.{name}", depth + 1)]
    if depth < 4 and isinstance(value, list):
        return [pair for inner in value[:50] for pair in _flat(inner, key, depth + 1)]
    return [(key, value)]
