"""Reads the commands that start a program out of READMEs, shell scripts and submission.json, without a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_MAX_LINES = 20_000
_MAX_LINE_CHARS = 20_000
_MAX_SCRIPT_DEPTH = 3
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_ASSIGNMENT = re.compile(rf"({_NAME})=(.*)", re.S)
_VARIABLE = re.compile(rf"\$(?:\{{({_NAME})(?:(:?[-=])([^}}]*))?\}}|({_NAME}))")
_FOR = re.compile(rf"\s*for\s+({_NAME})\s+in\s+(.+?)\s*(?:;|\bdo\b|$)")
_POWERSHELL = re.compile(rf"\s*\$env:({_NAME})\s*=\s*(.+?)\s*;?\s*$", re.I)
_PLACEHOLDER = re.compile(r"(?<=\w)=<[^<>\s]*>")  # SEED=<seed>: the shell would read a redirection
_DESCRIPTOR = re.compile(r"(?<=\s)(?:[0-9]>&\s*[0-9]|[0-9](?=>))")  # 2>&1; the 2 of 2>file
_FENCE = re.compile(r"^\s{0,3}(?:>\s*)?(`{3,}|~{3,})\s*([\w+-]*)")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*)")
_INLINE = re.compile(r"`([^`\n]*\.py[^`\n]*)`")
_STARTS_PROGRAM = re.compile(r"(?:^|[\s/])(?:torchrun|python[0-9.]*|uv|accelerate|modal|deepspeed|srun|mpirun)\b")
_SHELLS = {"bash", "sh", "zsh", "source", "."}
_PREFIXES = {"env", "time", "nohup", "exec", "sudo", "nice", "command", "export", "declare", "stdbuf", "timeout"}
# What may stand before the launcher: caffeinate -i, taskset -c 0-7, numactl --cpunodebind=0, ...
_WRAPPER_WORD = re.compile(
    r"-.*|[\d,-]+|caffeinate|taskset|numactl|setsid|unbuffer|uv|run|poetry|conda|screen|chrt|ionice"
)
_STOPS = {"|", "||", "&&", "&", ";", ">", ">>", "2>", "2>>", "&>", "<", "(", ")", "|&", ">|"}


@dataclass(frozen=True)
class RunCommand:
    """One start of a Python program as its author wrote it.

    ``environment`` holds the assignments that reach it, ``environment_lines`` the 1-based line of each in ``file``.
    ``open_values`` names the variables whose value the text leaves open (``SEED=$SEED``, ``RUN_ID=<id>``).
    """

    program: str  # torchrun, python3, ...
    script: str  # as written: records/.../train_gpt.py
    arguments: tuple[str, ...] = ()  # after the script
    launcher_arguments: tuple[str, ...] = ()  # before it: --standalone --nproc_per_node=8
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_lines: Mapping[str, int] = field(default_factory=dict)
    open_values: tuple[str, ...] = ()
    text: str = ""
    file: str = ""
    line: int = 0
    heading: str = ""

    @property
    def script_name(self) -> str:
        """The script without its folder."""
        return PurePosixPath(self.script.replace("\\", "/")).name

    @property
    def processes(self) -> int | None:
        """Processes on one node (``--nproc_per_node``), or None where the command does not say."""
        words = list(self.launcher_arguments)
        for index, word in enumerate(words):
            name, _, value = word.partition("=")
            if name.lstrip("-").replace("-", "_") in ("nproc_per_node", "num_processes"):
                value = value or (words[index + 1] if index + 1 < len(words) else "")
                return int(value) if value.isdigit() else None
        return None


@dataclass
class _Scope:
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def copy(self) -> _Scope:
        return _Scope(dict(self.values), dict(self.lines), set(self.open))

    def put(self, name: str, value: str, line: int, shell: Mapping[str, str]) -> None:
        expanded = expand(value, {**shell, **self.values})
        if expanded is None or re.fullmatch(r"<[^<>]*>|\{[^{}]*\}|\.\.\.|…", expanded.strip()):
            self.open.add(name)
            self.values.pop(name, None)
        else:
            self.values[name] = expanded
            self.open.discard(name)
        self.lines[name] = line


def expand(text: str, values: Mapping[str, str]) -> str | None:
    """``$X``, ``${X}``, ``${X:-default}`` from ``values``; None where a variable or a command is left open."""
    missing = False

    def one(match: re.Match[str]) -> str:
        nonlocal missing
        name = match[1] or match[4]
        if name in values and not (match[2] in (":-", ":=") and values[name] == ""):
            return values[name]
        if match[2] is not None:
            inner = expand(match[3], values)
            missing = missing or inner is None
            return inner or ""
        missing = True
        return ""

    done = _VARIABLE.sub(one, text)
    return None if missing or "$(" in done or "`" in done else done


def commands_in_markdown(text: str, file: str, read: Callable[[str], str | None] | None = None) -> list[RunCommand]:
    """Commands in the code blocks, then in the inline code, of a Markdown text; ``read`` opens scripts it starts."""
    found: list[RunCommand] = []
    exported = _Scope()
    for heading, block in _blocks(text):
        for command in _commands(block, file, exported, read, 0):
            found.append(_with_heading(command, heading))
    heading = ""
    lines = list(enumerate(text.splitlines()[:_MAX_LINES], 1))
    if not found:  # no code block: a command may stand in the prose, on lines of its own
        found += _commands(lines, file, exported, read, 0)
    for number, line in lines:
        if title := _HEADING.match(line):
            heading = title[1]
        if ".py" not in line or len(line) > _MAX_LINE_CHARS:
            continue
        for span in _INLINE.finditer(line):
            for command in _commands([(number, span[1])], file, _Scope(), read, 0):
                found.append(_with_heading(command, heading))
    return found


def commands_in_script(text: str, file: str, read: Callable[[str], str | None] | None = None) -> list[RunCommand]:
    """Commands that a shell script starts, its own defaults (``${SEED:-1337}``) filled in."""
    lines = list(enumerate(text.splitlines()[:_MAX_LINES], 1))
    return list(_commands(lines, file, _Scope(), read, 0))


def _with_heading(command: RunCommand, heading: str) -> RunCommand:
    return RunCommand(**{**command.__dict__, "heading": heading})


def _blocks(text: str) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Fenced and indented code blocks with the heading above each."""
    heading, fence = "", ""
    block: list[tuple[int, str]] = []
    blank = True
    for number, line in enumerate(text.splitlines()[:_MAX_LINES], 1):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not mark[2]:
                yield heading, block
                fence, block, blank = "", [], True
            else:
                block.append((number, line))
            continue
        if mark:
            if block:
                yield heading, block
            fence, block = mark[1], []
            continue
        if line.startswith(("    ", "\t")) and (blank or block):
            block.append((number, line))
        elif block and line.strip():
            yield heading, block
            block = []
        if title := _HEADING.match(line):
            heading = title[1].strip()
        blank = not line.strip()
    if block:
        yield heading, block


def _logical(lines: list[tuple[int, str]]) -> Iterator[tuple[list[tuple[int, str]], str]]:
    """Lines joined where a backslash (or PowerShell's backtick) continues them, with the pieces they came from."""
    pieces: list[tuple[int, str]] = []
    for number, raw in lines:
        line = raw[:_MAX_LINE_CHARS].replace("\\_", "_").strip()
        line = re.sub(r"^(?:\$|>|!|%)\s*(?=\S)", "", line) if not line.startswith(("$env:", "${")) else line
        if pieces and line.startswith("#"):
            continue
        line = _PLACEHOLDER.sub("=$placeholder", line)
        stripped = line.rstrip("\\") if line.endswith("\\") else line[:-1] if re.search(r"\s[`^]$", line) else None
        if stripped is not None:
            pieces.append((number, stripped))
            continue
        pieces.append((number, line))
        yield pieces, " ".join(piece for _, piece in pieces)
        pieces = []
    if pieces:
        yield pieces, " ".join(piece for _, piece in pieces)


def _words(line: str) -> list[str]:
    """Shell words with operators apart; a line that is not shell falls back to spaces."""
    line = _DESCRIPTOR.sub("", line)
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split, lexer.commenters = True, "#"
        return list(lexer)
    except ValueError:
        return line.split()


def _commands(
    lines: list[tuple[int, str]],
    file: str,
    exported: _Scope,
    read: Callable[[str], str | None] | None,
    depth: int,
) -> Iterator[RunCommand]:
    shell: dict[str, str] = {}
    for pieces, line in _logical(lines):
        if not line or line.startswith("#"):
            continue
        if loop := _FOR.match(line):
            values = loop[2].replace('"', " ").replace("'", " ").split()
            if first := next((value for value in values if not value.startswith("$")), None):
                shell[loop[1]] = first
            line = line[loop.end() :].strip()
            if not line:
                continue
        if assigned := _POWERSHELL.match(line):
            exported.put(assigned[1], assigned[2].strip("\"'"), pieces[0][0], shell)
            continue
        if (assigned := re.match(rf"(?i)\s*set\s+({_NAME})=(.*)", line)) and "-" not in line.split()[1]:
            exported.put(assigned[1], assigned[2].strip(), pieces[0][0], shell)
            continue
        yield from _simple_commands(pieces, line, file, exported, shell, read, depth)


def _simple_commands(
    pieces: list[tuple[int, str]],
    line: str,
    file: str,
    exported: _Scope,
    shell: dict[str, str],
    read: Callable[[str], str | None] | None,
    depth: int,
) -> Iterator[RunCommand]:
    part: list[str] = []
    for word in [*_words(line), ";"]:
        if word not in _STOPS and word not in ("do", "then", "else", "{", "}", "done", "fi"):
            part.append(word)
            continue
        if part:
            yield from _one_command(part, pieces, line, file, exported, shell, read, depth)
        part = []


def _one_command(
    words: list[str],
    pieces: list[tuple[int, str]],
    line: str,
    file: str,
    exported: _Scope,
    shell: dict[str, str],
    read: Callable[[str], str | None] | None,
    depth: int,
) -> Iterator[RunCommand]:
    scope = exported.copy()
    words = _split_variables(words, {**shell, **scope.values})
    exporting = words[0] in ("export", "declare")
    index = 0
    while index < len(words):
        word = words[index]
        assigned = _ASSIGNMENT.fullmatch(word)
        if assigned:
            at = _line_of(assigned[1], pieces)
            scope.put(assigned[1], assigned[2], at, shell)
        elif not (word in _PREFIXES or (index and words[0] in _PREFIXES and re.fullmatch(r"-\w+|\d+[smh]?", word))):
            break
        index += 1
    rest = words[index:]
    if not rest:
        # Nothing is started: the assignments stand for what follows. Authors write them line by line, without a
        # backslash or `export`, and mean them all the same.
        if exporting or all(re.match(r"[A-Z_]+[A-Z0-9_]*=", word) for word in words):
            exported.values, exported.lines, exported.open = scope.values, scope.lines, scope.open
        shell.update(scope.values)
        return
    if rest[0] in _SHELLS or rest[0].endswith(".sh"):
        script = next((word for word in rest if word.endswith(".sh")), None)
        if script and read and depth < _MAX_SCRIPT_DEPTH and (text := read(script)) is not None:
            inner = list(enumerate(text.splitlines()[:_MAX_LINES], 1))
            target = exported if rest[0] in ("source", ".") else scope
            name = PurePosixPath(script).name
            started = list(_commands(inner, name, target, read, depth + 1))
            yield from started
        return
    launcher = next((i for i, word in enumerate(rest[:8]) if _STARTS_PROGRAM.search(" " + word)), 0)
    if all(_WRAPPER_WORD.fullmatch(word) for word in rest[:launcher]):
        rest = rest[launcher:]
    start = next((i for i, word in enumerate(rest) if word.endswith(".py") and not word.startswith("-")), None)
    if start is None or "-c" in rest[:start] or not (_STARTS_PROGRAM.search(" " + rest[0]) or (start == 0 and index)):
        return
    known = {**shell, **scope.values}
    yield RunCommand(
        program=rest[0] if start else "python",
        script=expand(rest[start], known) or rest[start],
        arguments=tuple(expand(word, known) or word for word in rest[start + 1 :]),
        launcher_arguments=tuple(expand(word, known) or word for word in rest[1:start]),
        environment=dict(scope.values),
        environment_lines=dict(scope.lines),
        open_values=tuple(sorted(scope.open)),
        text=line.strip().replace("=$placeholder", "=<...>"),
        file=file,
        line=pieces[0][0],
    )


def _split_variables(words: list[str], known: Mapping[str, str]) -> list[str]:
    """Words of an unquoted variable that holds several, as in ``env $COMMON python train_gpt.py``."""
    found: list[str] = []
    for word in words:
        match = _VARIABLE.fullmatch(word)
        text = expand(word, known) if match else None
        found += text.split() if text and len(text) <= _MAX_LINE_CHARS else [word]
    return found


def _line_of(name: str, pieces: list[tuple[int, str]]) -> int:
    pattern = re.compile(rf"(?<![A-Za-z0-9_]){name}=")
    return next((number for number, text in pieces if pattern.search(text)), pieces[0][0])
