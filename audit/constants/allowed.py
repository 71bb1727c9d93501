"""Which operators, functions, methods and codecs an evaluation of constants may use."""

from __future__ import annotations

import ast
import lzma
import operator
import posixpath
import string
import zlib
from collections.abc import Callable
from typing import Any

from audit.words import words

BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
}
COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
UNARY: dict[type, Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
TEXT_METHODS = words(
    """
    encode decode replace strip lstrip rstrip split rsplit splitlines join translate lower upper swapcase
    startswith endswith hex removeprefix removesuffix find rfind index rindex count partition rpartition isdigit
    isalpha casefold
    """
)
METHODS: dict[type, frozenset[str]] = {
    str: TEXT_METHODS | {"isascii", "isspace"},
    bytes: TEXT_METHODS,
    bytearray: TEXT_METHODS | {"extend", "append", "reverse"},
    int: frozenset({"to_bytes", "bit_length"}),
    float: frozenset({"is_integer"}),
    list: words(
        """
    append extend reverse insert pop index count copy sort
    """
    ),
    tuple: frozenset({"index", "count"}),
    dict: words(
        """
    get update items keys values setdefault pop copy
    """
    ),
    set: frozenset({"add", "discard", "union"}),
}
CLASS_METHODS: dict[str, Callable[..., Any]] = {
    "bytes.fromhex": bytes.fromhex,
    "bytearray.fromhex": bytes.fromhex,
    "int.from_bytes": int.from_bytes,
    "str.maketrans": str.maketrans,
    "bytes.maketrans": bytes.maketrans,
    "dict.fromkeys": dict.fromkeys,
    "str.join": lambda text, parts: text.join(parts),
}
CODECS = words(
    """
    utf8 utf-8 utf_8 u8 ascii us-ascii latin-1 latin1 latin_1 l1 iso-8859-1 cp1252 cp437 utf-8-sig utf_8_sig
    utf-16 utf16 utf_16 utf-16-le utf-16-be utf-32 utf-7 unicode_escape unicode-escape raw_unicode_escape
    """
)
BUILTINS: dict[str, Callable[..., Any]] = {
    **{
        kind.__name__: kind
        for kind in (bytes, bytearray, str, int, float, bool, list, tuple, dict, set, frozenset, slice)
    },
    **{f.__name__: f for f in (len, ord, chr, sorted, sum, min, max, abs, repr, any, all, hex, bin, divmod, round)},
    "reversed": lambda items: list(reversed(items)),
    "zip": lambda *items, **options: list(zip(*items, **options)),  # noqa: B905
    "enumerate": lambda *items: list(enumerate(*items)),
    "memoryview": bytes,
    "iter": list,
}
OS_PATH: dict[str, Callable[..., Any]] = {
    "os.path.join": posixpath.join,
    "os.path.dirname": posixpath.dirname,
    "os.path.basename": posixpath.basename,
    "os.path.splitext": posixpath.splitext,
    "os.path.abspath": posixpath.normpath,
    "os.path.realpath": posixpath.normpath,
    "os.path.normpath": posixpath.normpath,
    "os.path.expanduser": lambda path: path,
    "os.fspath": lambda path: path,
}
PATH_METHODS = words(
    """
    read_bytes read_text open write_bytes write_text resolve absolute with_name with_suffix joinpath as_posix
    exists
    """
)
CONSTANTS: dict[str, Any] = {
    **{f"lzma.{name}": getattr(lzma, name) for name in dir(lzma) if name.isupper()},
    **{f"zlib.{name}": getattr(zlib, name) for name in ("MAX_WBITS", "DEFLATED", "Z_BEST_COMPRESSION")},
    "os.sep": "/",
    "os.linesep": "\n",
    "sys.executable": "/usr/bin/python3",
    "string.printable": string.printable,
    "string.ascii_letters": string.ascii_letters,
    "string.digits": "0123456789",
    "string.punctuation": string.punctuation,
}
KNOWN_ERRORS = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, OSError, EOFError, lzma.LZMAError, zlib.error,
    MemoryError, RecursionError, StopIteration, SyntaxError, AssertionError,
)  # fmt: skip  # fmt: skip
