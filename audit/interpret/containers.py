"""Tuples, lists and dictionaries of abstract values: what goes in, what comes out, what all of it is made of."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING

from audit.interpret.heap import (
    Array,
    Buffer,
    Columns,
    Function,
    Instance,
    Mapping,
    Parameters,
    Range,
    Sequence,
    constant,
)
from audit.provenance import CURRENT, EVENTS, INPUT, MODEL, NLL, PARAM, TARGET, TOKEN, UNKNOWN, VAL, Value, join

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def union(values: Iterable[Value]) -> Value:
    """Return a value made of all of these, containers' contents included."""
    bits = loops = 0
    trail = None
    for value in values:
        bits |= deep_bits(value)
        loops |= value.loops
        if value.trail is not None and (trail is None or value.bits & (TARGET | VAL)):
            trail = value.trail
    return Value(bits, loops=loops, trail=trail)


def deep_bits(value: Value, depth: int = 3) -> int:
    """Return what a value and what it holds are made of."""
    bits = value.bits
    if depth == 0:
        return bits
    for item in value.items or ():
        bits |= deep_bits(item, depth - 1)
    thing = value.thing
    if thing is None:
        return bits
    bits |= thing.bits
    if isinstance(thing, Sequence):
        if thing.element is not None:
            bits |= deep_bits(thing.element, depth - 1)
        for item in thing.items or ():
            bits |= deep_bits(item, depth - 1)
    elif isinstance(thing, Mapping):
        if thing.element is not None:
            bits |= deep_bits(thing.element, depth - 1)
        for item in list(thing.entries.values())[:40]:
            bits |= deep_bits(item, depth - 1)
    elif isinstance(thing, Instance) and thing.root().weights:
        bits |= thing.root().weights
    elif isinstance(thing, Buffer):
        bits |= thing.bits
    return bits


def tuple_of(items: list[Value]) -> Value:
    """Return a tuple; of constants it is a constant too."""
    if items and all(i.const is not UNKNOWN and isinstance(i.const, str | int | float | type(None)) for i in items):
        return Value(const=tuple(i.const for i in items), items=tuple(items))
    loops = 0
    for item in items:
        loops |= item.loops
    return Value(items=tuple(items), loops=loops)


def known_items(value: Value) -> tuple[Value, ...] | None:
    """Return the elements of a container whose length is known."""
    if value.items is not None:
        return value.items
    thing = value.thing
    if isinstance(thing, Sequence) and thing.items is not None:
        return tuple(thing.items)
    if isinstance(thing, Columns):
        return tuple(thing.members)
    if isinstance(value.const, tuple) and len(value.const) <= 64:
        return tuple(constant(c) for c in value.const)
    return None


def origin_of(value: Value) -> ast.Call | None:
    """Return the call of ``range`` with a step that a range, or a list made of one, comes from."""
    thing = value.thing
    origin = thing.node if isinstance(thing, Range) else thing.origin if isinstance(thing, Sequence) else None
    return origin if isinstance(origin, ast.Call) and len(origin.args) == 3 else None


def is_range(value: Value) -> bool:
    """Say whether a value is a ``range``."""
    return isinstance(value.thing, Range)


def known_length(value: Value) -> int | None:
    """Return how many elements a value has, if that is known."""
    if isinstance(value.thing, Range):
        return value.thing.times
    items = known_items(value)
    return len(items) if items is not None else None


def element_of(interp: Interpreter, value: Value, node: ast.AST) -> Value:
    """Return what going over a value gives."""
    thing = value.thing
    if isinstance(thing, Range):
        at = thing.start.where()
        place = interp.atom("range", node)
        if at is not None and at.terms:  # a constant start is part of the variable
            place = place.plus(at)
        bits = (thing.start.bits | thing.stop.bits) & ~(TOKEN | MODEL | NLL)
        only = thing.start.const if thing.times == 1 else UNKNOWN
        return Value(bits, only, position=place, loops=thing.start.loops | thing.stop.loops)
    if isinstance(thing, Parameters):
        return value.but(items=None)
    items = known_items(value)
    if items is not None:
        if not items:
            return Value(value.bits)
        result = items[0]
        for item in items[1:16]:
            result = join(result, item)
        return result
    if isinstance(thing, Sequence):
        element = thing.element if thing.element is not None else Value(thing.bits)
        return element.but(bits=element.bits | value.bits, loops=element.loops | value.loops)
    if isinstance(thing, Mapping):
        return thing.keys
    if isinstance(thing, Instance) and thing.cls is not None:
        for name in ("__iter__", "__getitem__"):
            method = thing.cls.find(name)
            if method is not None and isinstance(method.thing, Function):
                given = [value] if name == "__iter__" else [value, Value()]
                result = interp.call_function(method.thing, given, {}, node)
                return element_of(interp, result, node) if name == "__iter__" and result.thing is not thing else result
        following = thing.cls.find("__next__")
        if following is not None and isinstance(following.thing, Function):
            return interp.call_function(following.thing, [value], {}, node)
        return Value(value.bits | thing.bits)
    bits = value.bits
    if bits & TOKEN and not bits & (INPUT | TARGET):
        bits |= CURRENT
    at_element = value.position
    if at_element is None and not bits & (TOKEN | MODEL | NLL | PARAM):
        at_element = interp.atom("element", node)
    return Value(bits, UNKNOWN, thing if isinstance(thing, Array) else None, None, at_element, value.loops, value.trail)


def whole_element(thing: Mapping) -> Value:
    """Join everything a dictionary holds."""
    value = thing.element
    for entry in list(thing.entries.values())[:40]:
        value = entry if value is None else join(value, entry)
    return (value or Value()).but(bits=(value.bits if value else 0) | (thing.bits & EVENTS))


def with_loop(value: Value, bit: int) -> Value:
    """Mark a value, and the parts of a tuple, as depending on a loop's variable."""
    items = tuple(with_loop(i, bit) for i in value.items) if value.items is not None else None
    return value.but(loops=value.loops | bit, items=items)


def append(thing: Sequence, value: Value, guard: int = 0) -> None:
    """Put a value into a sequence whose length is then unknown; ``guard`` are the loops that decide whether."""
    if guard & ~value.loops:
        value = value.but(loops=value.loops | guard)
    thing.element = value if thing.element is None else join(thing.element, value)
    if len(thing.members) < 24:
        thing.members.append(value)
    thing.bits |= value.bits & EVENTS


def extend(interp: Interpreter, thing: Sequence, value: Value) -> None:
    """``list += values``."""
    items = known_items(value)
    if items is not None:
        for item in items:
            push(interp, thing, item)
        return
    thing.items = None
    if isinstance(value.thing, Sequence):
        for member in value.thing.members:
            append(thing, member)
    append(thing, element_of(interp, value, interp.frame.code or ast.Pass()))


def push(interp: Interpreter, thing: Sequence, value: Value) -> None:
    """``list.append``: the length stays known outside loops and branches."""
    if thing.items is not None and interp.maybe + len(interp.loops) <= thing.depth and len(thing.items) < 64:
        thing.items.append(value)
        if len(thing.members) < 24:
            thing.members.append(value)
        thing.element = value if thing.element is None else join(thing.element, value)
        return
    append_anywhere(interp, thing, value)


def append_anywhere(interp: Interpreter, thing: Sequence, value: Value) -> None:
    """Put a value at a place that is not known: the items become one element of which every item is."""
    for item in thing.items or ():
        thing.element = item if thing.element is None else join(thing.element, item)
    thing.items = None
    append(thing, value, interp.guard)


def put(thing: Mapping, key: Value, value: Value) -> None:
    """``mapping[key] = value``."""
    thing.keys = join(thing.keys, key) if thing.keys.bits or thing.element is not None else key
    if isinstance(key.const, str | int) and len(thing.entries) < 200:
        thing.entries[key.const] = value
    else:
        thing.element = value if thing.element is None else join(thing.element, value)


def put_item(thing: Sequence, index: Value, value: Value) -> None:
    """``sequence[index] = value``."""
    if thing.items is not None and type(index.const) is int and -len(thing.items) <= index.const < len(thing.items):
        thing.items[index.const] = join(thing.items[index.const], value)
        thing.members.append(value)
    append(thing, value)


def mapping_of(entries: dict[str, Value]) -> Mapping:
    """Return a dictionary of these values."""
    thing = Mapping()
    thing.entries.update(entries)
    return thing


def combine_sequences(interp: Interpreter, op: ast.operator, left: Value, right: Value, node: ast.AST) -> Value | None:
    """``[a] + [b]`` and ``[0] * n``."""
    if isinstance(op, ast.Add):
        a, b = known_items(left), known_items(right)
        if a is not None and b is not None and isinstance(left.thing, Sequence):
            return Value(thing=interp.made(Sequence(items=[*a, *b]), node))
        if isinstance(left.thing, Sequence) or isinstance(right.thing, Sequence):
            thing = Sequence()
            interp.made(thing, node)
            for side in (left, right):
                if isinstance(side.thing, Sequence):
                    for member in side.thing.members:
                        append(thing, member)
            return Value(left.bits | right.bits, thing=thing)
    if isinstance(op, ast.Mult):
        items = known_items(left) if isinstance(left.thing, Sequence) else known_items(right)
        if items is not None and len(items) <= 4:
            thing = Sequence()
            interp.made(thing, node)
            for item in items:
                append(thing, item.but(const=UNKNOWN) if item.const is not UNKNOWN else item)
            return Value(thing=thing)
    return None
