"""The layers of a packed script, and which of them are the program."""

from __future__ import annotations

import ast
import bisect
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from audit.constants.values import UNKNOWN, Limits, Unknown

_WRAPPER_LINES = 40  # of a script that may be nothing but a wrapper


@dataclass(frozen=True)
class Layer:
    """One script on the way in: ``text`` was executed by line ``line`` of the layer ``parent`` (-1: the file itself).

    ``codecs`` are the decoders that ran between the two, ``packed_bytes`` the bytes that the layer above takes.
    """

    text: str
    name: str
    parent: int = -1
    line: int = 0
    codecs: tuple[str, ...] = ()
    packed_bytes: int = 0
    file: str = ""  # the file beside the script that holds the text, where it is one


@dataclass(frozen=True)
class Span:
    """Lines ``first`` to ``last`` of the unpacked text are lines of ``layer``, from its line ``layer_line`` on."""

    first: int
    last: int
    layer: int
    layer_line: int = 1


@dataclass(frozen=True)
class Unpacked:
    """A script with its packing taken off.

    ``text`` is what runs: the innermost layers joined in order, or the file itself where it only runs code beside its
    own. ``wrappers`` are the indices of layers whose only work is to unpack (their other statements, such as
    ``os.environ.setdefault``, still count). ``files`` are Python files it writes. ``unresolved`` names places that
    execute something that is not constant, as (layer, line, reason).
    """

    name: str
    text: str
    layers: tuple[Layer, ...]
    line_map: tuple[Span, ...]
    wrappers: tuple[int, ...] = ()
    extra: tuple[int, ...] = ()  # layers that run beside ``text``
    files: tuple[tuple[str, str], ...] = ()
    unresolved: tuple[tuple[int, int, str], ...] = ()
    opened: tuple[tuple[int, str], ...] = ()  # files beside the script that a layer read
    tree: ast.Module | None = None  # of ``text``, where it was parsed on the way
    trees: dict[int, ast.Module] = field(default_factory=dict, repr=False)  # of layers, where they were

    @property
    def packed(self) -> bool:
        """Whether ``text`` is not the file's own text."""
        return bool(self.wrappers)

    def origin(self, line: int) -> tuple[Layer, int]:
        """The layer that a line of ``text`` comes from, with its line there."""
        index = max(bisect.bisect_right([span.first for span in self.line_map], line) - 1, 0)
        span = self.line_map[index]
        return self.layers[span.layer], span.layer_line + line - span.first

    def file_line(self, line: int) -> int:
        """The line of the file as submitted that brings forth a line of ``text``."""
        layer, line = self.origin(line)
        while layer.parent >= 0:
            layer, line = self.layers[layer.parent], layer.line
        return line


@dataclass
class File:
    """A file of the evaluated program, in memory only."""

    content: str | bytes | Unknown = b""

    def write(self, data: Any) -> None:
        held: Any = self.content
        if isinstance(held, (str, bytes)) and type(held) is type(data):
            self.content = held + data  # type: ignore[operator]
        else:
            self.content = data if not held else UNKNOWN


@dataclass
class World:
    """What the layers of one script share: files, limits, and what was found executed."""

    read: Callable[[str], bytes | None]
    limits: Limits
    files: dict[str, File] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    trees: dict[int, ast.Module] = field(default_factory=dict)  # of the layers, by index
    unresolved: list[tuple[int, int, str]] = field(default_factory=list)
    opened: list[tuple[int, str]] = field(default_factory=list)
    running: set[str] = field(default_factory=set)


def assemble(world: World, name: str) -> Unpacked:
    """Choose what the program is: the payload of wrappers, or the file with pieces beside it."""
    layers = tuple(world.layers)
    children: dict[int, list[int]] = {}
    for index, layer in enumerate(layers[1:], 1):
        children.setdefault(layer.parent, []).append(index)
    wrappers: list[int] = []

    def weight(index: int) -> int:
        return definitions(layers[index].text) + sum(weight(child) for child in children.get(index, ()))

    def program(index: int) -> list[int]:
        below = children.get(index, [])
        own = definitions(layers[index].text)
        heavy = sum(weight(child) for child in below)
        lines, packed_lines = statements(layers[index].text), sum(statements(layers[child].text) for child in below)
        if below and (heavy > 2 * own or (lines <= _WRAPPER_LINES and 2 * packed_lines >= lines)):
            wrappers.append(index)
            return [part for child in below for part in program(child)]
        return [index]

    parts = program(0)
    used = {*parts, *wrappers}
    text, spans, line = "", [], 1
    for part in parts:
        piece = layers[part].text
        if text and not text.endswith("\n"):
            text += "\n"
        count = piece.count("\n") + (not piece.endswith("\n"))
        spans.append(Span(line, line + count - 1, part))
        text += piece
        line += count
    written = []
    for path, file in world.files.items():
        if path.endswith(".py") and isinstance(file.content, (str, bytes)) and file.content:
            content = file.content if isinstance(file.content, str) else file.content.decode("utf-8", "replace")
            if all(content != layer.text for layer in layers):
                steps = posixpath.relpath(path, "/tmp").split("/") if path.startswith("/tmp/") else [path]
                written.append(("/".join(part for part in steps[-3:] if part not in ("..", "")), content))
    unresolved = tuple(dict.fromkeys(world.unresolved))
    kept = world.trees.get(parts[0]) if len(parts) == 1 else None
    extra = tuple(index for index in range(len(layers)) if index not in used)
    opened = tuple(dict.fromkeys(world.opened))
    return Unpacked(
        name, text, layers, tuple(spans), tuple(wrappers), extra, tuple(written), unresolved, opened, kept, world.trees
    )


def definitions(text: str) -> int:
    return len(re.findall(r"^[ \t]*(?:async\s+)?(?:def|class)\s", text, re.M))


def statements(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
