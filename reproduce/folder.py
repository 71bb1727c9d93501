"""Opens a submission folder: which trainer was submitted, with its helpers, metadata, README, logs and run command."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from reproduce.errors import InputError
from reproduce.run_command import RunCommand, commands_in_markdown, commands_in_script
from reproduce.trainer_choice import Choice, choose_trainer, is_trainer_name

MAX_FILES = 5_000
MAX_DEPTH = 3  # folders below the submission's own
MAX_TEXT_BYTES = 16 << 20  # README, submission.json, scripts
_NAMED = "named by the caller"
_SKIPPED_FOLDERS = {"__pycache__", "node_modules", "venv", "site-packages", "build", "wandb"}
_LOG_NAME = re.compile(r"\.(?:log|out|stdout|err)(?:\.txt)?$", re.I)
_LOG_TEXT = re.compile(rb"val_bpb|val_loss|train_loss|step:\d|step_avg|final_int\d", re.I)
_NOT_LOG_TEXT = re.compile(r"^(?:requirements|license|notice|readme|third_party)", re.I)


@dataclass(frozen=True)
class SubmissionFolder:
    """One entry to the contest as it lies on disk; nothing in it has been run.

    ``trainer`` is None where no Python file can be the trainer; ``trainer_why`` says how it was chosen, or why none.
    ``helpers`` are the other Python files, ``others`` those of them that are trainers too. ``commands`` are all
    starts of Python programs found, ``run_command`` the one that made the submission. ``notes`` are things a reader
    should know (links that leave the folder, files left unread).
    """

    path: Path
    name: str
    trainer: Path | None
    trainer_why: str
    helpers: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    metadata: dict[str, object] = field(default_factory=dict)
    metadata_path: Path | None = None
    readme: Path | None = None
    logs: tuple[Path, ...] = ()
    scripts: tuple[Path, ...] = ()  # shell scripts
    run_command: RunCommand | None = None
    run_command_why: str = ""
    commands: tuple[RunCommand, ...] = ()
    requirements: Path | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def readme_text(self) -> str:
        """The README's text, empty where there is none."""
        return read_text(self.readme) if self.readme else ""

    def relative(self, path: Path) -> str:
        """``path`` as it is named inside the folder."""
        try:
            return path.relative_to(self.path).as_posix()
        except ValueError:
            return path.name


def open_folder(path: str | Path, *, strict: bool = True) -> SubmissionFolder:
    """Open a submission folder, a folder that holds exactly one, or a trainer file.

    Raises InputError for what is missing, empty, holds several submissions, links out of itself, or has a
    submission.json that is not a JSON object; with ``strict=False`` the last becomes a note.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            path, "a submission folder or a trainer file", "nothing there" if not path.is_symlink() else "a dead link"
        )
    if path.is_file():
        return _open_file(path)
    if not path.is_dir():
        raise InputError(path, "a submission folder or a trainer file", "neither a file nor a folder")
    files, notes = list_files(path)
    for wanted in ("train_gpt.py", "submission.json"):
        link = path / wanted
        if link.is_symlink() and link not in files:
            raise InputError(link, "a file of the submission", "a link out of its folder or to nothing")
    if not files:
        raise InputError(path, "a submission folder with a trainer", "an empty folder")
    if not _is_submission(path, files):
        nested = find_submissions(path)
        if len(nested) > 1:
            some = ", ".join(inner.relative_to(path).as_posix() for inner in nested[:3])
            more = f" and {len(nested) - 3} more" if len(nested) > 3 else ""
            raise InputError(
                path,
                "one submission folder",
                f"{len(nested)} of them ({some}{more}); name one, or audit all with --corpus",
            )
        if nested and nested[0] != path:
            return open_folder(nested[0], strict=strict)
    return _open(path, files, notes, strict)


def find_submissions(path: str | Path) -> tuple[Path, ...]:
    """Folders at or below ``path`` that hold a trainer or a submission.json, in order of name."""
    root = Path(path)
    found: list[Path] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if name not in _SKIPPED_FOLDERS and not name.startswith("."))
        here = Path(folder)
        if here == root and "submission.json" not in names and (here / "records").is_dir():
            continue  # the contest's own repository: its train_gpt.py is the baseline
        if "submission.json" in names or any(is_trainer_name(name) for name in names):
            found.append(here)
            # A submission's own subfolders belong to it, save where they are submissions in their own right.
            subfolders[:] = [name for name in subfolders if (here / name / "submission.json").is_file()]
    return tuple(sorted(found))


def read_text(path: Path) -> str:
    """Text in UTF-8 (a byte-order mark dropped, what is not UTF-8 replaced); raises InputError past 16 MiB."""
    try:
        size = path.stat().st_size
        if size > MAX_TEXT_BYTES:
            raise InputError(path, f"a text of at most {MAX_TEXT_BYTES >> 20} MiB", f"{size} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, "a readable file", error.strerror or "an error") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def _open_file(path: Path) -> SubmissionFolder:
    """A trainer file: its folder gives README, logs and helpers, where it is a submission."""
    if path.name == "submission.json":
        return open_folder(path.parent)
    if path.suffix != ".py":
        raise InputError(path, "a submission folder or a Python trainer (.py)", f"a {path.suffix or 'suffixless'} file")
    if path.stat().st_size == 0:
        raise InputError(path, "a Python trainer", "an empty file")
    parent = path.parent
    files, notes = list_files(parent)
    if (parent / "submission.json").is_file() or (parent / "README.md").is_file():
        return _open(parent, files, notes, strict=False, forced=path)
    neighbours = tuple(file for file in files if file.suffix == ".py" and file.parent == parent and file != path)
    return SubmissionFolder(
        path=parent, name=path.name, trainer=path, trainer_why=_NAMED, helpers=neighbours, notes=notes
    )


def _is_submission(path: Path, files: list[Path]) -> bool:
    here = [file.name for file in files if file.parent == path]
    if (path / "records").is_dir() and "submission.json" not in here:
        return False
    return "submission.json" in here or any(is_trainer_name(name) for name in here)


def list_files(root: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Regular files at most MAX_DEPTH folders down, links that leave the folder noted and left out."""
    files: list[Path] = []
    notes: list[str] = []
    inside = root.resolve()
    for folder, subfolders, names in os.walk(root):
        here = Path(folder)
        depth = len(here.relative_to(root).parts)
        subfolders[:] = sorted(name for name in subfolders if name not in _SKIPPED_FOLDERS and not name.startswith("."))
        if depth >= MAX_DEPTH:
            subfolders.clear()
        for name in sorted(names):
            file = here / name
            if file.is_symlink() and not file.resolve().is_relative_to(inside):
                notes.append(f"{file.relative_to(root)}: a link out of the folder, not followed")
            elif file.is_file():
                files.append(file)
            if len(files) >= MAX_FILES:
                notes.append(f"only the first {MAX_FILES} files were looked at")
                return files, tuple(notes)
    return files, tuple(notes)


def _open(
    path: Path, files: list[Path], notes: tuple[str, ...], strict: bool, forced: Path | None = None
) -> SubmissionFolder:
    said = list(notes)
    metadata_path = next((file for file in files if file == path / "submission.json"), None)
    metadata: dict[str, object] = {}
    if metadata_path:
        try:
            metadata = _read_metadata(metadata_path)
        except InputError as error:
            if strict:
                raise
            said.append(str(error))
    readme = _readme(path, files)
    scripts = tuple(file for file in files if file.suffix in (".sh", ".bash", ".sbatch", ".bat", ".ps1", ".slurm"))
    commands = _commands(path, files, readme, scripts, metadata)
    logs = tuple(sorted(_logs(files), key=_natural))
    python = [file for file in files if file.suffix == ".py"]
    choice = Choice(forced, _NAMED) if forced else choose_trainer(path, python, commands, metadata, logs)
    command, command_why = _submitted_command(commands, choice.trainer, frozenset(file.name for file in files))
    trainers = {file for file in python if is_trainer_name(file.name)}
    return SubmissionFolder(
        path=path,
        name=_name(path, metadata),
        trainer=choice.trainer,
        trainer_why=choice.why,
        helpers=tuple(file for file in python if file != choice.trainer),
        others=tuple(sorted(trainers - {choice.trainer})),
        metadata=metadata,
        metadata_path=metadata_path,
        readme=readme,
        logs=logs,
        scripts=scripts,
        run_command=command,
        run_command_why=command_why,
        commands=commands,
        requirements=next((file for file in files if file.name == "requirements.txt"), None),
        notes=tuple(said),
    )


def _read_metadata(path: Path) -> dict[str, object]:
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        place = f"line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(path, "JSON", place) from error
    except RecursionError as error:
        raise InputError(path, "JSON", "values nested too deeply") from error
    if not isinstance(value, dict):
        raise InputError(path, "a JSON object", f"a JSON {type(value).__name__}")
    return value


def _name(path: Path, metadata: dict[str, object]) -> str:
    named = metadata.get("name") or metadata.get("run_name") or metadata.get("title")
    return named if isinstance(named, str) and named.strip() else path.resolve().name


def _readme(path: Path, files: list[Path]) -> Path | None:
    here = [
        file for file in files if file.parent == path and file.suffix.lower() in (".md", ".markdown", ".rst", ".txt")
    ]
    named = [file for file in here if file.stem.lower() == "readme"]
    return next(iter(named), None) or next((file for file in here if file.name.lower().startswith("readme")), None)


def _logs(files: list[Path]) -> Iterator[Path]:
    for file in files:
        if _LOG_NAME.search(file.name):
            yield file
        elif file.suffix.lower() == ".txt" and not _NOT_LOG_TEXT.match(file.name):
            with file.open("rb") as stream:
                head = stream.read(1 << 18)
                stream.seek(max(file.stat().st_size - (1 << 16), 0))
                tail = stream.read(1 << 16)
            if _LOG_TEXT.search(head) or _LOG_TEXT.search(tail):
                yield file


def _natural(path: Path) -> tuple[int, list[tuple[int, int | str]]]:
    """Order of a reader: train_seed7 before train_seed42, the folder's own files before its subfolders'."""
    parts = re.split(r"(\d+)", path.as_posix())
    return len(path.parts), [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in parts if part]


def _commands(
    path: Path, files: list[Path], readme: Path | None, scripts: tuple[Path, ...], metadata: dict[str, object]
) -> tuple[RunCommand, ...]:
    """Every start of a Python program: README first, then submission.json, other Markdown files, shell scripts."""
    by_name = {file.relative_to(path).as_posix(): file for file in scripts}
    by_name.update({file.name: file for file in reversed(scripts)})

    def read(name: str) -> str | None:
        file = by_name.get(name.removeprefix("./")) or by_name.get(name.rsplit("/", 1)[-1])
        return _text_or_none(file) if file else None

    found: list[RunCommand] = []
    if readme and (text := _text_or_none(readme)):
        found += commands_in_markdown(text, readme.name, read)
    for key, value in metadata.items():
        if isinstance(value, str) and ".py" in value and re.search("command|cmd|run|launch", key, re.I):
            found += commands_in_script(value, "submission.json", read)
    for file in files:
        if file.suffix.lower() == ".md" and file != readme and (text := _text_or_none(file)):
            found += commands_in_markdown(text, file.relative_to(path).as_posix(), read)
    for script in scripts:
        if text := _text_or_none(script):
            found += commands_in_script(text, script.relative_to(path).as_posix(), read)
    return tuple(found)


def _text_or_none(file: Path) -> str | None:
    try:
        return read_text(file)
    except InputError:
        return None


_MAIN_HEADING = re.compile(r"run|command|reproduc|train|usage|launch|submission|quick ?start|how to", re.I)
_SIDE_HEADING = re.compile(
    r"smoke|ablat|baseline|local|debug|sanity|quick|mlx|control|sweep|previous|dry|optional|develop|1x|single|apple|cpu|"
    r"variant|alternat|compar",
    re.I,
)


def _submitted_command(
    commands: tuple[RunCommand, ...], trainer: Path | None, names: frozenset[str]
) -> tuple[RunCommand | None, str]:
    """The command that made the submission: it starts the trainer, on eight processes, under a heading that says so."""
    if trainer is None:
        return None, "no trainer"
    ours = [command for command in commands if command.script_name == trainer.name]
    renamed = ""
    if not ours:
        # Many were run under the name they had while they were worked on, or from a readable copy.
        started = [command for command in commands if is_trainer_name(command.script_name)]
        ours = [command for command in started if command.script_name not in names] or started
        renamed = f", taken for {trainer.name}: it is the only trainer that the texts start" if ours else ""
    if not ours:
        return None, f"no text of the folder shows how {trainer.name} was started"

    def weight(command: RunCommand) -> float:
        score = {"README.md": 3.0, "submission.json": 3.0}.get(
            command.file, 2.0 if command.file.endswith(".md") else 0.0
        )
        score += 1.5 if command.processes == 8 else 0.0
        score += 1.0 if command.program.endswith("torchrun") else 0.0
        score += 1.0 if _MAIN_HEADING.search(command.heading) else 0.0
        score -= 2.0 if _SIDE_HEADING.search(command.heading + " " + command.file) else 0.0
        score -= 1.5 if "$" in command.script else 0.0
        score += 1.0 if command.environment else 0.0
        return score

    best = max(ours, key=weight)  # the first of equals
    why = f"{best.file} line {best.line}"
    if len(ours) > 1:
        why += f", of {len(ours)} commands that start {best.script_name}"
    return best, why + renamed
