"""Makes the fresh working copy a run happens in, knowing each file by its hash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reproduce.durable import sha256
from reproduce.errors import InputError

_SKIPPED_FOLDERS = {
    "__pycache__",
    ".git",
    ".venv",
    "venv",
    "runs",
    "logs",
    "data",
    ".ipynb_checkpoints",
    ".pytest_cache",
}
_LARGEST_INPUT = 256 * 1024 * 1024  # bytes: an entry is text; a dataset beside it is linked with --data, not copied


@dataclass(frozen=True)
class StoredFile:
    """One file of a run: ``path`` relative to its folder (POSIX), size in bytes, SHA-256."""

    path: str
    bytes: int
    sha256: str


def input_files(
    folder: Path, out: Path, *, only: tuple[Path, ...] = (), leave_out: tuple[Path, ...] = ()
) -> tuple[StoredFile, ...]:
    """Every file of ``folder`` that a run gets a copy of, hashed, in path order; with ``only``, those among them.

    Left out: caches, version control, the run directory ``out``, links that leave the folder, files over 256 MiB.
    Raises InputError on a file that cannot be read.
    """
    found = []
    for path in sorted(_walk(folder, out)):
        if path in leave_out or (only and path not in only):
            continue
        try:
            found.append(StoredFile(path.relative_to(folder).as_posix(), path.stat().st_size, sha256(path)))
        except OSError as error:
            raise InputError(path, "a readable file", error.strerror or str(error)) from error
    return tuple(found)


def make_copy(folder: Path, files: tuple[StoredFile, ...], to: Path) -> None:
    """Copy ``files`` of ``folder`` into the new folder ``to``. Raises InputError where one changed since."""
    if to.exists():
        shutil.rmtree(to)
    to.mkdir(parents=True)
    for file in files:
        source, target = folder / file.path, to / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
        except FileNotFoundError as error:
            raise InputError(source, "the file that was there when the run began", "none") from error
        if sha256(target) != file.sha256:
            raise InputError(source, "a file that stays as it is while its seeds run", "other content")


def new_files(folder: Path, inputs: tuple[StoredFile, ...]) -> tuple[Path, ...]:
    """The regular files that a run left in its working copy, or changed there, in path order."""
    before = {file.path: file for file in inputs}
    result = []
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if name != "__pycache__" and not (Path(root) / name).is_symlink()]
        for name in names:
            path = Path(root) / name
            if path.is_symlink() or not path.is_file():
                continue
            old = before.get(path.relative_to(folder).as_posix())
            if old is None or old.bytes != path.stat().st_size or old.sha256 != sha256(path):
                result.append(path)
    return tuple(sorted(result))


def _walk(folder: Path, out: Path) -> Iterator[Path]:
    top = folder.resolve()
    inside = out.resolve()
    for root, folders, names in os.walk(folder, followlinks=False):
        here = Path(root)
        folders[:] = [
            name
            for name in folders
            if name not in _SKIPPED_FOLDERS and not (here / name).is_symlink() and (here / name).resolve() != inside
        ]
        for name in names:
            path = here / name
            if path.is_symlink() and not path.resolve().is_relative_to(top):
                continue
            if path.is_file() and path.stat().st_size <= _LARGEST_INPUT:
                yield path
