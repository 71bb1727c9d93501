"""Decodes and parses Python of any version, refusing what would crash or stall a parser."""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
import warnings

from reproduce.errors import InputError

MAX_SOURCE_BYTES = 8 << 20
MAX_NESTING = 80  # brackets in brackets; CPython itself stops at 200
_BRACKETS = b"()[]{}"
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
# Operators of one operand in a row: each takes a level of a parser's stack. The word tells whether to look at all.
_RUNS = (
    ("", 0, re.compile(r"[-+~](?=\s*[-+~])(?:\s*[-+~]){199}")),
    ("not", 200, re.compile(r"(?:\bnot\s+){200}")),
    ("await", 200, re.compile(r"(?:\bawait\s+){200}")),
    ("lambda", 60, re.compile(r"(?:\blambda\b[^:\n]{0,80}:\s*){60}")),
    ("**", 400, re.compile(r"(?:\*\*\s*[\w.]+\s*){400}")),
)
_STRING_OR_BRACKET = re.compile(
    r"#[^\n]*"
    r"|[A-Za-z]{0,3}(?:'''[^\\']*(?:(?:\\.|'(?!''))[^\\']*)*'''|\"\"\"[^\\\"]*(?:(?:\\.|\"(?!\"\"))[^\\\"]*)*\"\"\""
    r"|'[^\\'\n]*(?:\\.[^\\'\n]*)*'|\"[^\\\"\n]*(?:\\.[^\\\"\n]*)*\")"
    r"|[()\[\]{}]",
    re.S,
)


class ParseError(InputError):
    """A text that is not Python for any version, or that no parser may be given; ``line`` is 1-based, 0 if none."""

    def __init__(self, path: str, expected: str, found: str, line: int = 0) -> None:
        self.line = line
        super().__init__(path, expected, f"{found} at line {line}" if line else found)


def decode_source(data: bytes, name: str) -> str:
    """Source text with newlines as ``\\n`` and no byte-order mark, by Python's rules (mark, cookie, UTF-8) or UTF-16.

    Raises ParseError for what is too large, binary, or not in the encoding it names.
    """
    if len(data) > MAX_SOURCE_BYTES:
        raise ParseError(name, f"a source file of at most {MAX_SOURCE_BYTES >> 20} MiB", f"{len(data)} bytes")
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    elif b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise ParseError(name, "Python source", "binary data: a NUL byte", line)
    else:
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        except SyntaxError as error:
            if "invalid or missing encoding" not in str(error):
                raise ParseError(name, "Python source", str(error)) from error
            encoding = "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ParseError(name, "Python source", f"a byte that is not {encoding}", line) from error
    except (LookupError, ValueError) as error:
        raise ParseError(name, "Python source", f"the encoding {encoding}") from error
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def parse_source(text: str, name: str) -> ast.Module:
    """The syntax tree of a text, with the line numbers of the text.

    The standard library's parser comes first, being ten times faster; where the host's grammar is older than the text,
    LibCST reads it (audit/newer_grammar.py). Raises ParseError with the place for what is no Python at all.
    """
    check_nesting(text, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _parse(text, name)


def _parse(text: str, name: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        from audit.newer_grammar import parse_newer

        try:
            return parse_newer(text)
        except SyntaxError:
            raise ParseError(name, "Python source", error.msg or "a syntax error", error.lineno or 0) from error
        except (RecursionError, MemoryError) as deep:
            raise ParseError(name, "Python source", "code nested too deeply") from deep
    except (RecursionError, MemoryError) as error:
        raise ParseError(name, "Python source", "code nested too deeply") from error
    except ValueError as error:  # a NUL, a lone surrogate, a number of more than 4,300 digits
        raise ParseError(name, "Python source", str(error)[:120]) from error


def check_nesting(text: str, name: str) -> None:
    """Raise ParseError for nesting that crashes parsers: brackets, runs of unary operators, lambdas."""
    if len(text) > MAX_SOURCE_BYTES:
        raise ParseError(name, f"a source text of at most {MAX_SOURCE_BYTES >> 20} Mi characters", f"{len(text)}")
    if "\0" in text:
        raise ParseError(name, "Python source", "a NUL character", text.count("\n", 0, text.index("\0")) + 1)
    for word, least, pattern in _RUNS:
        if (word and text.count(word) < least) or not (run := pattern.search(text)):
            continue
        raise ParseError(name, "Python source", "a run of operators too long", text.count("\n", 0, run.start()) + 1)
    # Cheap first: taking away innermost pairs once a round bounds the depth; strings with odd brackets leave some.
    only = text.encode("utf-8", "surrogatepass").translate(None, _NOT_BRACKETS)
    for _ in range(MAX_NESTING):
        shorter = only.replace(b"()", b"").replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(only):
            break
        only = shorter
    if len(only) <= MAX_NESTING:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        token = match[0]
        if token in "([{":
            depth += 1
            if depth > MAX_NESTING:
                line = text.count("\n", 0, match.start()) + 1
                raise ParseError(name, f"Python source with at most {MAX_NESTING} nested brackets", "more", line)
        elif token in ")]}":
            depth = max(depth - 1, 0)
