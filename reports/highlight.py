"""Highlighted source excerpts: the lines around a step of a finding's path, as HTML."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from reports.escape import plain

if TYPE_CHECKING:
    from pygments.formatter import Formatter
    from pygments.lexer import Lexer

LONGEST = 400  # characters of a line; minified programs have lines of many thousands


@cache
def _tools() -> tuple[Lexer, Formatter]:
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return PythonLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True)


def python(code: str) -> Markup:
    """``code`` as HTML spans with Pygments' short classes, every character of it escaped."""
    from pygments import highlight

    lexer, formatter = _tools()
    return Markup(highlight(plain(code, keep_newlines=True), lexer, formatter))


def excerpt(text: str, line: int, *, around: int = 3) -> Markup:
    """The lines ``around`` the 1-based ``line`` of ``text``, numbered, that line marked."""
    lines = text.split("\n")
    if not 1 <= line <= len(lines):
        return Markup("")
    first = max(1, line - around)
    shown = lines[first - 1 : line + around]
    return numbered(shown, first, line)


def numbered(lines: list[str], first: int, marked: int) -> Markup:
    """``lines`` of code as an ordered list from number ``first``, the line ``marked`` highlighted."""
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    cut = [line[indent:] for line in lines]
    cut = [line if len(line) <= LONGEST else line[:LONGEST] + " …" for line in cut]
    # One pass over the whole excerpt, so that a string over several lines keeps its colour.
    html = python("\n".join(plain(line) for line in cut)).split("\n")
    rows = Markup("").join(
        Markup('<li data-n="{}"{}><code>{}</code></li>').format(
            number, Markup(' class="hit"') if number == marked else "", Markup(row or " ")
        )
        for number, row in enumerate(html[: len(cut)], first)
    )
    return Markup('<ol class="code" tabindex="0" aria-label="source excerpt">{}</ol>').format(rows)
