"""Unpacks self-extracting scripts: follows constants to what is executed, without executing anything."""

from __future__ import annotations

import ast
import bisect
import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.constants import UNKNOWN, Code, Limits, Name, OutOfBudget, Thing, Unknown
from audit.decompress import Budget
from audit.parse import ParseError, decode_source, parse_source
from audit.statements import LoopEnd, Returned, StatementRunner

if TYPE_CHECKING:
    from audit.source import Module

MAX_LAYERS = 60
_WRAPPER_LINES = 40  # of a script that may be nothing but a wrapper
HERE = "/repository/records/track/submission"  # where an evaluated program believes it lies
# What can execute text or another file; a script without any of it runs nothing but itself. Every alternative begins
# with a letter of its own, so that the search skips from candidate to candidate.
_RUNS_CODE = re.compile(
    r"exec(?:(?:file|_module|[lv]p?e?)?\s*\(|\s*[,)=])|eval\s*\(|runpy\b|builtins\b|__loader__|load_module|spec_from_|FileLoader|"
    r"import_module|__import__|FunctionType|runsource|runcode|getattr\s*\(\s*__|globals\s*\(\s*\)\s*\[|"
    r"subprocess\.\w+\([^)]{0,200}\.py"
)
_STARTS_PROCESS = re.compile(
    r"subprocess\.(?:run|call|check_call|check_output|Popen)|os\.(?:system|exec[lv]p?e?|spawn\w+)"
)


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
class _File:
    """A file of the evaluated program, in memory only."""

    content: str | bytes | Unknown = b""

    def write(self, data: Any) -> None:
        held: Any = self.content
        if isinstance(held, (str, bytes)) and type(held) is type(data):
            self.content = held + data  # type: ignore[operator]
        else:
            self.content = data if not held else UNKNOWN


@dataclass
class _World:
    """What the layers of one script share: files, limits, and what was found executed."""

    read: Callable[[str], bytes | None]
    limits: Limits
    files: dict[str, _File] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    trees: dict[int, ast.Module] = field(default_factory=dict)  # of the layers, by index
    unresolved: list[tuple[int, int, str]] = field(default_factory=list)
    running: set[str] = field(default_factory=set)


def unpack(source: bytes | str, name: str, read: Callable[[str], bytes | None] | None = None) -> Unpacked:
    """Take the packing off a script: every compression and encoding of the standard library, brotli and zstd, nested.

    ``read`` gives the bytes of a file beside it by its relative name, or None. Raises ParseError for text that is not
    Python and InputError-like limits through ``Unpacked.unresolved``; never executes a statement of the script.
    """
    text = source if isinstance(source, str) else decode_source(source, name)
    world = _World(read or (lambda wanted: None), Limits(budget=Budget()))
    world.layers.append(Layer(text, name, packed_bytes=len(source)))
    if may_run_code(text):
        world.trees[0] = parse_source(text, name)
        _interpret(world, 0, world.trees[0], name)
    return _assemble(world, name)


def may_run_code(text: str) -> bool:
    """Whether a text could execute other text: a cheap look that spares the plain scripts an evaluation."""
    for match in _RUNS_CODE.finditer(text):
        before = text[max(match.start() - 1, 0) : match.start()]
        a_word = match[0].startswith(("exec", "eval"))
        # A method named eval is not the function: models have one.
        if not a_word or not (before.isalnum() or before == "_" or (before == "." and match[0].startswith("eval"))):
            return True
    return False


def write_unpacked(modules: Iterable[Module], directory: str | Path) -> tuple[Path, ...]:
    """Save the unpacked text of every module under ``directory``; raises InputError rather than overwrite a file."""
    from reproduce.errors import InputError

    target = Path(directory)
    if target.exists() and not target.is_dir():
        raise InputError(target, "a folder to write the unpacked sources to", "a file")
    todo: list[tuple[Path, str]] = []
    for module in modules:
        parts = [part for part in module.file.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        path = target.joinpath(*parts)
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != module.text:
            raise InputError(path, "a new file for the unpacked source", "a file that is there already")
        todo.append((path, module.text))
    for path, text in todo:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return tuple(path for path, _ in todo)


def _interpret(world: _World, index: int, tree: ast.Module, file: str, names: dict[str, Any] | None = None) -> None:
    names = {} if names is None else names
    names.update({"__name__": "__main__", "__file__": posixpath.join(HERE, file)})
    runner = _Runner(world, index, names, _functions_that_run_code(tree, world.layers[index].text))
    try:
        runner.block(tree.body)
    except OutOfBudget as error:
        world.unresolved.append((index, 0, f"unpacking stopped: {error}"))
    except (Returned, LoopEnd):
        pass


class _Runner(StatementRunner):
    """Follows one layer to what it reads, writes and executes."""

    def __init__(self, world: _World, index: int, names: dict[str, Any], enter: frozenset[str]) -> None:
        super().__init__(world.limits, names, enter)
        self.world = world
        self.index = index

    def call_name(self, name: str, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        line = getattr(node, "lineno", 0)
        name = name.removeprefix("builtins.")
        if name in ("exec", "eval", "execfile"):
            self._run(args[0] if args else UNKNOWN, line, f"{name} of")
            return UNKNOWN
        if name == "__import__" or name == "importlib.import_module":
            return Name(args[0]) if args and isinstance(args[0], str) else Unknown("an import of a computed name")
        if name in ("globals", "locals", "vars") and not args:
            return self.names
        if name in ("open", "io.open", "os.fdopen", "codecs.open"):
            return self._open(args, options)
        if name in ("tempfile.mkdtemp", "tempfile.gettempdir", "os.getcwd", "pathlib.Path.cwd"):
            return HERE if "cwd" in name else "/tmp"
        if name in ("tempfile.NamedTemporaryFile", "tempfile.TemporaryFile"):
            path = f"/tmp/{len(self.world.files)}{options.get('suffix', '')}"
            return Thing("file", {"name": path, "file": self.world.files.setdefault(path, _File())})
        if name == "tempfile.mkstemp":
            path = f"/tmp/{len(self.world.files)}{options.get('suffix', '')}"
            self.world.files[path] = _File()
            return (Thing("descriptor", {"name": path}), path)
        if name == "tempfile.TemporaryDirectory":
            return "/tmp"
        if name in ("os.write",) and args and isinstance(args[0], Thing):
            self.world.files.setdefault(args[0].data["name"], _File()).write(args[1])
            return None
        if name in ("runpy.run_path", "importlib.util.spec_from_file_location", "importlib.machinery.SourceFileLoader"):
            return self._run_path(name, args, options, line)
        if name == "importlib.util.module_from_spec":
            return Thing("module", {"spec": args[0] if args else UNKNOWN})
        if re.fullmatch(
            r"subprocess\.(?:run|call|check_call|check_output|Popen)|os\.(?:system|exec[lv]p?e?|spawn\w+)", name
        ):
            self._run_command(args, line)
            return UNKNOWN
        if name == "setattr":
            return None
        if name in ("os.path.exists", "os.path.isfile") and args and isinstance(args[0], str):
            return self._is_there(args[0])
        return super().call_name(name, args, options, node)

    def method(self, owner: Thing, name: str, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        line = getattr(node, "lineno", 0)
        if owner.kind == "file":
            file: _File = owner.data["file"]
            if name == "write" and args:
                file.write(args[0])
                return None
            if name in ("read", "readall"):
                return (
                    file.content.decode()
                    if owner.data.get("text") and isinstance(file.content, bytes)
                    else file.content
                )
            return UNKNOWN
        if owner.kind == "spec" and name in ("exec_module", "load_module"):
            self._run_file(owner.data["path"], line)
            return UNKNOWN
        return super().method(owner, name, args, options, node)

    def path_method(self, path: str, name: str, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        if name in ("read_bytes", "read_text"):
            content = self._content(path)
            return content.decode() if name == "read_text" and isinstance(content, bytes) else content
        if name in ("write_bytes", "write_text"):
            self.world.files[posixpath.normpath(path)] = _File(args[0] if args else UNKNOWN)
            return None
        if name == "open":
            return self._open([path, *args], options)
        if name in ("exists", "is_file"):
            return self._is_there(path)
        return super().path_method(path, name, args, options, node)

    def _open(self, args: list[Any], options: dict[str, Any]) -> Any:
        path = args[0] if args else options.get("file")
        mode = args[1] if len(args) > 1 else options.get("mode", "r")
        if isinstance(path, Thing) and path.kind == "descriptor":
            path = path.data["name"]
        if not isinstance(path, str) or not isinstance(mode, str):
            return Unknown("a file of unknown name")
        path = posixpath.normpath(path)
        if "w" in mode or "x" in mode:
            self.world.files[path] = _File()
        if path not in self.world.files:
            content = self._content(path)
            if isinstance(content, Unknown):
                return content
            return Thing("file", {"name": path, "file": _File(content), "text": "b" not in mode})
        return Thing("file", {"name": path, "file": self.world.files[path], "text": "b" not in mode})

    def _content(self, path: str) -> Any:
        path = posixpath.normpath(path)
        if path in self.world.files:
            return self.world.files[path].content
        relative = posixpath.relpath(path, HERE) if path.startswith("/") else path
        if relative.startswith(".."):
            return Unknown(f"the file {relative}, outside the folder")
        if relative == self.world.layers[0].name:
            return self.world.layers[0].text
        content = self.world.read(relative)
        return Unknown(f"the file {relative}, which is not there") if content is None else content

    def _run_path(self, name: str, args: list[Any], options: dict[str, Any], line: int) -> Any:
        if name == "runpy.run_path":
            self._run_file(args[0] if args else UNKNOWN, line)
            return UNKNOWN
        path = args[1] if len(args) > 1 else options.get("location", options.get("path", UNKNOWN))
        spec = Thing("spec", {"path": path})
        spec.data["loader"] = spec
        return spec

    def _run_command(self, args: list[Any], line: int) -> None:
        words = args[0] if args else []
        if isinstance(words, str):
            words = words.split()
        if isinstance(words, (list, tuple)):
            for word in [*words, *args[1:]]:
                for path in word if isinstance(word, list) else [word]:
                    if isinstance(path, str) and path.endswith(".py") and self._is_there(path):
                        self._run_file(path, line)

    def _is_there(self, path: str) -> bool:
        path = posixpath.normpath(path)
        if path in self.world.files or path == posixpath.join(HERE, self.world.layers[0].name):
            return True
        inside = posixpath.relpath(path, HERE) if path.startswith("/") else path
        return not inside.startswith("..") and self.world.read(inside) is not None

    def _run_file(self, path: Any, line: int) -> None:
        if not isinstance(path, str):
            self.world.unresolved.append((self.index, line, "runs a file of unknown name"))
            return
        content = self._content(path)
        inside = (
            posixpath.relpath(posixpath.normpath(path), HERE) if posixpath.isabs(path) else posixpath.normpath(path)
        )
        file = "" if posixpath.normpath(path) in self.world.files or inside.startswith("..") else inside
        self._run(Code(content, path) if isinstance(content, (str, bytes)) else content, line, "runs", file)

    def _run(self, value: Any, line: int, verb: str, file: str = "") -> None:
        """Record that ``value`` is executed by ``line`` of this layer, then follow it in turn."""
        source = value.source if isinstance(value, Code) else value
        if isinstance(source, (bytearray, memoryview)):
            source = bytes(source)
        world = self.world
        if not isinstance(source, (str, bytes)):
            why = source.why if isinstance(source, Unknown) and source.why else "something that is not constant"
            world.unresolved.append((self.index, line, f"{verb} {why}"))
            return
        used = world.limits.budget.used
        codecs, used[:] = tuple(used), []
        if len(world.layers) >= MAX_LAYERS:
            raise OutOfBudget(f"more than {MAX_LAYERS} layers")
        given = value.filename if isinstance(value, Code) else ""
        name = f"{world.layers[0].name}!{len(world.layers)}"
        try:
            text = source if isinstance(source, str) else decode_source(source, name)
            if text in world.running or text == world.layers[self.index].text:
                return  # a script that runs itself again (under torchrun, say)
            tree = parse_source(text, name)
        except ParseError as error:
            world.unresolved.append((self.index, line, f"{verb} text that is not Python ({error.found})"))
            return
        if not tree.body:
            return
        world.layers.append(Layer(text, name, self.index, line, codecs, len(source), file))
        index = len(world.layers) - 1
        world.trees[index] = tree
        world.running.add(text)
        if may_run_code(text):
            own = posixpath.basename(given) if given.endswith(".py") else world.layers[0].name
            _interpret(world, index, tree, own, dict(self.names))


def _functions_that_run_code(tree: ast.Module, text: str) -> frozenset[str]:
    """Names of functions whose text executes something, or that mention one of those."""
    lines = text.split("\n")
    bodies = {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    found = {name for name, body in bodies.items() if may_run_code(body)}
    for _ in range(4):
        pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, found)) + r")\b") if found else None
        more = {name for name, body in bodies.items() if name not in found and pattern and pattern.search(body)}
        if not more:
            break
        found |= more
    return frozenset(found)


def _definitions(text: str) -> int:
    return len(re.findall(r"^[ \t]*(?:async\s+)?(?:def|class)\s", text, re.M))


def _assemble(world: _World, name: str) -> Unpacked:
    """Choose what the program is: the payload of wrappers, or the file with pieces beside it."""
    layers = tuple(world.layers)
    children: dict[int, list[int]] = {}
    for index, layer in enumerate(layers[1:], 1):
        children.setdefault(layer.parent, []).append(index)
    wrappers: list[int] = []

    def weight(index: int) -> int:
        return _definitions(layers[index].text) + sum(weight(child) for child in children.get(index, ()))

    def program(index: int) -> list[int]:
        below = children.get(index, [])
        own = _definitions(layers[index].text)
        heavy = sum(weight(child) for child in below)
        lines, packed_lines = _statements(layers[index].text), sum(_statements(layers[child].text) for child in below)
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
    return Unpacked(
        name, text, layers, tuple(spans), tuple(wrappers), extra, tuple(written), unresolved, kept, world.trees
    )


def _statements(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
