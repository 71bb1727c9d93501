"""Gives the values of constant expressions."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator
from typing import Any

from audit.constants.allowed import BINARY, COMPARE, KNOWN_ERRORS, PATH_METHODS, UNARY
from audit.constants.decompress import TooBig
from audit.constants.library import (
    MAX_ITEMS,
    attribute_of,
    bounded,
    call_library,
    iterate,
    method_of_constant,
    path_method,
)
from audit.constants.values import UNKNOWN, Code, Limits, Name, OutOfBudget, Thing, Unknown, known, plain, require_flat


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
        except KNOWN_ERRORS as error:
            return Unknown(f"{type(error).__name__}: {error}"[:200])
        finally:
            self.depth -= 1

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
        require_flat(*items)
        return set(items)

    def _items(self, nodes: list[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self.value(node.value)
                if isinstance(inner, Unknown):
                    yield inner
                else:
                    yield from iterate(self.limits, inner)
            else:
                yield self.value(node)

    def _dict(self, node: ast.Dict) -> Any:
        found: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                found.update(self.value(item))
            else:
                name = self.value(key)
                require_flat(name)
                found[name] = self.value(item)
        return found

    def _joinedstr(self, node: ast.JoinedStr) -> Any:
        parts = [self.value(part) for part in node.values]
        if not all(isinstance(part, str) for part in parts):
            return next((part for part in parts if isinstance(part, Unknown)), UNKNOWN)
        return bounded(self.limits, "".join(parts))

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
        return bounded(self.limits, BINARY[type(node.op)](left, right))

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        operand = self.value(node.operand)
        return UNARY[type(node.op)](operand) if plain(operand) else UNKNOWN

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
            require_flat(left, right)
            if not COMPARE[type(op)](left, right):
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
        require_flat(index)
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
        require_flat(*items)
        return set(items)

    def _comprehend(self, generators: list[ast.comprehension], element: ast.expr) -> Iterator[Any]:
        first, *rest = generators
        saved = dict(self.names)
        try:
            for item in iterate(self.limits, self.value(first.iter)):
                self.bind(first.target, item)
                if all(self.value(test) for test in first.ifs):
                    if rest:
                        yield from self._comprehend(rest, element)
                    else:
                        yield self.value(element)
        finally:
            self.names.clear()
            self.names.update(saved)

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
            require_flat(index)
            if isinstance(owner, (dict, list, bytearray)) and known(index):
                owner[index] = value

    def _attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        return self.attribute(owner, node.attr)

    def attribute(self, owner: Any, name: str) -> Any:
        """``owner.name`` for modules, things, and the methods of constants."""
        return attribute_of(owner, name)

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
        if isinstance(owner, str) and name in PATH_METHODS:
            return self.path_method(owner, name, args, options, node)
        return method_of_constant(self.limits, owner, name, args, options)

    def path_method(self, path: str, name: str, args: list[Any], options: dict[str, Any], node: ast.AST) -> Any:
        """A method of a path; reading and writing are the business of a subclass."""
        return path_method(path, name, args)

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
        if name in ("map", "filter"):
            return self._map(name, args, node)
        if name == "getattr" and len(args) >= 2 and isinstance(args[1], str):
            return self.attribute(args[0], args[1])
        return call_library(self.limits, name, args, options)

    def _map(self, name: str, args: list[Any], node: ast.AST) -> Any:
        function, *collections = args
        rows = list(zip(*(list(iterate(self.limits, collection)) for collection in collections), strict=False))
        results = [self.call(function, list(row), {}, node) for row in rows]
        if name == "map":
            return results
        return [row[0] for row, keep in zip(rows, results, strict=True) if keep]
