"""Parses Python newer than the host's grammar into the host's syntax tree, every node on its own line.

What the host refuses is replaced by something of as many lines that it accepts: f-strings of PEP 701 and template
strings (PEP 750) by names whose trees are put back, ``except A, B`` (PEP 758) by a tuple, type parameters and aliases
of PEP 695 and 696, which LibCST finds, by what they mean at run time.
"""

from __future__ import annotations

import ast
import re

from audit.format_strings import take_out

_EXCEPT = re.compile(r"^([ \t]*except\*?[ \t]+)([\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)([ \t]*:)", re.M)
_HAS_TYPES = re.compile(r"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+\w+[ \t]*\[|^[ \t]*type[ \t]+\w+[ \t]*[=\[]", re.M)
_MAX_ELIF = 300
_MAX_OPERATORS = 1500  # in one line: LibCST descends for each
_MAX_DEPTH = 5  # strings in strings

Edit = tuple[tuple[int, int], tuple[int, int], str]  # start and end (line, column), what stands there instead


def parse_newer(text: str) -> ast.Module:
    """The tree of a text that the host's grammar refuses; raises SyntaxError where no grammar takes it."""
    return _parse(text, 0)


def _parse(text: str, depth: int) -> ast.Module:
    if depth > _MAX_DEPTH:
        raise SyntaxError("strings nested too deeply")
    try:
        return ast.parse(text)
    except SyntaxError:
        pass
    text = _EXCEPT.sub(r"\1(\2)\3", text)
    text, strings = take_out(text, lambda code: _parse(code, depth + 1))
    if _HAS_TYPES.search(text):
        text = _without_types(text)
    tree = ast.parse(text)
    return ast.fix_missing_locations(_PutBack(strings).visit(tree)) if strings else tree


class _PutBack(ast.NodeTransformer):
    """Puts the trees of strings where their placeholders stand."""

    def __init__(self, strings: dict[str, ast.expr]) -> None:
        self.strings = strings

    def visit_Name(self, node: ast.Name) -> ast.AST:
        found = self.strings.get(node.id)
        return ast.copy_location(found, node) if found is not None else node


def _without_types(text: str) -> str:
    """The text without type parameters and with aliases as assignments; raises SyntaxError where LibCST refuses it."""
    # LibCST's parser descends by recursion in native code, without a limit of its own.
    if len(re.findall(r"^[ \t]*elif\b", text, re.M)) > _MAX_ELIF:
        raise SyntaxError("too many branches")
    operators = re.compile(r"[-+*/%&|^~<>=.(\[{]|\b(?:and|or|not|in|is|if|else)\b")
    if any(len(line) > _MAX_OPERATORS and len(operators.findall(line)) > _MAX_OPERATORS for line in text.split("\n")):
        raise SyntaxError("a line with too many operators")

    import libcst as cst
    from libcst.metadata import MetadataWrapper, PositionProvider

    edits: list[Edit] = []

    class Types(cst.CSTVisitor):
        METADATA_DEPENDENCIES = (PositionProvider,)

        def visit_TypeParameters(self, node: cst.TypeParameters) -> bool:
            place = self.get_metadata(PositionProvider, node)
            lines = place.end.line - place.start.line
            start, end = (place.start.line, place.start.column), (place.end.line, place.end.column)
            edits.append((start, end, " " + "\\\n" * lines))
            return False

        def visit_TypeAlias(self, node: cst.TypeAlias) -> None:
            start = self.get_metadata(PositionProvider, node).start
            name = self.get_metadata(PositionProvider, node.name).start
            edits.append(((start.line, start.column), (name.line, name.column), ""))

    try:
        MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True).visit(Types())
    except cst.ParserSyntaxError as error:
        raise SyntaxError(str(error)) from error
    return _apply(text, edits)


def _apply(text: str, edits: list[Edit]) -> str:
    """Replace ranges of a text, none inside another, from its end to its start."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    places = [(starts[a[0] - 1] + a[1], starts[b[0] - 1] + b[1], new) for a, b, new in edits]
    for first, last, new in sorted(places, reverse=True):
        text = text[:first] + new + text[last:]
    return text
