"""Parses Python newer than the host's grammar into the host's syntax tree, every node on its own line.

LibCST reads the text; what the host refuses is replaced by something of as many lines that it accepts: f-strings of
PEP 701 by placeholders whose trees are put back, type parameters and aliases of PEP 695 and 696 by what they mean
at run time, template strings (PEP 750) by f-strings, ``except A, B`` (PEP 758) by a tuple.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

_PLACEHOLDER = "__golfproof_string_{}__"
_EXCEPT = re.compile(r"^([ \t]*except\*?[ \t]+)([\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)([ \t]*:)", re.M)
_MAX_ELIF = 300
_MAX_OPERATORS = 1500  # in one logical line: LibCST descends for each
_MAX_DEPTH = 4  # f-strings in f-strings

Edit = tuple[tuple[int, int], tuple[int, int], str]  # start and end (line, column), what stands there instead


def parse_newer(text: str) -> ast.Module:
    """The tree of a text that the host's grammar refuses; raises SyntaxError where LibCST refuses it too."""
    return _parse(text, 0)


def _parse(text: str, depth: int) -> ast.Module:
    if depth > _MAX_DEPTH:
        raise SyntaxError("strings nested too deeply")
    text = _EXCEPT.sub(r"\1(\2)\3", text)
    try:
        return ast.parse(text)
    except SyntaxError:
        pass
    _refuse_what_crashes(text)
    try:
        wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        collector = _Collector(wrapper, depth)
        wrapper.visit(collector)
    except cst.ParserSyntaxError as error:
        raise SyntaxError(str(error)) from error
    tree = ast.parse(_apply(text, collector.edits))
    return ast.fix_missing_locations(_PutBack(collector.strings).visit(tree))


def _refuse_what_crashes(text: str) -> None:
    """LibCST's parser descends by recursion in native code, without a limit of its own."""
    if len(re.findall(r"^[ \t]*elif\b", text, re.M)) > _MAX_ELIF:
        raise SyntaxError("too many branches")
    for line in text.split("\n"):
        if (
            len(line) > _MAX_OPERATORS
            and len(re.findall(r"[-+*/%&|^~<>=.(\[{]|\b(?:and|or|not|in|is|if|else)\b", line)) > _MAX_OPERATORS
        ):
            raise SyntaxError("a line with too many operators")


class _Collector(cst.CSTVisitor):
    """Finds what the host's grammar may refuse, and says what to put in its place."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, wrapper: MetadataWrapper, depth: int) -> None:
        super().__init__()
        self.module = wrapper.module
        self.depth = depth
        self.edits: list[Edit] = []
        self.strings: dict[str, ast.expr] = {}

    def _range(self, node: cst.CSTNode) -> tuple[tuple[int, int], tuple[int, int]]:
        place: Any = self.get_metadata(PositionProvider, node)
        return (place.start.line, place.start.column), (place.end.line, place.end.column)

    def visit_ConcatenatedString(self, node: cst.ConcatenatedString) -> bool:
        return self._string(node)

    def visit_FormattedString(self, node: cst.FormattedString) -> bool:
        return self._string(node)

    def visit_TemplatedString(self, node: Any) -> bool:
        return self._string(node)

    def _string(self, node: cst.BaseExpression) -> bool:
        code = self.module.code_for_node(node)
        try:
            ast.parse(f"({code}\n)")
            return False
        except SyntaxError:
            pass
        name = _PLACEHOLDER.format(len(self.strings))
        start, end = self._range(node)
        self.strings[name] = _joined(self._parts(node))
        self.edits.append((start, end, f"({name}" + "\n" * (end[0] - start[0]) + ")"))
        return False

    def _parts(self, node: cst.CSTNode) -> list[ast.expr]:
        if isinstance(node, cst.ConcatenatedString):
            return self._parts(node.left) + self._parts(node.right)
        if isinstance(node, cst.SimpleString):
            return [ast.Constant(value=node.evaluated_value)]
        raw = "r" in str(getattr(node, "start", "")).lower()
        return self._pieces(getattr(node, "parts", ()), raw)

    def _pieces(self, pieces: Sequence[cst.CSTNode], raw: bool) -> list[ast.expr]:
        found: list[ast.expr] = []
        for piece in pieces:
            expression = getattr(piece, "expression", None)
            if expression is None:
                found.append(ast.Constant(value=_plain(str(getattr(piece, "value", "")), raw)))
                continue
            start, _ = self._range(expression)
            code = self.module.code_for_node(expression)
            value = _expression(code, start, self.depth)
            if getattr(piece, "equal", None) is not None:
                found.append(ast.Constant(value=f"{code}="))
            conversion = getattr(piece, "conversion", None)
            spec = getattr(piece, "format_spec", None)
            found.append(
                ast.FormattedValue(
                    value=value,
                    conversion=ord(conversion) if conversion else -1,
                    format_spec=_joined(self._pieces(spec, raw)) if spec else None,
                    lineno=start[0],
                    col_offset=start[1],
                    end_lineno=start[0],
                    end_col_offset=start[1],
                )
            )
        return found

    def visit_TypeParameters(self, node: cst.TypeParameters) -> bool:
        start, end = self._range(node)
        self.edits.append((start, end, " " + "\\\n" * (end[0] - start[0])))
        return False

    def visit_TypeAlias(self, node: cst.TypeAlias) -> None:
        start, _ = self._range(node)
        name, _ = self._range(node.name)
        self.edits.append((start, name, ""))


def _plain(value: str, raw: bool) -> str:
    value = value.replace("{{", "{").replace("}}", "}")
    if raw or "\\" not in value:
        return value
    try:
        quoted = value.replace('"', '\\"') if not value.endswith("\\") else value + " "
        found = ast.literal_eval(f'"""{quoted}"""')
        return found if isinstance(found, str) else value
    except (SyntaxError, ValueError):
        return value


def _joined(parts: list[ast.expr]) -> ast.expr:
    merged: list[ast.expr] = []
    for part in parts:
        if isinstance(part, ast.Constant) and merged and isinstance(merged[-1], ast.Constant):
            merged[-1] = ast.Constant(value=str(merged[-1].value) + str(part.value))
        elif not (isinstance(part, ast.Constant) and part.value == ""):
            merged.append(part)
    return ast.JoinedStr(values=merged)


def _expression(code: str, start: tuple[int, int], depth: int) -> ast.expr:
    """The tree of an expression, moved to where it stands in the text."""
    statement = _parse(f"({code}\n)", depth + 1).body[0]
    if not isinstance(statement, ast.Expr):
        raise SyntaxError("not an expression")
    for node in ast.walk(statement.value):
        if isinstance(node, (ast.expr, ast.keyword, ast.arg)):
            node.col_offset += start[1] - 1 if node.lineno == 1 else 0
            node.end_col_offset = (node.end_col_offset or 0) + (start[1] - 1 if node.end_lineno == 1 else 0)
            node.end_lineno = (node.end_lineno or node.lineno) + start[0] - 1
            node.lineno += start[0] - 1
    return statement.value


def _apply(text: str, edits: list[Edit]) -> str:
    """Replace ranges of a text from its end to its start; ranges inside another's are dropped."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    done, limit = text, len(text) + 1
    places = [(starts[a[0] - 1] + a[1], starts[b[0] - 1] + b[1], new) for a, b, new in edits]
    for first, last, new in sorted(places, key=lambda place: (place[0], -place[1]), reverse=True):
        if last <= limit:
            done, limit = done[:first] + new + done[last:], first
    return done


class _PutBack(ast.NodeTransformer):
    """Puts the trees of strings where their placeholders stand."""

    def __init__(self, strings: dict[str, ast.expr]) -> None:
        self.strings = strings

    def visit_Name(self, node: ast.Name) -> ast.AST:
        found = self.strings.get(node.id)
        return ast.copy_location(found, node) if found is not None else node
