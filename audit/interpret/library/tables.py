"""Count tables: what fills them, and what a look-up under a key gives."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import union, whole_element
from audit.interpret.heap import Array, Function, Instance, Mapping, Sequence, seen
from audit.interpret.library.invocation import Handler, Invocation
from audit.provenance import (
    AT_TARGET,
    CLASS,
    COLUMN,
    COUNT,
    CURRENT,
    EVENTS,
    FIRST_EVENT,
    HASH_CURRENT,
    HASH_READ,
    HASH_TARGET,
    HASHED,
    KEY,
    POSITION,
    ROW_MAJOR,
    TARGET,
    TARGET_LOOKUP,
    TEXT,
    TOKEN,
    TRAIN,
    UNKNOWN,
    VAL,
    Value,
)

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def table_read(interp: Interpreter, base: Value, key: Value, node: ast.AST) -> Value:
    """Return a count looked up; a key that holds the target makes it a lookup of the truth only."""
    bits = base.bits & ~(TOKEN | POSITION) | COUNT
    loops = base.loops | key.loops
    if bits & EVENTS:
        noted = Value(bits | key.bits, loops=loops, trail=key.trail)
        hashed = bool(key.bits & (HASHED | KEY)) and not key.bits & ROW_MAJOR
        bits |= interp.emit("read", node, noted, table=id(base.thing), hashed=hashed)
    if key.bits & (HASHED | KEY) and not key.bits & ROW_MAJOR:
        bits |= HASH_READ
    elif key.bits & TOKEN:
        bits |= COLUMN
    if key.bits & HASH_TARGET or key.bits & HASH_CURRENT:
        exact = bool(key.bits & HASH_TARGET)
        bits |= TARGET_LOOKUP | interp.emit("lookup", node, key, table=id(base.thing), target=exact)
    if key.bits & TARGET and key.bits & VAL:
        bits |= AT_TARGET
    return Value(
        bits | (key.bits & (VAL | TARGET | TRAIN)), loops=base.loops | key.loops, trail=key.trail or base.trail
    )


def from_mapping(interp: Interpreter, thing: Mapping, key: Value, node: ast.AST) -> Value:
    """Return ``mapping[key]``."""

    if isinstance(key.const, str | int) and not isinstance(key.const, bool) and key.const in thing.entries:
        return seen(thing.entries[key.const])
    if thing.element is None and thing.factory is not None and interp.may_write(thing):
        thing.element = interp.call(thing.factory, [], {}, node)
    value = whole_element(thing)
    value = value.but(const=UNKNOWN) if value.const is not UNKNOWN and value.const is not None else value
    if key.const is not UNKNOWN and thing.element is None and thing.entries and not thing.counted:
        value = value.but(const=UNKNOWN)
    bits = bits_of_parts(key)
    if (thing.counted or value.bits & COUNT) and bits & (TOKEN | KEY):
        return table_read(interp, value, Value(bits, loops=key.loops, trail=key.trail), node).but(thing=value.thing)
    if isinstance(value.thing, Mapping | Sequence | Instance | Array | Function):
        return seen(value)
    held = held_in(interp, thing) if bits & TOKEN else 0
    held |= class_of(value.bits, bits) if bits & TOKEN else 0
    return value.but(bits=value.bits | held | (bits & (TARGET | VAL | TRAIN)), loops=value.loops | key.loops)


def held_in(interp: Interpreter, thing: Mapping) -> int:
    """Return the bit of what was looked up in a mapping under a key of tokens: stored there again, it is a count."""
    bit = 1 << interp.known_bits.setdefault(("held", id(thing)), FIRST_EVENT + len(interp.known_bits))
    interp.held_bits |= bit
    return bit


def class_of(table: int, token: int) -> int:
    """A table of pieces that is read at the token being scored tells its class."""
    return CLASS if table & TEXT and token & VAL and token & (TARGET | CURRENT) else 0


def bits_of_parts(value: Value) -> int:
    """Return what a key is made of, the elements of a tuple included."""
    return union([value]).bits if value.items or isinstance(value.thing, Sequence) else value.bits


def count_if_stored_back(interp: Interpreter, node: ast.AST, base: Value, at: Value, value: Value) -> None:
    """``n = d.get(k, 0) + 1`` and later ``d[k] = n``: an increment in two statements."""
    if isinstance(base.thing, Mapping) and value.bits & held_in(interp, base.thing):
        count_if_table(interp, node, base, at)


def count_if_table(interp: Interpreter, node: ast.AST, base: Value, at: Value) -> None:
    """``table[key] += 1`` with a key of tokens makes a count table."""
    key = bits_of_parts(at)
    if not key & (TOKEN | KEY) and not (isinstance(base.thing, Mapping) and key & TOKEN):
        return
    count_into(interp, node, base, at.but(bits=key))


def count_into(interp: Interpreter, node: ast.AST, base: Value, key: Value) -> None:
    """Record that a table took in tokens."""
    thing = base.thing
    if not isinstance(thing, Array | Mapping | Sequence) or not interp.may_write(thing):
        return
    thing.counted = True
    bit = interp.emit("count", node, key, table=id(thing))
    thing.bits |= COUNT | bit | (key.bits & (VAL | TRAIN))


def _scatter_add(interp: Interpreter, call: Invocation) -> Value:
    """``table.scatter_add_(dim, key, ones)``, ``index_add_``, ``index_put_``."""
    base = call.given[0]
    keys = [seen(v) for v in (*call.given[1:], *call.named.values())]
    for key in keys:
        bits = union([key]).bits
        if bits & (TOKEN | KEY):
            count_into(interp, call.node, base, key.but(bits=bits))
            break
    return seen(base)


def _scatter(interp: Interpreter, call: Invocation) -> Value:
    """``one_hot.scatter_(1, target, 1.0)``: the array then says where the target is."""
    base = call.given[0]
    thing = base.thing
    marks = union([seen(v) for v in (*call.given[1:], *call.named.values())])
    bits = marks.bits & ~TOKEN
    if isinstance(thing, Array) and interp.may_write(thing):
        thing.bits |= bits
        thing.loops |= marks.loops
        thing.trail = thing.trail or marks.trail
        return seen(base)
    return Value(base.bits | bits, loops=base.loops | marks.loops, trail=base.trail or marks.trail)


def _add_at(interp: Interpreter, call: Invocation) -> Value | None:
    if not call.full_name.endswith("add.at") or len(call.given) < 2:
        return None
    count_if_table(interp, call.node, call.given[0], seen(call.given[1]))
    return Value(const=None)


def _bincount(interp: Interpreter, call: Invocation) -> Value:
    thing = Array(call.node)
    interp.made(thing, call.node)
    key = seen(call.given[0]) if call.given else Value()
    value = Value(COUNT, thing=thing)
    if key.bits & (TOKEN | KEY):
        count_into(interp, call.node, value, key)
    return seen(value)


OPERATIONS: dict[str, Handler] = {
    "scatter_add_": _scatter_add,
    "scatter_add": _scatter_add,
    "index_add_": _scatter_add,
    "index_put_": _scatter_add,
    "scatter_": _scatter,
    "scatter": _scatter,
    "at": _add_at,
    "bincount": _bincount,
}
