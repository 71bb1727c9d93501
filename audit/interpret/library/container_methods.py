"""Methods of lists, sets and dictionaries."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import append, deep_bits, element_of, extend, push, put, tuple_of, union, whole_element
from audit.interpret.heap import Instance, Mapping, Parameters, Sequence, constant
from audit.interpret.library.tables import from_mapping
from audit.interpret.scoring import drop_if_bytes
from audit.provenance import COUNT, GRADIENT, NLL, NOTHING, PARAM, TOKEN, UNKNOWN, VAL, Value, join

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def mapping_method(
    interp: Interpreter, receiver: Value, thing: Mapping, name: str, given: list[Value], node: ast.AST
) -> Value | None:
    if name == "get" and given:
        found = from_mapping(interp, thing, given[0], node)
        if isinstance(given[0].const, str | int) and given[0].const in thing.entries:
            return found
        return join(found, given[1]) if len(given) > 1 else found
    if name == "setdefault" and given:
        default = given[1] if len(given) > 1 else NOTHING
        if interp.may_write(thing):
            put(thing, given[0], default)
        return from_mapping(interp, thing, given[0], node)
    if name == "items":
        if thing.element is None and len(thing.entries) <= 16:
            rows = [tuple_of([constant(k), v]) for k, v in thing.entries.items()]
            return Value(items=tuple(rows))
        sequence = Sequence(kind="items")
        interp.made(sequence, node)
        append(sequence, Value(items=(thing.keys.but(const=UNKNOWN), whole_element(thing))))
        return Value(thing.bits, thing=sequence)
    if name == "values":
        if thing.element is None and len(thing.entries) <= 16:
            return Value(items=tuple(thing.entries.values()))
        sequence = Sequence(kind="values")
        interp.made(sequence, node)
        append(sequence, whole_element(thing))
        return Value(thing.bits, thing=sequence)
    if name == "keys":
        if thing.element is None and len(thing.entries) <= 16:
            return Value(items=tuple(constant(k) for k in thing.entries))
        return Value(thing.keys.bits, thing=None)
    if name == "update" and given:
        if not interp.may_write(thing):
            return NOTHING
        source = given[0].thing
        if isinstance(source, Mapping):
            thing.entries.update(source.entries)
            if source.element is not None:
                put(thing, Value(), source.element)
        elif given[0].bits & TOKEN:
            thing.counted = True
            thing.bits |= given[0].bits | COUNT
            interp.emit("count", node, given[0], table=id(thing))
        thing.bits |= deep_bits(given[0])
        return NOTHING
    if name == "copy":
        return receiver
    if name == "pop" and given:
        return from_mapping(interp, thing, given[0], node)
    return None


def sequence_method(
    interp: Interpreter, receiver: Value, thing: Sequence, name: str, given: list[Value], node: ast.AST
) -> Value | None:
    if name in ("append", "add", "appendleft", "put") and given:
        if interp.may_write(thing):
            value = given[0]
            if value.bits & NLL and value.bits & VAL and not value.bits & GRADIENT:
                bits = interp.emit("store", node, value) | drop_if_bytes(interp, node, value)
                value = value.but(bits=value.bits | bits)
            push(interp, thing, value)
        return NOTHING
    if name == "extend" and given:
        if interp.may_write(thing):
            value = given[0]
            if deep_bits(value) & NLL and deep_bits(value) & VAL:
                interp.emit("store", node, union([value]))
            extend(interp, thing, value)
        return NOTHING
    if name == "insert" and len(given) > 1:
        if interp.may_write(thing):
            push(interp, thing, given[1])
        return NOTHING
    if name in ("pop", "popleft", "get"):
        return element_of(interp, receiver, node)
    if name in ("clear", "sort", "reverse", "remove", "discard"):
        return NOTHING
    if name == "copy":
        return receiver
    if thing.kind == "modules" and name in ("parameters", "named_parameters"):
        models = [m.thing for m in thing.members if isinstance(m.thing, Instance)]
        return Value(PARAM, thing=Parameters([m.root() for m in models], []))
    return None
