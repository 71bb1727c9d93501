"""Indices and slices of tensors: position, target, input and past, and the loss at the target."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import deep_bits
from audit.interpret.heap import Array, Columns, seen
from audit.interpret.library.tables import class_of, table_read
from audit.interpret.models import looks_at_no_target
from audit.provenance import (
    BYTES,
    COLUMN,
    COMPARED,
    COUNT,
    CURRENT,
    FULL,
    HASHED,
    INPUT,
    KEY,
    MODEL,
    NLL,
    PARAM,
    PAST,
    POSITION,
    RANK,
    RUNNING,
    SHIFTED,
    TARGET,
    TEXT,
    TOKEN,
    UNKNOWN,
    VAL,
    ZERO,
    Linear,
    Value,
)

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter

HEADER = 128  # nobody predicts a token so far ahead: what is cut off the front is a header


def is_slice(value: Value) -> bool:
    """Say whether an index is a slice."""
    return value.items is not None and value.thing is not None and len(value.items) == 3


def index_tensor(interp: Interpreter, base: Value, at: Value, node: ast.AST) -> Value:
    """Return ``base[at]`` for tensors and arrays."""
    if isinstance(base.thing, Columns):
        return index_columns(base, base.thing, at)
    if isinstance(base.thing, Array) and base.thing.parts and (written := part_at(base.thing, at)) is not None:
        return written
    base = seen(base)
    if base.bits & VAL and base.bits & (TOKEN | NLL) and (cut := cut_at(interp, at, node)):
        base = base.but(bits=base.bits | cut)
    thing = base.thing if isinstance(base.thing, Array) else None
    parts = at.items if at.items is not None and not is_slice(at) else (at,)
    if base.bits & TOKEN and not base.bits & (COUNT | FULL | MODEL) and not (thing is not None and thing.counted):
        return token_index(interp, base, parts, node)
    bits, loops = base.bits, base.loops
    key = 0
    for part in parts:
        loops |= part.loops
        if is_slice(part):
            bits |= part.bits & RANK
            continue
        if part.bits & TOKEN or part.bits & KEY:
            key |= part.bits
        bits |= part.bits & RANK
    if (
        bits & NLL
        and bits & VAL
        and any(p.bits & COMPARED and p.bits & (TEXT | BYTES) and not is_slice(p) for p in parts)
    ):
        bits |= interp.emit("drop", node, base)
    if key:
        merged = Value(key, loops=loops, trail=next((p.trail for p in parts if p.bits & key and p.trail), None))
        if (
            (thing is not None and thing.counted)
            or base.bits & COUNT
            or (key & KEY and not base.bits & (PARAM | MODEL | FULL))
        ):
            read = table_read(interp, base.but(loops=loops), merged, node)
            columns = [p for p in parts if p.bits & TOKEN and not p.bits & (HASHED | KEY) and not is_slice(p)]
            return read.but(bits=read.bits | COLUMN) if columns else read  # `counts[hash of context, token]`
        result = gathered(base.but(bits=bits, loops=loops), merged)
        if result.bits & NLL and not bits & NLL:
            result = result.but(bits=result.bits | interp.emit("nll", node, result, logits=base, target=merged))
        return result
    keep = (
        thing
        if thing is not None and all(is_slice(p) or p.const is None or p.const is Ellipsis for p in parts)
        else None
    )
    if thing is not None and keep is None and not thing.bits & (TOKEN | NLL | MODEL):
        keep = thing
    position = base.position
    if position is not None and len(parts) == 1 and is_slice(parts[0]) and parts[0].items is not None:
        lower = parts[0].items[0].where()
        position = position.plus(lower) if lower is not None else position
    if bits & PARAM and bits & POSITION and not bits & RUNNING and shifted_hidden(parts):
        bits |= SHIFTED
    return Value(bits, UNKNOWN, keep, None, position, loops, base.trail)


def column(base: Value, thing: Columns, at: int) -> Value:
    """Return one of the values that were stacked."""
    member = thing.members[at] if -len(thing.members) <= at < len(thing.members) else None
    return member.but(loops=member.loops | base.loops) if member is not None else settled(base)


def index_columns(base: Value, thing: Columns, at: Value) -> Value:
    """``rows[:, 1]`` takes a stacked value out; rows, and all columns of them, stay what they are."""
    parts = at.items if at.items is not None and not is_slice(at) else (at,)
    loops = base.loops
    for part in parts:
        loops |= part.loops
        if type(part.const) is int:
            return column(base, thing, part.const)
    last = parts[-1]
    if len(parts) > 1 and last.const is not None and last.const is not Ellipsis:
        if not is_slice(last) or last.items is None:
            return settled(base)  # which one is not known
        bounds = [bound.const for bound in last.items]
        if any(bound is not None and type(bound) is not int for bound in bounds):
            return settled(base)
        kept = thing.members[slice(*bounds)]
        if not any(looks_at_no_target(member.bits) for member in kept):
            return Value(base.bits, loops=loops, trail=base.trail)
        return base.but(thing=Columns(kept, thing.bits), loops=loops)
    return base.but(loops=loops, position=None)


def settled(value: Value) -> Value:
    """Return a stack as one value: from here on nobody takes it apart."""
    return Value(value.bits | deep_bits(value), loops=value.loops, trail=value.trail)


def cut_at(interp: Interpreter, at: Value, node: ast.AST) -> int:
    """Return the bit of the front ``x[..., :place]`` or of the rest ``x[..., place:]`` of data cut at a place.

    A place is known by its position, or by the name that it has in one call.
    """
    part = at if is_slice(at) else at.items[-1] if at.items else None
    if part is None or part.items is None or not is_slice(part) or not isinstance(node, ast.Subscript):
        return 0
    lower, upper = part.items[0], part.items[1]
    rest = upper.const is None or lower.const not in (None, 0)
    if not rest and lower.const is UNKNOWN:
        return 0
    place = lower if rest else upper
    written = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
    named = (written.lower if rest else written.upper) if isinstance(written, ast.Slice) else None
    if place.const is not UNKNOWN or not isinstance(named, ast.Name):
        return 0
    key = place.position if place.position is not None else (named.id, interp.path_key)
    sides = interp.cuts.get(key)
    if sides is None:
        sides = [interp.bit("front", key), interp.bit("rest", key)]
        interp.cuts[key] = sides
    return sides[rest]


def shifted_hidden(parts: tuple[Value, ...]) -> bool:
    """``x[:, :-1]``: all positions but the last."""
    for part in parts[1:2]:
        if is_slice(part) and part.items is not None:
            lower, upper = part.items[0].const, part.items[1].const
            if upper == -1 and lower in (None, 0):
                return True
    return False


def constant_column(at: Value) -> int | None:
    """The index of a whole column: ``x[:, 1]``, ``x[..., 1]``."""
    if at.items is None or is_slice(at) or len(at.items) < 2:
        return None
    *before, last = at.items
    whole = all(p.const is Ellipsis or is_slice(p) for p in before)
    return last.const if whole and type(last.const) is int else None


def part_at(thing: Array, at: Value) -> Value | None:
    """Return what was written to a column of an array, where nothing else can have been."""
    index = constant_column(at)
    return thing.parts.get(index) if index is not None else None


def gathered(base: Value, key: Value) -> Value:
    """Return what picking entries by token ids gives: from a distribution, the probability at the token."""
    bits = base.bits
    loops = base.loops | key.loops
    if bits & (FULL | MODEL) and not bits & NLL and (bits & FULL or key.bits & (TARGET | CURRENT | INPUT)):
        bits = (bits | (key.bits & ~TOKEN) | NLL) & ~FULL
        if not key.bits & INPUT or key.bits & TARGET:
            bits |= TARGET
        return Value(bits, loops=loops, trail=key.trail or base.trail)
    bits |= class_of(base.bits, key.bits) | (key.bits & ~TOKEN)
    return Value(bits, loops=loops, trail=key.trail or base.trail)


def token_index(interp: Interpreter, base: Value, parts: tuple[Value, ...], node: ast.AST) -> Value:
    """Return a part of a token stream: its position, and whether it is target, input or past."""
    bits, loops = base.bits, base.loops
    position = base.position
    part = parts[-1]
    stored = isinstance(base.thing, Array)
    for p in parts:
        if not (stored and p.bits & MODEL):  # which of its stored tokens a model picks makes them no newer
            loops |= p.loops
        bits |= p.bits & RANK
    placed = bits & (TARGET | INPUT)
    if is_slice(part) and part.items is not None:
        lower, upper = part.items[0], part.items[1]
        start = ZERO if lower.const is None else lower.where()
        if start is None:
            somewhere = interp.atom("slice", node) if len(parts) == 1 and position is None else None
            kept = base.thing if len(parts) > 1 else None
            return Value(bits, loops=loops, trail=base.trail, thing=kept, position=somewhere)
        if len(parts) > 1 and not start.terms and start.constant == 0 and upper.const is None:
            return base.but(loops=loops)
        if position is None and not start.terms and start.constant >= HEADER and upper.const is None:
            return base.but(loops=loops)  # what follows a file's header is the stream
        moved = position.plus(start) if position is not None else start
        whole_stream = position is None and start == ZERO and not placed and len(parts) == 1
        if whole_stream and bits & VAL and type(upper.const) is int and upper.const >= 1024:
            bits |= interp.emit("subset", node, base, tokens=upper.const)
        if position is None and not placed and len(parts) == 1 and bits & VAL and upper.where() is not None:
            bits |= interp.emit("slice", node, Value(bits, loops=loops, trail=base.trail), upper=upper.where())
        if not placed:
            if start.constant >= 1 and not looks_back(start):
                bits = (bits | TARGET) & ~(PAST | CURRENT)
                for atom, _ in (position or ZERO).terms or start.terms:
                    interp.window_bases.add(atom)
            elif looks_back(start) or start.constant < 0:
                bits |= PAST
            elif start == ZERO and type(upper.const) is int and upper.const < 0:
                bits |= INPUT
        elif (
            bits & INPUT and not bits & TARGET and (looks_back(start) or (type(upper.const) is int and upper.const < 0))
        ):
            bits |= PAST
        return Value(bits, UNKNOWN, None, None, moved, loops, base.trail)
    place = part.where()
    if part.bits & TOKEN:  # a permutation of tokens by tokens: rare
        return Value(bits | (part.bits & ~TOKEN), loops=loops, trail=base.trail)
    if place is None:
        if not placed:
            bits |= CURRENT
        return Value(bits, UNKNOWN, None, None, None, loops, base.trail)
    moved = position.plus(place) if position is not None else place
    if not placed:
        if looks_back(place) or place.constant < 0:
            bits |= PAST
        elif place.constant >= 1 and place.terms:
            bits |= TARGET
        elif place.terms and any(atom in interp.window_bases for atom, _ in place.terms):
            bits |= INPUT | CURRENT
        else:
            bits |= CURRENT
    return Value(bits, UNKNOWN, None, None, moved, loops, base.trail)


def looks_back(place: Linear) -> bool:
    """Say whether an unknown amount is taken off the index."""
    return any(coefficient < 0 for _, coefficient in place.terms)
