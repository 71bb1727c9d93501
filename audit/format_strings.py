"""Takes f-strings and t-strings of PEP 701 and 750 out of a text, so that an older grammar can parse the rest."""

from __future__ import annotations

import ast
import bisect
import re
from collections.abc import Callable
from dataclasses import dataclass

PLACEHOLDER = "__golfproof_string_{}__"
_MAX_DEPTH = 5  # strings in strings
_TOKEN = re.compile(
    r"#[^\n]*|(?P<prefix>\b[A-Za-z]{1,2})?(?P<quote>'''|\"\"\"|'|\")|[()\[\]{}]|\\\n",
)
_PLAIN_END = {
    quote: re.compile(rf"[^\\{quote[0]}{end}]*(?:(?:\\.|{inner})[^\\{quote[0]}{end}]*)*{quote}", re.S)
    for quote, end, inner in (
        ("'", r"\n", r"(?!)"),
        ('"', r"\n", r"(?!)"),
        ("'''", "", r"'(?!'')"),
        ('"""', "", r'"(?!"")'),
    )
}
_WORD = re.compile(r"\w+")
_PREFIXES = frozenset({"f", "t", "fr", "rf", "tr", "rt"})
_PLAIN_PREFIXES = frozenset({"", "r", "u", "b", "br", "rb"})
_BETWEEN = re.compile(r"(?:[ \t\f]|\\\n|#[^\n]*|\n)*")


@dataclass(frozen=True)
class Field:
    """A replacement field: where its expression stands, its conversion and the parts of its format specification."""

    start: int
    end: int
    conversion: str
    spec: tuple[str | Field, ...] | None
    shows_itself: bool  # {x=}


@dataclass(frozen=True)
class Token:
    """A string of the text: ``parts`` of a formatted one, None for a plain one; ``depth`` of brackets around it."""

    start: int
    end: int
    depth: int
    parts: tuple[str | Field, ...] | None


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text

    def tokens(self, start: int, end: int) -> list[Token]:
        """Every string between two offsets; raises SyntaxError for one that does not end."""
        found: list[Token] = []
        position, depth = start, 0
        while match := _TOKEN.search(self.text, position, end):
            position = match.end()
            if match["quote"]:
                token = self._string(match, depth, 0)
                found.append(token)
                position = token.end
            elif match[0] in "([{":
                depth += 1
            elif match[0] in ")]}":
                depth = max(depth - 1, 0)
        return found

    def _string(self, match: re.Match[str], depth: int, nested: int) -> Token:
        prefix, quote = (match["prefix"] or "").lower(), match["quote"]
        start = match.start()
        if prefix in _PREFIXES:
            parts, end = self._formatted(match.end(), quote, "r" in prefix, nested)
            return Token(start, end, depth, parts)
        if prefix not in _PLAIN_PREFIXES:
            start = match.start("quote")  # a name before a quote: no Python, or a later error
        closing = _PLAIN_END[quote].match(self.text, match.end())
        if closing is None:
            raise SyntaxError("a string does not end")
        return Token(start, closing.end(), depth, None)

    def _formatted(
        self, position: int, quote: str, raw: bool, nested: int, spec: bool = False
    ) -> tuple[tuple[str | Field, ...], int]:
        """Parts of a formatted string from after its quote, or of a specification up to its closing brace."""
        if nested > _MAX_DEPTH:
            raise SyntaxError("strings nested too deeply")
        parts: list[str | Field] = []
        literal: list[str] = []
        text, size = self.text, len(self.text)
        while position < size:
            char = text[position]
            if not spec and text.startswith(quote, position):
                return self._closed(parts, literal, raw), position + len(quote)
            if spec and char == "}":
                return self._closed(parts, literal, raw), position
            if char == "\n" and len(quote) == 1 and not spec:
                break
            if char == "\\":
                if not raw and text.startswith("\\N{", position):
                    end = text.find("}", position) + 1
                else:
                    end = position + (1 if text[position + 1 : position + 2] in ("{", "}") else 2)
                literal.append(text[position:end])
                position = max(end, position + 1)
            elif not spec and text[position : position + 2] in ("{{", "}}"):
                literal.append(char)
                position += 2
            elif char == "{":
                if literal:
                    parts.append(_unescape("".join(literal), raw))
                    literal.clear()
                field, position = self._field(position + 1, quote, raw, nested)
                parts.append(field)
            else:
                literal.append(char)
                position += 1
        raise SyntaxError("a formatted string does not end")

    def _closed(self, parts: list[str | Field], literal: list[str], raw: bool) -> tuple[str | Field, ...]:
        return (*parts, _unescape("".join(literal), raw)) if literal else tuple(parts)

    def _field(self, start: int, quote: str, raw: bool, nested: int) -> tuple[Field, int]:
        text, size, depth, position = self.text, len(self.text), 0, start
        while position < size:
            match = _TOKEN.match(text, position)
            char = text[position]
            if match and match["quote"]:
                position = self._string(match, 0, nested + 1).end
            elif char == "#":
                newline = text.find("\n", position)
                position = size if newline < 0 else newline
            elif char in "([{":
                depth, position = depth + 1, position + 1
            elif depth and char in ")]}":
                depth, position = depth - 1, position + 1
            elif not depth and (char in "}:" or (char == "!" and text[position + 1 : position + 2] != "=")):
                return self._tail(start, position, quote, raw, nested)
            elif word := _WORD.match(text, position):
                position = word.end()
            else:
                position += 1
        raise SyntaxError("a replacement field does not end")

    def _tail(self, start: int, position: int, quote: str, raw: bool, nested: int) -> tuple[Field, int]:
        text, end = self.text, position
        before = text[start:end].rstrip()
        shows_itself = before.endswith("=") and not before.endswith(("==", "!=", "<=", ">="))
        expression_end = start + len(before) - 1 if shows_itself else end
        conversion = ""
        if text[position] == "!":
            conversion, position = text[position + 1 : position + 2], position + 2
            while text[position : position + 1].isspace():
                position += 1
        spec: tuple[str | Field, ...] | None = None
        if text[position : position + 1] == ":":
            spec, position = self._formatted(position + 1, quote, raw, nested + 1, spec=True)
        if text[position : position + 1] != "}":
            raise SyntaxError("a replacement field does not end")
        return Field(start, expression_end, conversion, spec, shows_itself), position + 1


def take_out(text: str, parse: Callable[[str], ast.Module]) -> tuple[str, dict[str, ast.expr]]:
    """The text with a name over as many lines for every string that the host's grammar refuses, and their trees.

    ``parse`` parses an expression of a replacement field, which may hold such strings itself. Raises SyntaxError.
    """
    tokens = _Scanner(text).tokens(0, len(text))
    starts = [0] + [match.end() for match in re.finditer("\n", text)]
    trees: dict[str, ast.expr] = {}
    pieces: list[str] = []
    done = 0
    for group in _groups(text, tokens):
        if all(token.parts is None for token in group):
            continue
        first, last = group[0].start, group[-1].end
        code = text[first:last]
        try:
            ast.parse(f"({code}\n)")
            continue
        except SyntaxError:
            pass
        name = PLACEHOLDER.format(len(trees))
        parts: list[ast.expr] = []
        for token in group:
            if token.parts is None:
                plain = ast.parse(f"({text[token.start : token.end]})", mode="eval").body
                parts.append(plain)
            else:
                parts += _trees(text, token.parts, starts, parse)
        trees[name] = _joined(parts)
        pieces += [text[done:first], f"({name}" + "\n" * code.count("\n") + ")"]
        done = last
    return "".join(pieces) + text[done:], trees


def _groups(text: str, tokens: list[Token]) -> list[list[Token]]:
    """Strings that stand side by side, which Python joins."""
    groups: list[list[Token]] = []
    for token in tokens:
        if groups:
            before = groups[-1][-1]
            gap = _BETWEEN.match(text, before.end)
            joined = gap is not None and gap.end() == token.start and token.depth == before.depth
            if joined and (token.depth or not re.search(r"(?<!\\)\n", text[before.end : token.start])):
                groups[-1].append(token)
                continue
        groups.append([token])
    return groups


def _trees(
    text: str, parts: tuple[str | Field, ...], starts: list[int], parse: Callable[[str], ast.Module]
) -> list[ast.expr]:
    found: list[ast.expr] = []
    for part in parts:
        if isinstance(part, str):
            found.append(ast.Constant(value=part))
            continue
        line = bisect.bisect_right(starts, part.start)
        column = part.start - starts[line - 1]
        code = text[part.start : part.end]
        if part.shows_itself:
            found.append(ast.Constant(value=f"{code}="))
        conversion = part.conversion or ("r" if part.shows_itself and part.spec is None else "")
        found.append(
            ast.FormattedValue(
                value=_moved(parse(f"({code}\n)"), line, column),
                conversion=ord(conversion) if conversion else -1,
                format_spec=None if part.spec is None else _joined(_trees(text, part.spec, starts, parse)),
                lineno=line,
                col_offset=column,
                end_lineno=line + code.count("\n"),
                end_col_offset=column + len(code),
            )
        )
    return found


def _moved(tree: ast.Module, line: int, column: int) -> ast.expr:
    """An expression's tree, moved to where the expression stands."""
    statement = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(statement, ast.Expr):
        raise SyntaxError("not an expression")
    for node in ast.walk(statement.value):
        if isinstance(node, (ast.expr, ast.keyword, ast.arg)):
            node.col_offset += column - 1 if node.lineno == 1 else 0
            node.end_col_offset = (node.end_col_offset or 0) + (column - 1 if node.end_lineno == 1 else 0)
            node.end_lineno = (node.end_lineno or node.lineno) + line - 1
            node.lineno += line - 1
    return statement.value


def _joined(parts: list[ast.expr]) -> ast.expr:
    merged: list[ast.expr] = []
    for part in parts:
        values = part.values if isinstance(part, ast.JoinedStr) else [part]
        for value in values:
            last = merged[-1] if merged else None
            if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
                merged[-1] = ast.Constant(value=str(last.value) + str(value.value))
            elif not (isinstance(value, ast.Constant) and value.value == ""):
                merged.append(value)
    return ast.JoinedStr(values=merged)


def _unescape(value: str, raw: bool) -> str:
    if raw or "\\" not in value:
        return value
    quoted = re.sub(r'(?<!\\)((?:\\\\)*)"', r'\1\\"', value)
    try:
        found = ast.literal_eval(f'"""{quoted}"""')
    except (SyntaxError, ValueError):
        return value
    return found if isinstance(found, str) else value
