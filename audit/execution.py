"""Follows a script to what it reads, writes and executes, without executing anything."""

from __future__ import annotations

import ast
import posixpath
import re
from typing import Any

from audit.constants.statements import LoopEnd, Returned, StatementRunner
from audit.constants.values import UNKNOWN, Code, Name, OutOfBudget, Thing, Unknown
from audit.layers import File, Layer, World
from audit.parse import ParseError, decode_source, parse_source
from audit.tree import walk

MAX_LAYERS = 60
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


def may_run_code(text: str) -> bool | None:
    """Whether a text could execute other text: a cheap look that spares the plain scripts an evaluation.

    None where nothing but the words ``exec (`` and ``eval (`` says so, which messages hold as well.
    """
    found: bool | None = False
    for match in _RUNS_CODE.finditer(text):
        before = text[max(match.start() - 1, 0) : match.start()]
        a_word = match[0].startswith(("exec", "eval"))
        # A method named eval is not the function: models have one.
        if not a_word:
            return True
        if not (before.isalnum() or before == "_" or (before == "." and match[0].startswith("eval"))):
            found = None
    return found


def names_runner(tree: ast.Module) -> bool:
    """Whether a program names anything that runs text: the words may stand in its messages alone."""
    for node in walk(tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name.startswith("exec") or (name == "eval" and isinstance(node, ast.Name)):
            return True
    return False


def follow(world: World, index: int, tree: ast.Module, file: str, names: dict[str, Any] | None = None) -> None:
    names = {} if names is None else names
    names.update({"__name__": "__main__", "__file__": posixpath.join(HERE, file)})
    runner = Runner(world, index, names, _functions_that_run_code(tree, world.layers[index].text))
    try:
        runner.block(tree.body)
    except OutOfBudget as error:
        world.unresolved.append((index, 0, f"unpacking stopped: {error}"))
    except (Returned, LoopEnd):
        pass


class Runner(StatementRunner):
    """Follows one layer to what it reads, writes and executes."""

    def __init__(self, world: World, index: int, names: dict[str, Any], enter: frozenset[str]) -> None:
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
            return Thing("file", {"name": path, "file": self.world.files.setdefault(path, File())})
        if name == "tempfile.mkstemp":
            path = f"/tmp/{len(self.world.files)}{options.get('suffix', '')}"
            self.world.files[path] = File()
            return (Thing("descriptor", {"name": path}), path)
        if name == "tempfile.TemporaryDirectory":
            return "/tmp"
        if name in ("os.write",) and args and isinstance(args[0], Thing):
            self.world.files.setdefault(args[0].data["name"], File()).write(args[1])
            return None
        if name in ("runpy.run_path", "importlib.util.spec_from_file_location", "importlib.machinery.SourceFileLoader"):
            return self._run_path(name, args, options, line)
        if name == "importlib.util.module_from_spec":
            return Thing("module", {"spec": args[0] if args else UNKNOWN})
        if _STARTS_PROCESS.fullmatch(name):
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
            file: File = owner.data["file"]
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
            self.world.files[posixpath.normpath(path)] = File(args[0] if args else UNKNOWN)
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
            self.world.files[path] = File()
        if path not in self.world.files:
            content = self._content(path)
            if isinstance(content, Unknown):
                return content
            return Thing("file", {"name": path, "file": File(content), "text": "b" not in mode})
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
        if content is not None:
            self.world.opened.append((self.index, relative))
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
        if may_run_code(text) is not False:
            own = posixpath.basename(given) if given.endswith(".py") else world.layers[0].name
            follow(world, index, tree, own, dict(self.names))


def _functions_that_run_code(tree: ast.Module, text: str) -> frozenset[str]:
    """Names of functions whose text executes something, or that mention one of those."""
    lines = text.split("\n")
    bodies = {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    found = {name for name, body in bodies.items() if may_run_code(body) is not False}
    for _ in range(4):
        pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, found)) + r")\b") if found else None
        more = {name for name, body in bodies.items() if name not in found and pattern and pattern.search(body)}
        if not more:
            break
        found |= more
    return frozenset(found)
