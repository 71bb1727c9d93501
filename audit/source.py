"""Reads a submission's program: the trainer and the modules it uses, decoded, unpacked and parsed."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from audit.layers import Unpacked
from audit.parse import MAX_SOURCE_BYTES, ParseError, parse_source
from audit.tree import walk
from audit.unpack import unpack
from reproduce.errors import InputError
from reproduce.folder import SubmissionFolder

MAX_MODULES = 60
Node = TypeVar("Node", bound=ast.AST)
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b|import[ \t]+([\w.]+(?:[ \t]*(?:as[ \t]+\w+)?,[ \t]*[\w.]+)*))", re.M
)
_FROM_PACKAGE = re.compile(r"^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]+\(?([\w ,\n\t]+)", re.M)
_WITHIN = re.compile(r"^[ \t]*(?:from|import)[ \t]+(\w+)\.(\w+)", re.M)
_NAMED_FILE = re.compile(r"""["']([\w./-]{1,100})\.py["']|import_module\(\s*f?["']([\w.]{1,100})["']""")


@dataclass(frozen=True)
class Module:
    """One source text of a submission with its syntax tree.

    ``file`` is its name inside the folder (``train_gpt.py``); a text that another executes beside its own is
    ``train_gpt.py!1``. Lines of ``text`` and of ``tree`` count in the unpacked text; ``file_line`` leads back.
    ``role``: trainer | imported (by the trainer, or named in it) | executed (text that it runs beside its own) |
    written (a Python file it writes, ``train_gpt.py!/name.py``). A helper that no parser accepts has an empty tree and
    says why in ``problem``.
    """

    file: str
    text: str
    tree: ast.Module
    role: str = "trainer"
    path: Path | None = None
    unpacked: Unpacked | None = None
    wrappers: tuple[tuple[str, ast.Module], ...] = ()  # trees of the scripts around a packed text, outermost first
    problem: str = ""

    @property
    def packed(self) -> bool:
        """Whether the file holds the text only in packed form."""
        return self.unpacked is not None and self.unpacked.packed

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines of ``text``, without their ends; line n is ``lines[n - 1]``."""
        return tuple(self.text.split("\n"))

    @cached_property
    def _by_kind(self) -> dict[type[ast.AST], list[ast.AST]]:
        found: dict[type[ast.AST], list[ast.AST]] = {}
        for node in walk(self.tree):
            found.setdefault(node.__class__, []).append(node)
        return found

    def nodes(self, kind: type[Node]) -> list[Node]:
        """All nodes of one kind in the order of ``ast.walk``; the tree is walked once for all kinds."""
        return self._by_kind.get(kind, [])  # type: ignore[return-value]

    def excerpt(self, line: int) -> str:
        """Line ``line`` without its indent, cut to 160 characters; empty where there is none."""
        return self.lines[line - 1].strip()[:160] if 0 < line <= len(self.lines) else ""

    def file_line(self, line: int) -> int:
        """The line of the file as submitted that a line of ``text`` comes from."""
        return self.unpacked.file_line(line) if self.unpacked else line


def read_sources(folder: SubmissionFolder) -> tuple[Module, ...]:
    """The trainer first, then the modules it imports or executes, each once.

    Raises InputError where there is no trainer, or where it is not Python (the place in the message). What could not be
    unpacked stands in the trainer's ``unpacked.unresolved``; a helper that cannot be read, in its ``problem``.
    """
    if folder.trainer is None:
        raise InputError(folder.path, "a submission with a trainer", folder.trainer_why)
    trainer, *beside = _read(folder, folder.trainer, "trainer")
    modules = [trainer, *beside]
    waiting = _used_by(modules, folder)
    seen = {folder.trainer}
    while waiting and len(modules) < MAX_MODULES:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        try:
            found = _read(folder, path, "imported")
        except InputError as error:
            problem = Module(
                folder.relative(path), "", ast.Module(body=[], type_ignores=[]), "imported", path, problem=str(error)
            )
            found = [problem]
        modules += found
        waiting += [used for used in _used_by(found, folder) if used not in seen]
    return tuple(modules)


def package_name(folder: SubmissionFolder) -> str:
    """The name under which a folder that is itself a package imports its own modules; empty where it is none.

    It is the name that most of its modules put before that of a neighbour, whatever the folder is called now.
    """
    if not (folder.path / "__init__.py").is_file():
        return ""
    beside = {helper.stem for helper in folder.helpers} | {helper.parent.name for helper in folder.helpers}
    votes: Counter[str] = Counter()
    for path in (folder.trainer, *folder.helpers):
        if path is None or path.stat().st_size > MAX_SOURCE_BYTES:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        votes.update({first for first, second in _WITHIN.findall(text) if second in beside} - sys.stdlib_module_names)
    return votes.most_common(1)[0][0] if votes else ""


def read_module(folder: SubmissionFolder, path: Path, role: str = "beside") -> Module:
    """One Python file of the folder, unpacked and parsed; raises InputError where it cannot be read."""
    return _read(folder, path, role)[0]


def _read(folder: SubmissionFolder, path: Path, role: str) -> list[Module]:
    name = folder.relative(path)

    def neighbour(relative: str) -> bytes | None:
        target = path.parent / relative
        inside = folder.path.resolve()
        if (
            not target.is_file()
            or not target.resolve().is_relative_to(inside)
            or target.stat().st_size > MAX_SOURCE_BYTES
        ):
            return None
        return target.read_bytes()

    try:
        # A name that a program compares with is the file's own, whatever folder it lies in.
        data = _bytes_of(path)
        unpacked = unpack(data, path.name, neighbour)
        tree = unpacked.tree if unpacked.tree is not None else parse_source(unpacked.text, name)
        wrappers = tuple((unpacked.layers[i].name, unpacked.trees[i]) for i in unpacked.wrappers)
    except ParseError as error:
        raise ParseError(str(path), error.expected, error.found) from error
    modules = [Module(name, unpacked.text, tree, role, path, unpacked, wrappers)]
    for index in unpacked.extra:
        layer = unpacked.layers[index]
        if layer.file and any(helper.name == Path(layer.file).name for helper in folder.helpers):
            continue  # a file of the folder, which is read as such
        modules.append(Module(layer.name, layer.text, unpacked.trees[index], "executed", path))
    for written, text in unpacked.files:
        try:
            modules.append(Module(f"{name}!/{written}", text, parse_source(text, written), "written", path))
        except ParseError as error:
            empty = ast.Module(body=[], type_ignores=[])
            modules.append(Module(f"{name}!/{written}", text, empty, "written", path, problem=str(error)))
    return modules


def _bytes_of(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_SOURCE_BYTES:
            raise InputError(path, f"a Python source of at most {MAX_SOURCE_BYTES >> 20} MiB", f"{size} bytes")
        if size == 0:
            raise InputError(path, "Python source", "an empty file")
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, "a readable file", error.strerror or "an error") from error


def _used_by(modules: list[Module], folder: SubmissionFolder) -> list[Path]:
    """Files of the folder that a text imports, or names as a string ending in .py."""
    by_module: dict[str, Path] = {}
    package = package_name(folder)
    for helper in reversed(folder.helpers):
        parts = helper.relative_to(folder.path).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        for start in range(len(parts)):
            by_module[".".join(parts[start:])] = helper
        if package and parts:
            by_module[".".join((package, *parts))] = helper
    if not by_module:
        return []
    names: list[str] = []
    for module in modules:
        for match in _IMPORT.finditer(module.text):
            names += [part.split(" as ")[0].strip().lstrip(".") for part in (match[1] or match[2]).split(",")]
        for match in _FROM_PACKAGE.finditer(module.text):
            package = match[1].lstrip(".")
            names += [f"{package}.{part.split()[0]}".lstrip(".") for part in match[2].split(",") if part.split()]
        for match in _NAMED_FILE.finditer(module.text):
            names.append((match[1] or match[2]).removeprefix("./").replace("/", "."))
    found: list[Path] = []
    for name in names:
        path = by_module.get(name)
        if path is not None and path not in found:
            found.append(path)
    return found
