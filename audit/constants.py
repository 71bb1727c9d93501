"""Evaluates the constant expressions of a program on a short list of harmless operations, running none of its code."""

from __future__ import annotations

import ast
import lzma
import operator
import posixpath
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from audit.decompress import TEXT_DECODERS, Budget, TooBig, bunzip, inflate, unbrotli, unlzma, unzstd

MAX_ITEMS = 200_000  # elements of a list, characters added by a format


class Unknown:
    """A value that is not constant; ``why`` says what made it so."""

    def __init__(self, why: str = "") -> None:
        self.why = why

    def __repr__(self) -> str:
        return f"Unknown({self.why})"


UNKNOWN = Unknown()


class OutOfBudget(Exception):
    """Too many steps or too long."""


@dataclass(frozen=True)
class Name:
    """A library's module, function or class by its dotted name: ``lzma.decompress``."""

    dotted: str


@dataclass(frozen=True)
class Thing:
    """An object of a library whose methods are known: a decompressor, an open file, an import specification."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Code:
    """What ``compile`` returns: the source, not compiled."""

    source: str | bytes
    filename: str


@dataclass
class Limits:
    """Steps and seconds an evaluation may take, and the bytes its decoders may give out."""

    steps: int = 2_000_000
    seconds: float = 10.0
    memory: int = 256 << 20  # bytes of large values built on the way
    budget: Budget = field(default_factory=Budget)
    deadline: float = field(default_factory=lambda: 0.0)

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.seconds

    def tick(self, amount: int = 1) -> None:
        self.steps -= amount
        if self.steps < 0:
            raise OutOfBudget("too many steps")
        if self.steps % 1024 < amount and time.monotonic() > self.deadline:
            raise OutOfBudget(f"more than {self.seconds:g} seconds")


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
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
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
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
_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_TEXT_METHODS = frozenset(
    [
        "encode",
        "decode",
        "replace",
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "rsplit",
        "splitlines",
        "join",
        "translate",
        "lower",
        "upper",
        "swapcase",
        "startswith",
        "endswith",
        "hex",
        "removeprefix",
        "removesuffix",
        "find",
        "rfind",
        "index",
        "rindex",
        "count",
        "partition",
        "rpartition",
        "isdigit",
        "isalpha",
        "casefold",
    ]
)
_METHODS: dict[type, frozenset[str]] = {
    str: _TEXT_METHODS | {"isascii", "isspace"},
    bytes: _TEXT_METHODS,
    bytearray: _TEXT_METHODS | {"extend", "append", "reverse"},
    int: frozenset({"to_bytes", "bit_length"}),
    float: frozenset({"is_integer"}),
    list: frozenset(["append", "extend", "reverse", "insert", "pop", "index", "count", "copy", "sort"]),
    tuple: frozenset({"index", "count"}),
    dict: frozenset(["get", "update", "items", "keys", "values", "setdefault", "pop", "copy"]),
    set: frozenset({"add", "discard", "union"}),
}
_CLASS_METHODS: dict[str, Callable[..., Any]] = {
    "bytes.fromhex": bytes.fromhex,
    "bytearray.fromhex": bytes.fromhex,
    "int.from_bytes": int.from_bytes,
    "str.maketrans": str.maketrans,
    "bytes.maketrans": bytes.maketrans,
    "dict.fromkeys": dict.fromkeys,
    "str.join": lambda text, parts: text.join(parts),
}
_CODECS = frozenset(
    [
        "utf8",
        "utf-8",
        "utf_8",
        "u8",
        "ascii",
        "us-ascii",
        "latin-1",
        "latin1",
        "latin_1",
        "l1",
        "iso-8859-1",
        "cp1252",
        "cp437",
        "utf-8-sig",
        "utf_8_sig",
        "utf-16",
        "utf16",
        "utf_16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-7",
        "unicode_escape",
        "unicode-escape",
        "raw_unicode_escape",
    ]
)
_BUILTINS: dict[str, Callable[..., Any]] = {
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
_OS_PATH: dict[str, Callable[..., Any]] = {
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
_PATH_METHODS = frozenset(
    [
        "read_bytes",
        "read_text",
        "open",
        "write_bytes",
        "write_text",
        "resolve",
        "absolute",
        "with_name",
        "with_suffix",
        "joinpath",
        "as_posix",
        "exists",
    ]
)
_CONSTANTS: dict[str, Any] = {
    **{f"lzma.{name}": getattr(lzma, name) for name in dir(lzma) if name.isupper()},
    **{f"zlib.{name}": getattr(zlib, name) for name in ("MAX_WBITS", "DEFLATED", "Z_BEST_COMPRESSION")},
    "os.sep": "/",
    "os.linesep": "\n",
    "sys.executable": "/usr/bin/python3",
    "string.printable": __import__("string").printable,
    "string.ascii_letters": __import__("string").ascii_letters,
    "string.digits": "0123456789",
    "string.punctuation": __import__("string").punctuation,
}
_KNOWN_ERRORS = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, OSError, EOFError, lzma.LZMAError, zlib.error,
    MemoryError, RecursionError, StopIteration, SyntaxError, AssertionError,
)  # fmt: skip


_CONTAINERS = (list, tuple, set, frozenset, dict)


def known(value: object) -> bool:
    """Whether a value, and all it holds, is constant."""
    if not isinstance(value, _CONTAINERS):
        return not isinstance(value, Unknown)
    seen: set[int] = set()
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Unknown):
            return False
        if isinstance(item, _CONTAINERS) and id(item) not in seen:
            seen.add(id(item))
            todo.extend(item.values() if isinstance(item, dict) else item)
    return True


def plain(value: object) -> bool:
    """Whether a value is constant data: not a library's module or function, nor an object of one."""
    return known(value) and not isinstance(value, (Name, Thing, Code))


def _require_flat(*values: object) -> None:
    """Raise TypeError for containers three deep: comparing or hashing shared nests takes exponential time."""
    for value in values:
        if isinstance(value, _CONTAINERS):
            for item in value.values() if isinstance(value, dict) else value:
                if isinstance(item, _CONTAINERS):
                    inner = item.values() if isinstance(item, dict) else item
                    if len(value) > 1000 or any(isinstance(part, _CONTAINERS) for part in inner):
                        raise TypeError("containers nested too deeply")


class Evaluator:
    """Values of expressions in a namespace of names already seen; what is not constant is Unknown."""

    def __init__(self, limits: Limits, names: dict[str, Any]) -> None:
        self.limits = limits
        self.names = names
        self.depth = 0

    def value(self, node: ast.expr) -> Any:
        """The value of ``node``, or Unknown; raises OutOfBudget."""
        self.limits.tick()
        self.depth += 1
        try:
            if self.depth > 100:
                return Unknown("an expression nested too deeply")
            handler = getattr(self, f"_{type(node).__name__.lower()}", None)
            if handler is None:
                return Unknown(f"a {type(node).__name__} expression")
            return handler(node)
        except TooBig as error:
            raise OutOfBudget(str(error)) from error
        except _KNOWN_ERRORS as error:
            return Unknown(f"{type(error).__name__}: {error}"[:200])
        finally:
            self.depth -= 1

    # Names, displays and operators.

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            return self.names[node.id]
        return Name("builtins" if node.id == "__builtins__" else f"builtins.{node.id}")

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(self._items(node.elts))

    def _list(self, node: ast.List) -> Any:
        return list(self._items(node.elts))

    def _set(self, node: ast.Set) -> Any:
        items = list(self._items(node.elts))
        _require_flat(*items)
        return set(items)

    def _items(self, nodes: list[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self.value(node.value)
                if isinstance(inner, Unknown):
                    yield inner
                else:
                    yield from self.iterate(inner)
            else:
                yield self.value(node)

    def _dict(self, node: ast.Dict) -> Any:
        found: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                found.update(self.value(item))
            else:
                name = self.value(key)
                _require_flat(name)
                found[name] = self.value(item)
        return found

    def _joinedstr(self, node: ast.JoinedStr) -> Any:
        parts = [self.value(part) for part in node.values]
        if not all(isinstance(part, str) for part in parts):
            return next((part for part in parts if isinstance(part, Unknown)), UNKNOWN)
        return self._bounded("".join(parts))

    def _formattedvalue(self, node: ast.FormattedValue) -> Any:
        value = self.value(node.value)
        if not known(value) or node.format_spec is not None or not isinstance(value, (str, int, float, bytes)):
            return Unknown("a formatted value")
        return repr(value) if node.conversion == 114 else str(value)

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if not known(left) or not known(right):
            if isinstance(node.op, ast.Div) and isinstance(left, str) and isinstance(right, str):
                return posixpath.join(left, right)
            return left if isinstance(left, Unknown) else right if isinstance(right, Unknown) else UNKNOWN
        if isinstance(node.op, ast.Div) and isinstance(left, str) and isinstance(right, str):
            return posixpath.join(left, right)  # pathlib: paths are plain strings here
        if isinstance(node.op, ast.Mult):
            sizes = [len(side) for side in (left, right) if isinstance(side, (str, bytes, list, tuple, bytearray))]
            counts = [side for side in (left, right) if isinstance(side, int)]
            if isinstance(left, (list, tuple)) or isinstance(right, (list, tuple)):
                sizes = [size * (self.limits.budget.limit() // MAX_ITEMS) for size in sizes]
            if sizes and counts and sizes[0] * max(counts[0], 0) > self.limits.budget.limit():
                raise TooBig("a repeated value")
        if isinstance(node.op, (ast.Pow, ast.LShift)) and (
            not isinstance(left, (int, float))
            or not isinstance(right, (int, float))
            or abs(right) > 4096
            or abs(left) > 1 << 64
        ):
            return Unknown("a large power")
        if isinstance(node.op, ast.Mod) and isinstance(left, (str, bytes)):
            return Unknown("a % format")
        return self._bounded(_BINARY[type(node.op)](left, right))

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        operand = self.value(node.operand)
        return _UNARY[type(node.op)](operand) if plain(operand) else UNKNOWN

    def _boolop(self, node: ast.BoolOp) -> Any:
        stops_at = isinstance(node.op, ast.Or)  # the truth value that decides
        open_part: Any = None
        result: Any = UNKNOWN
        for part in node.values:
            result = self.value(part)
            if not plain(result):
                open_part = result if open_part is None else open_part
            elif bool(result) == stops_at:
                # Decided whatever the parts before it are: `unknown and False` is false either way.
                return result if open_part is None else stops_at
        return result if open_part is None else open_part

    def _compare(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            if not plain(left) or not plain(right):
                return UNKNOWN
            _require_flat(left, right)
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True

    def _ifexp(self, node: ast.IfExp) -> Any:
        test = self.value(node.test)
        return self.value(node.body if test else node.orelse) if plain(test) else UNKNOWN

    def _namedexpr(self, node: ast.NamedExpr) -> Any:
        value = self.value(node.value)
        self.names[node.target.id] = value
        return value

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self.value(node.value)
        if isinstance(value, Name):
            return Unknown(f"an item of {value.dotted}")
        index = self.value(node.slice)
        _require_flat(index)
        return value[index] if not isinstance(value, Unknown) and known(index) else UNKNOWN

    def _slice(self, node: ast.Slice) -> Any:
        return slice(*(self.value(part) if part else None for part in (node.lower, node.upper, node.step)))

    def _lambda(self, node: ast.Lambda) -> Any:
        return Thing("lambda", {"node": node})

    def _listcomp(self, node: ast.ListComp) -> Any:
        return list(self._comprehend(node.generators, node.elt))

    def _generatorexp(self, node: ast.GeneratorExp) -> Any:
        return list(self._comprehend(node.generators, node.elt))

    def _setcomp(self, node: ast.SetComp) -> Any:
        items = list(self._comprehend(node.generators, node.elt))
        _require_flat(*items)
        return set(items)

    def _comprehend(self, generators: list[ast.comprehension], element: ast.expr) -> Iterator[Any]:
        first, *rest = generators
        saved = dict(self.names)
        try:
            for item in self.iterate(self.value(first.iter)):
                self.bind(first.target, item)
                if all(self.value(test) for test in first.ifs):
                    if rest:
                        yield from self._comprehend(rest, element)
                    else:
                        yield self.value(element)
        finally:
            self.names.clear()
            self.names.update(saved)

    def iterate(self, value: Any) -> Iterator[Any]:
        """Items of a constant collection; raises TypeError for others, OutOfBudget past the steps."""
        if not isinstance(value, (str, bytes, bytearray, list, tuple, dict, set, frozenset, range)) and not hasattr(
            value, "mapping"
        ):
            raise TypeError("not a constant collection")
        for item in value:
            self.limits.tick()
            yield item

    def bind(self, target: ast.expr, value: Any) -> None:
        """Assign ``value`` to names and tuples of names; items and attributes where their owner is constant."""
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            items = list(value) if isinstance(value, (list, tuple, str, bytes)) else []
            for index, part in enumerate(target.elts):
                self.bind(part, items[index] if len(items) == len(target.elts) else UNKNOWN)
        elif isinstance(target, ast.Subscript):
            owner, index = self.value(target.value), self.value(target.slice)
            _require_flat(index)
            if isinstance(owner, (dict, list, bytearray)) and known(index):
                owner[index] = value

    def _bounded(self, value: Any) -> Any:
        """Charge a large result to the memory allowed; raises TooBig."""
        if isinstance(value, int) and value.bit_length() > 100_000:
            raise TooBig("a number")
        if isinstance(value, (str, bytes, bytearray, list, tuple)) and len(value) > 1 << 14:
            size = len(value) * (8 if isinstance(value, (list, tuple)) else 1)
            self.limits.memory -= size
            if size > 2 * self.limits.budget.largest or self.limits.memory < 0:
                raise TooBig("a value")
        return value

    # Attributes and calls.

    def _attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        return self.attribute(owner, node.attr)

    def attribute(self, owner: Any, name: str) -> Any:
        """``owner.name`` for modules, things, and the methods of constants."""
        if isinstance(owner, Unknown):
            return owner
        if isinstance(owner, Name):
            dotted = f"{owner.dotted}.{name}".removeprefix("builtins.")
            dotted = dotted.removeprefix("compression.")
            return _CONSTANTS.get(dotted, Name(dotted))
        if isinstance(owner, Thing):
            return owner.data.get(name, Thing("method", {"owner": owner, "name": name}))
        if isinstance(owner, str) and name == "parents":
            steps = [owner]
            while posixpath.dirname(steps[-1]) != steps[-1]:
                steps.append(posixpath.dirname(steps[-1]))
            return steps[1:]
        if isinstance(owner, str) and name in ("parent", "name", "stem", "suffix"):  # pathlib: paths are plain strings
            base = posixpath.basename(owner)
            stem, suffix = posixpath.splitext(base)
            return {"parent": posixpath.dirname(owner), "name": base, "stem": stem, "suffix": suffix}[name]
        return Thing("method", {"owner": owner, "name": name})

    def _call(self, node: ast.Call) -> Any:
        function = self.value(node.func)
        args = list(self._items(node.args))
        options: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is not None:
                options[keyword.arg] = value
            elif isinstance(value, dict):
                options.update(value)
        return self.call(function, args, options, node)

    def call(self, function: Any, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """The result of a call of one of the known functions; Unknown for every other."""
        self.limits.tick()
        if isinstance(function, Thing):
            return self.call_thing(function, args, options, node)
        if isinstance(function, Name):
            return self.call_name(function.dotted.removeprefix("builtins."), args, options, node)
        return function if isinstance(function, Unknown) else Unknown("a call of an unknown function")

    def call_thing(self, thing: Thing, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """A lambda, or a method of a constant or of a library's object."""
        if thing.kind == "lambda":
            return self._call_lambda(thing.data["node"], args)
        if thing.kind != "method":
            return UNKNOWN
        owner, name = thing.data["owner"], thing.data["name"]
        if isinstance(owner, Thing):
            return self.method(owner, name, args, options, node)
        if not all(known(arg) for arg in args) and not isinstance(owner, (list, dict)):
            return next((arg for arg in args if isinstance(arg, Unknown)), UNKNOWN)
        if isinstance(owner, str) and name in _PATH_METHODS:
            return self.path_method(owner, name, args, options, node)
        if isinstance(owner, str) and name == "format":
            return self._format(owner, args, options)
        if name not in _METHODS.get(type(owner), frozenset()):
            return Unknown(f"{type(owner).__name__}.{name}")
        if name in ("encode", "decode"):
            codec = str(args[0] if args else options.get("encoding", "utf-8")).lower()
            if codec not in _CODECS:
                return self.call_name("codecs.decode", [owner, codec], {}, node)
        _require_flat(*args)
        if name in ("replace", "translate", "join"):
            self._check_growth(owner, name, args)
        if name == "to_bytes" and args and args[0] > self.limits.budget.largest:
            raise TooBig("to_bytes")
        if name in ("split", "rsplit", "splitlines") and len(owner) > MAX_ITEMS:
            separator = args[0] if args and args[0] else (b"\n" if isinstance(owner, bytes) else "\n")
            if (name != "splitlines" and not args) or owner.count(separator) > MAX_ITEMS:
                raise TooBig("a split")
        return self._bounded(getattr(owner, name)(*args, **options))

    def path_method(self, path: str, name: str, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """Methods of pathlib's paths, which are plain strings here; reading is the business of a subclass."""
        if name in ("resolve", "absolute", "as_posix"):
            return path
        if name == "joinpath":
            return posixpath.join(path, *args)
        if name == "with_name":
            return posixpath.join(posixpath.dirname(path), args[0])
        if name == "with_suffix":
            return posixpath.splitext(path)[0] + args[0]
        return UNKNOWN

    def method(self, owner: Thing, name: str, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """A method of a decompressor object or of a buffer in memory."""
        if owner.kind == "decompressor" and name in ("decompress", "process", "flush"):
            return owner.data["run"](args[0]) if args else b""
        if owner.kind == "buffer" and name in ("read", "getvalue", "getbuffer", "readall"):
            return owner.data["content"]
        return UNKNOWN

    def _call_lambda(self, node: ast.Lambda, args: list[Any]) -> Any:
        names = [arg.arg for arg in node.args.posonlyargs + node.args.args]
        saved = {name: self.names.get(name, UNKNOWN) for name in names}
        defaults = [self.value(default) for default in node.args.defaults]
        filled = args + defaults[len(defaults) - (len(names) - len(args)) :] if len(args) < len(names) else args
        self.names.update(zip(names, filled, strict=False))
        try:
            return self.value(node.body)
        finally:
            self.names.update(saved)

    def _check_growth(self, owner: Any, name: str, args: list[Any]) -> None:
        if name == "replace":
            grown = owner.count(args[0]) * max(len(args[1]) - len(args[0]), 0)
        elif name == "join":
            grown = sum(len(part) + len(owner) for part in args[0])
        else:
            grown = len(owner) * 64 if any(len(str(item)) > 64 for item in getattr(args[0], "values", list)()) else 0
        if len(owner) + grown > self.limits.budget.largest:
            raise TooBig(f"the result of {name}")

    def _format(self, template: str, args: list[Any], options: dict[str, Any]) -> Any:
        values = [*args, *options.values()]
        if ":" in template or "!" in template or "." in template or "[" in template:
            return Unknown("a format with a specification")
        if not all(isinstance(value, (str, int, float)) for value in values):
            return UNKNOWN
        if template.count("{") * max((len(str(value)) for value in values), default=0) > self.limits.budget.largest:
            raise TooBig("a format")
        return template.format(*args, **options)

    def call_name(self, name: str, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """A function of the language or of a library by its dotted name."""
        if name == "compile":
            source = args[0] if args else options.get("source")
            if isinstance(source, (str, bytes)):
                return Code(source, str(args[1] if len(args) > 1 else options.get("filename", "")))
            return source if isinstance(source, Unknown) else Unknown("compile of something that is not text")
        unknown = next((arg for arg in [*args, *options.values()] if not known(arg)), None)
        if unknown is not None and name not in ("list", "tuple", "getattr"):
            return unknown if isinstance(unknown, Unknown) else UNKNOWN
        budget = self.limits.budget
        if name in TEXT_DECODERS:
            data = args[0] if args else options.pop("s")
            return TEXT_DECODERS[name](budget, data, *args[1:], **options)
        if name in _BUILTINS:
            return self._builtin(name, args, options)
        if name in _OS_PATH:
            return _OS_PATH[name](*args)
        if class_method := _CLASS_METHODS.get(name):
            return self._bounded(class_method(*args, **options))
        if name in ("map", "filter"):
            return self._map(name, args, node)
        if name == "range":
            made = range(*args)
            if len(made) > MAX_ITEMS:
                raise TooBig("a range")
            return made
        if name == "getattr" and len(args) >= 2 and isinstance(args[1], str):
            return self.attribute(args[0], args[1])
        if name in ("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"):
            return posixpath.join(*args) if args else "."
        if name in ("io.BytesIO", "io.StringIO"):
            return Thing("buffer", {"content": args[0] if args else b""})
        return self._decompress(name, args, options)

    def _builtin(self, name: str, args: list[Any], options: dict[str, Any]) -> Any:
        _require_flat(*args)
        if name == "sum" and not all(isinstance(item, (int, float)) for item in self.iterate(args[0])):
            return Unknown("a sum of collections")
        if name not in ("bytes", "bytearray", "len", "str", "memoryview") and any(
            len(arg) > 8 * MAX_ITEMS for arg in args if isinstance(arg, (str, bytes, bytearray, *_CONTAINERS))
        ):
            raise TooBig("a collection")
        first = args[0] if args else None
        if name in ("bytes", "bytearray") and isinstance(first, int) and first > self.limits.budget.limit():
            raise TooBig("a buffer")
        if name in ("bytes", "bytearray") and isinstance(first, (list, tuple)):
            self.limits.tick(len(first))
        if isinstance(first, int) and first.bit_length() > 10_000:
            return Unknown("a long number")
        if name == "str" and args and not isinstance(first, (str, bytes, int, float)):
            return UNKNOWN
        if name in ("repr", "len") and isinstance(first, (Thing, Name, Code)):
            return UNKNOWN
        return self._bounded(_BUILTINS[name](*args, **options))

    def _map(self, name: str, args: list[Any], node: ast.AST) -> Any:
        function, *collections = args
        rows = list(zip(*(list(self.iterate(collection)) for collection in collections), strict=False))
        results = [self.call(function, list(row), {}, node) for row in rows]
        if name == "map":
            return results
        return [row[0] for row, keep in zip(rows, results, strict=True) if keep]

    def _decompress(self, name: str, args: list[Any], options: dict[str, Any]) -> Any:
        budget = self.limits.budget
        data: Any = args[0] if args else options.get("data", options.get("string"))
        if isinstance(data, Thing) and data.kind == "buffer":
            data = data.data["content"]
        if name in ("lzma.decompress", "lzma.LZMADecompressor", "lzma.open", "lzma.LZMAFile"):
            of_data = name == "lzma.decompress"
            rest = args[1:] if of_data else args
            chosen = options.get("format", rest[0] if rest and isinstance(rest[0], int) else lzma.FORMAT_AUTO)
            filters = options.get("filters", rest[2] if len(rest) > 2 else None)
            if name == "lzma.LZMADecompressor":
                return Thing("decompressor", {"run": lambda item: unlzma(item, budget, chosen, filters)})
            content = unlzma(data, budget, chosen, filters)
            return content if of_data else Thing("buffer", {"content": content})
        if name == "zlib.decompress":
            wbits = options.get("wbits", args[1] if len(args) > 1 else 15)
            return inflate(data, budget, wbits, "gzip" if wbits > 15 else "zlib")
        if name == "zlib.decompressobj":
            wbits = options.get("wbits", args[0] if args else 15)
            return Thing(
                "decompressor", {"run": lambda item: inflate(item, budget, wbits, "gzip" if wbits > 15 else "zlib")}
            )
        if name == "gzip.decompress":
            return inflate(data, budget, 31, "gzip")
        if name in ("gzip.GzipFile", "gzip.open"):
            held: Any = options.get("fileobj", args[0] if args else None)
            content = held.data["content"] if isinstance(held, Thing) else held
            return Thing("buffer", {"content": inflate(content, budget, 31, "gzip")})
        if name == "bz2.decompress":
            return bunzip(data, budget)
        if name == "bz2.BZ2Decompressor":
            return Thing("decompressor", {"run": lambda item: bunzip(item, budget)})
        if name in ("brotli.decompress", "brotlicffi.decompress"):
            return unbrotli(data, budget)
        if name in ("brotli.Decompressor", "brotlicffi.Decompressor"):
            return Thing("decompressor", {"run": lambda item: unbrotli(item, budget)})
        if name in ("zstandard.decompress", "zstd.decompress", "pyzstd.decompress", "zstd.ZSTD_uncompress"):
            return unzstd(data, budget)
        if name in ("zstandard.ZstdDecompressor", "zstd.ZstdDecompressor", "pyzstd.ZstdDecompressor"):
            return Thing("decompressor", {"run": lambda item: unzstd(item, budget)})
        if name in ("codecs.decode", "codecs.encode"):
            return self._codec(args, options)
        if name in ("marshal.loads", "pickle.loads", "dill.loads", "cloudpickle.loads"):
            return Unknown(f"{name}: compiled or pickled code cannot be read as text")
        return Unknown(f"a call of {name}")

    def _codec(self, args: list[Any], options: dict[str, Any]) -> Any:
        budget = self.limits.budget
        data = args[0]
        name = str(args[1] if len(args) > 1 else options.get("encoding", "utf-8")).lower().replace("-", "_")
        name = name.removesuffix("_codec")
        if name in ("rot13", "rot_13"):
            return __import__("codecs").encode(data, "rot13")
        if name in ("base64", "base_64"):
            return TEXT_DECODERS["base64.decodebytes"](budget, data)
        if name == "hex":
            return TEXT_DECODERS["binascii.unhexlify"](budget, data)
        if name in ("zlib", "zip"):
            return inflate(data, budget)
        if name in ("bz2",):
            return bunzip(data, budget)
        if name.replace("_", "-") in _CODECS or name in _CODECS:
            return data.decode(name) if isinstance(data, bytes) else data.encode(name)
        return Unknown(f"the codec {name}")
