"""Which files of its folder a submission runs beside its trainer, and whether it measures them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from audit.finding import Step
from audit.words import words
from reproduce.folder import list_files

if TYPE_CHECKING:
    from audit.case import Case
    from audit.events import Event

NATIVE = words(".c .cc .cpp .cxx .cu .cuh .h .hpp .so .pyx .rs .ptx .cubin .dll .dylib")
_SOURCE = re.compile(r"[^\s\0\"'=]+\.(?:c|cc|cpp|cxx|cu|pyx|rs)$", re.I)
_SCRIPT = re.compile(r"[\w./-]+\.py\b")
_STARTS = ("run", "call", "check_call", "check_output", "Popen", "system")


@dataclass(frozen=True)
class Loaded:
    """A file beside the trainer that the program runs; ``size`` in bytes, None where it is not in the folder."""

    name: str
    size: int | None
    active: bool
    because: str
    step: Step


class LoadedCode:
    """What one submission runs beside its trainer."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @cached_property
    def files(self) -> dict[str, Path]:
        """The folder's files of code by their name inside the folder, the trainer left out."""
        found = [path for path in list_files(self.case.folder.path)[0] if path.suffix.lower() in (".py", *NATIVE)]
        return {self.case.folder.relative(path): path for path in found if path != self.case.folder.trainer}

    def all(self) -> list[Loaded]:
        """Every such file once, those that the submitted configuration reaches first."""
        found: dict[str, Loaded] = {}
        for loaded in (
            *self._behind_wrapper(),
            *self._imported(),
            *self._executed(),
            *self._started(),
            *self._native(),
        ):
            known = found.get(loaded.name)
            if known is None or (loaded.active and not known.active):
                found[loaded.name] = loaded
        return sorted(found.values(), key=lambda f: (not f.active, -(f.size or 0), f.name))

    def measures(self, name: str) -> bool:
        """Whether the program takes the size of a file: of what it read from it, or of the file itself."""
        sizes = [e for e in self.case.timeline.of("sized") if e.active]
        opened = [e for e in self.case.timeline.of("open") if e.active and _names(e.text, name)]
        return (
            any(_names(size.text, name) for size in sizes)
            or any(size.value.bits & read.bit for size in sizes for read in opened)
            or any(self._named_around(size, name) for size in sizes)
        )

    # -- the ways ---------------------------------------------------------------------------------------------------

    def _behind_wrapper(self) -> Iterator[Loaded]:
        """A trainer that holds nothing but the line that runs another file."""
        unpacked = self.case.trainer.unpacked
        for index, relative in unpacked.opened if unpacked is not None else ():
            name = self._find(relative)
            if unpacked is None or index not in unpacked.wrappers or name is None:
                continue
            layer = unpacked.layers[index]
            lines = layer.text.split("\n")
            stem = Path(relative).stem
            at = next((i for i, line in enumerate(lines, 1) if stem in line), 1)
            step = Step(self.case.trainer.file, at, lines[at - 1].strip()[:160], f"runs {name}", "sink")
            yield Loaded(name, self.files[name].stat().st_size, True, "", step)

    def _imported(self) -> Iterator[Loaded]:
        for event in self.case.timeline.of("code"):
            if event.text not in self.files:
                continue
            yield self._loaded(event, event.text)
            for folder in Path(event.text).parents:
                package = (folder / "__init__.py").as_posix()
                if package in self.files and self.files[package].stat().st_size:
                    yield self._loaded(event, package)

    def _executed(self) -> Iterator[Loaded]:
        """``exec`` of what was read from a file."""
        runs = list(self.case.timeline.of("exec"))
        for read in self.case.timeline.of("open") if runs else ():
            for run in runs:
                if run.value.bits & read.bit and read.text and "*" not in read.text and not read.data.get("own"):
                    name = self._find(read.text)
                    if name is not None or not self._writes(read.text):
                        yield self._loaded(run, name or _bare(read.text))

    def _started(self) -> Iterator[Loaded]:
        """Scripts of the folder that run as processes of their own."""
        for event in self.case.timeline.of("outside"):
            if event.data.get("how") in _STARTS:
                for text in _SCRIPT.findall(event.text):
                    if (name := self._find(text)) is not None:
                        yield self._loaded(event, name)

    def _native(self) -> Iterator[Loaded]:
        """Native code that is loaded or compiled; its files stand as texts in the reached code of the same module."""
        loads = list(self.case.timeline.of("native"))
        if not loads:
            return
        native = [name for name in self.files if Path(name).suffix.lower() in NATIVE]
        for event in loads:
            within = self._texts(event.file) if native else set()
            for name in native:
                if any(_bare(text) == Path(name).name for text in within):
                    yield self._loaded(event, name)
            for text in event.text.split(" "):
                if _SOURCE.search(text) and self._find(text) is None and not self._writes(text):
                    yield self._loaded(event, _bare(text))

    # -- what they share --------------------------------------------------------------------------------------------

    def _loaded(self, event: Event, name: str) -> Loaded:
        path = self.files.get(name)
        step = Step(event.file, event.line, self.case.excerpt(event.file, event.line), f"runs {name}", "sink")
        because = f"switched off by {event.because}" if event.because and not event.active else ""
        return Loaded(name, path.stat().st_size if path else None, event.active, because, step)

    def _find(self, text: str) -> str | None:
        """The file of the folder that a path names, whatever folder the program believes to be in."""
        plain = text.replace("\0", "").strip("/").removeprefix("./")
        if plain in self.files:
            return plain
        same = [name for name in self.files if Path(name).name == _bare(text)]
        return same[0] if len(same) == 1 else None

    def _writes(self, text: str) -> bool:
        """Whether the program writes a file of that name itself: then its text is in the trainer."""
        return any(e.data.get("mode") != "r" and _bare(e.text) == _bare(text) for e in self.case.timeline.of("open"))

    def _texts(self, file: str) -> set[str]:
        """The string constants of a module's own statements and of its functions that were walked."""
        module = self.case.by_file.get(file)
        found: set[str] = set()
        waiting: list[ast.AST] = [module.tree] if module is not None else []
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node not in self.case.program.called:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            waiting.extend(ast.iter_child_nodes(node))
        return found

    def _named_around(self, size: Event, name: str) -> bool:
        """Whether the function that asks for a size of some file names this one."""
        if size.text and "\0" not in size.text and "*" not in size.text:
            return False
        module = self.case.by_file.get(size.file)
        for function in module.nodes(ast.FunctionDef) if module is not None else ():
            if function.lineno <= size.line <= (function.end_lineno or function.lineno):
                texts: Iterable[object] = (n.value for n in ast.walk(function) if isinstance(n, ast.Constant))
                return any(isinstance(text, str) and _names(text, name) for text in texts)
        return False


def _bare(text: str) -> str:
    """The last part of a path."""
    return text.replace("\0", "/").rstrip("/").rsplit("/", 1)[-1]


def _names(text: str, name: str) -> bool:
    """Whether a text is the path of a file, or a pattern that fits it."""
    return bool(text) and fnmatch(Path(name).name, _bare(text))
