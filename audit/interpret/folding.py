"""Constant folding: what an operation on known constants gives, without running anything of the submission."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

from audit.constants.allowed import BINARY, COMPARE
from audit.interpret.heap import Array, Class, Function, Instance, Mapping, ModuleThing, Sequence
from audit.provenance import UNKNOWN, Value
from audit.words import words

LARGEST = 1 << 70
LONGEST = 20_000


def fold_binary(op: ast.operator, a: Any, b: Any) -> Any:
    """Return ``a op b``, or UNKNOWN where it fails or would grow without bound."""
    try:
        if isinstance(op, ast.Pow):
            small = isinstance(b, int | float) and abs(b) <= 64 and isinstance(a, int | float) and abs(a) <= LARGEST
            return a**b if small else UNKNOWN
        if isinstance(op, ast.LShift) and not (isinstance(b, int) and 0 <= b <= 64):
            return UNKNOWN
        longest = _size(a) * _size(b) if isinstance(op, ast.Mult) else 0
        if longest > LONGEST and not (isinstance(a, int | float) and isinstance(b, int | float)):
            return UNKNOWN
        if isinstance(op, ast.Mod) and isinstance(a, str):
            return UNKNOWN
        result = BINARY[type(op)](a, b)
    except (KeyError, TypeError, ValueError, ArithmeticError, MemoryError):
        return UNKNOWN
    if (isinstance(result, int) and abs(result) > LARGEST) or (isinstance(result, str) and len(result) > LONGEST):
        return UNKNOWN
    return result


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else int(value)


def fold_unary(op: ast.unaryop, a: Any) -> Any:
    """Return ``op a``, or UNKNOWN."""
    try:
        if isinstance(op, ast.Not):
            return not a
        if isinstance(op, ast.USub):
            return -a
        if isinstance(op, ast.UAdd):
            return +a
        return ~a
    except TypeError:
        return UNKNOWN


OBJECTS = (Instance, Function, Class, ModuleThing)


def fold_compare(op: ast.cmpop, left: Value, right: Value) -> Any:
    """Return the outcome of one comparison, or UNKNOWN."""
    a, b = left.const, right.const
    if isinstance(op, ast.Is | ast.IsNot):
        same: Any = UNKNOWN
        if a is not UNKNOWN and b is not UNKNOWN:
            same = a is b or (type(a) is type(b) and a == b)
        elif (
            b is None and a is UNKNOWN and (isinstance(left.thing, (*OBJECTS, Sequence, Mapping, Array)) or left.items)
        ):
            same = False
        return same if same is UNKNOWN or isinstance(op, ast.Is) else not same
    if isinstance(op, ast.In | ast.NotIn):
        found = _contains(a, right)
        return found if found is UNKNOWN or isinstance(op, ast.In) else not found
    if a is UNKNOWN or b is UNKNOWN:
        if isinstance(op, ast.Eq | ast.NotEq) and (a is None or b is None):
            other = right if a is None else left
            if isinstance(other.thing, OBJECTS):
                return isinstance(op, ast.NotEq)
        return UNKNOWN
    try:
        return bool(COMPARE[type(op)](a, b))
    except (KeyError, TypeError):
        return UNKNOWN


def _contains(a: Any, container: Value) -> Any:
    if a is UNKNOWN:
        return UNKNOWN
    if isinstance(container.const, str | tuple | frozenset):
        try:
            return a in container.const
        except TypeError:
            return UNKNOWN
    items = container.items
    if items is None and isinstance(container.thing, Sequence):
        items = tuple(container.thing.items) if container.thing.items is not None else None
    if items is not None and all(i.const is not UNKNOWN for i in items):
        return any(type(i.const) is type(a) and i.const == a for i in items)
    thing = container.thing
    if isinstance(thing, Mapping) and thing.element is None and isinstance(a, str | int):
        return a in thing.entries
    return UNKNOWN


def truth(value: Value) -> bool | None:
    """Say whether a value is true, or None where that is not known."""
    if value.const is not UNKNOWN:
        try:
            return bool(value.const)
        except (TypeError, ValueError):
            return None
    if isinstance(value.thing, OBJECTS):
        return True
    if value.items is not None and value.thing is None:
        return bool(value.items)
    return None


def call_pure(name: str, given: list[Any]) -> Any:
    """Return what a pure builtin gives for constants, or UNKNOWN."""
    function = PURE.get(name)
    if function is None or any(g is UNKNOWN for g in given):
        return UNKNOWN
    try:
        result = function(*given)
    except (TypeError, ValueError, ArithmeticError, KeyError, IndexError):
        return UNKNOWN
    if (isinstance(result, int) and abs(result) > LARGEST) or (isinstance(result, str) and len(result) > LONGEST):
        return UNKNOWN
    return result


PURE: dict[str, Callable[..., Any]] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "len": len,
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "ord": ord,
    "chr": chr,
    "sqrt": math.sqrt,
    "log": math.log,
    "log2": math.log2,
    "exp": math.exp,
    "ceil": math.ceil,
    "floor": math.floor,
}


TEXT_METHODS = words(
    """
    lower upper strip lstrip rstrip split startswith endswith replace join format removeprefix
    removesuffix casefold title isdigit isalpha find count rsplit partition rpartition splitlines
    """
)


def call_text(receiver: str, name: str, given: list[Any], named: dict[str, Any]) -> Any:
    """Return what a method of a string gives for constants, or UNKNOWN."""
    if name not in TEXT_METHODS or any(g is UNKNOWN for g in (*given, *named.values())):
        return UNKNOWN
    longest = max((len(g) for g in (*given, *named.values()) if isinstance(g, str)), default=1)
    if len(receiver) * longest > 1_000_000 or (name == "format" and ":" in receiver):
        return UNKNOWN  # a hostile text must not grow
    try:
        result = getattr(receiver, name)(*given, **named)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):
        return UNKNOWN
    return UNKNOWN if isinstance(result, str) and len(result) > LONGEST else result
