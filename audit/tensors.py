"""What tensor operations do to provenance: allocation, views, slices, gathers, reductions, losses, count tables."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from audit.folding import words
from audit.heap import Array, Function, Instance, Mapping, Sequence, Thing
from audit.provenance import (
    BYTES,
    CHOSEN,
    COMPARED,
    COUNT,
    CURRENT,
    EVENTS,
    FULL,
    GENERATED,
    HASH_CURRENT,
    HASH_TARGET,
    HASHED,
    INPUT,
    KEY,
    LEAF,
    MIXED_IN,
    MODEL,
    NLL,
    NOT_TARGET,
    PARAM,
    PAST,
    PREVIOUS,
    RANK,
    SHIFTED,
    SPREAD,
    TARGET,
    TARGET_LOOKUP,
    TEXT,
    TOKEN,
    TRAIN,
    UNKNOWN,
    VAL,
    ZERO,
    Linear,
    Value,
    join,
)

if TYPE_CHECKING:
    from audit.interpreter import Interpreter

Handler = Callable[["Interpreter", list[Value], dict[str, Value], ast.AST, str], "Value | None"]


def read(value: Value) -> Value:
    """Return a value with what has been written into the array it refers to."""
    thing = value.thing
    if isinstance(thing, Array) and (thing.bits & ~value.bits or thing.loops & ~value.loops):
        return value.but(
            bits=value.bits | thing.bits,
            loops=value.loops | thing.loops,
            trail=thing.trail or value.trail,
            position=value.position or thing.position,
        )
    return value


def union(values: list[Value]) -> Value:
    """Return a value made of all of these."""
    from audit.library import union as deep_union

    return deep_union(values)


# ---------------------------------------------------------------------- indexing


def is_slice(value: Value) -> bool:
    """Say whether an index is a slice."""
    return value.items is not None and value.thing is not None and len(value.items) == 3


def index(interp: Interpreter, base: Value, at: Value, node: ast.AST) -> Value:
    """Return ``base[at]`` for tensors and arrays."""
    base = read(base)
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
            return table_read(interp, base.but(loops=loops), merged, node)
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
    if bits & PARAM and bits & POSITION_BITS and shifted_hidden(parts):
        bits |= SHIFTED
    return Value(bits, UNKNOWN, keep, None, position, loops, base.trail)


def shifted_hidden(parts: tuple[Value, ...]) -> bool:
    """``x[:, :-1]``: all positions but the last."""
    for part in parts[1:2]:
        if is_slice(part) and part.items is not None:
            lower, upper = part.items[0].const, part.items[1].const
            if upper == -1 and lower in (None, 0):
                return True
    return False


def gathered(base: Value, key: Value) -> Value:
    """Return what picking entries by token ids gives: from a distribution, the probability at the token."""
    bits = base.bits
    loops = base.loops | key.loops
    if bits & (FULL | MODEL) and not bits & NLL and (bits & FULL or key.bits & (TARGET | CURRENT | INPUT)):
        bits = (bits | (key.bits & ~TOKEN) | NLL) & ~FULL
        if not key.bits & INPUT or key.bits & TARGET:
            bits |= TARGET
        return Value(bits, loops=loops, trail=key.trail or base.trail)
    return Value(bits | (key.bits & ~TOKEN), loops=loops, trail=key.trail or base.trail)


def token_index(interp: Interpreter, base: Value, parts: tuple[Value, ...], node: ast.AST) -> Value:
    """Return a part of a token stream: its position, and whether it is target, input or past."""
    bits, loops = base.bits, base.loops
    position = base.position
    part = parts[-1]
    for p in parts:
        loops |= p.loops
        bits |= p.bits & RANK
    placed = bits & (TARGET | INPUT)
    if is_slice(part) and part.items is not None:
        lower, upper = part.items[0], part.items[1]
        start = ZERO if lower.const is None else lower.where()
        if start is None:
            return Value(bits, loops=loops, trail=base.trail, thing=whole(base, parts))
        if len(parts) > 1 and not start.terms and start.constant == 0 and upper.const is None:
            return base.but(loops=loops)
        moved = position.plus(start) if position is not None else start
        whole_stream = position is None and start == ZERO and not placed and len(parts) == 1
        if whole_stream and bits & VAL and type(upper.const) is int and upper.const >= 1024:
            bits |= interp.emit("subset", node, base, tokens=upper.const)
        if position is None and not placed and len(parts) == 1 and bits & VAL and upper.where() is not None:
            bits |= interp.emit("slice", node, Value(bits, loops=loops, trail=base.trail), upper=upper.where())
        if not placed:
            if start.constant >= 1 and not past(start):
                bits = (bits | TARGET) & ~(PAST | CURRENT)
                for atom, _ in (position or ZERO).terms or start.terms:
                    interp.window_bases.add(atom)
            elif past(start) or start.constant < 0:
                bits |= PAST
            elif start == ZERO and type(upper.const) is int and upper.const < 0:
                bits |= INPUT
        elif bits & INPUT and not bits & TARGET and (past(start) or (type(upper.const) is int and upper.const < 0)):
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
        if past(place) or place.constant < 0:
            bits |= PAST
        elif place.constant >= 1 and place.terms:
            bits |= TARGET
        elif place.terms and any(atom in interp.window_bases for atom, _ in place.terms):
            bits |= INPUT | CURRENT
        else:
            bits |= CURRENT
    return Value(bits, UNKNOWN, None, None, moved, loops, base.trail)


def past(place: Linear) -> bool:
    """Say whether an unknown amount is taken off the index."""
    return any(coefficient < 0 for _, coefficient in place.terms)


def whole(base: Value, parts: tuple[Value, ...]) -> Thing | None:
    return base.thing if len(parts) > 1 else None


# ---------------------------------------------------------------------- count tables


def table_read(interp: Interpreter, base: Value, key: Value, node: ast.AST) -> Value:
    """Return a count looked up; a key that holds the target makes it a lookup of the truth only."""
    bits = base.bits & ~(TOKEN | POSITION_BITS) | COUNT
    loops = base.loops | key.loops
    if bits & EVENTS:
        bits |= interp.emit("read", node, Value(bits | key.bits, loops=loops, trail=key.trail), table=id(base.thing))
    if key.bits & HASH_TARGET or key.bits & HASH_CURRENT:
        exact = bool(key.bits & HASH_TARGET)
        bits |= TARGET_LOOKUP | interp.emit("lookup", node, key, table=id(base.thing), target=exact)
    return Value(
        bits | (key.bits & (VAL | TARGET | TRAIN)), loops=base.loops | key.loops, trail=key.trail or base.trail
    )


POSITION_BITS = TARGET | INPUT | PAST | CURRENT


def from_mapping(interp: Interpreter, thing: Mapping, key: Value, node: ast.AST) -> Value:
    """Return ``mapping[key]``."""
    from audit.library import whole_element

    if isinstance(key.const, str | int) and not isinstance(key.const, bool) and key.const in thing.entries:
        return read(thing.entries[key.const])
    if thing.element is None and thing.factory is not None and interp.may_write(thing):
        thing.element = interp.call(thing.factory, [], {}, node)
    value = whole_element(thing)
    value = value.but(const=UNKNOWN) if value.const is not UNKNOWN and value.const is not None else value
    if key.const is not UNKNOWN and thing.element is None and thing.entries and not thing.counted:
        value = value.but(const=UNKNOWN)
    bits = deep(key)
    if (thing.counted or value.bits & COUNT) and bits & (TOKEN | KEY):
        return table_read(interp, value, Value(bits, loops=key.loops, trail=key.trail), node).but(thing=value.thing)
    if isinstance(value.thing, Mapping | Sequence | Instance | Array | Function):
        return read(value)
    return value.but(bits=value.bits | (bits & (TARGET | VAL | TRAIN)), loops=value.loops | key.loops)


def deep(value: Value) -> int:
    bits = value.bits
    for item in value.items or ():
        bits |= item.bits
    return bits


def count_if_table(interp: Interpreter, node: ast.AST, base: Value, at: Value) -> None:
    """``table[key] += 1`` with a key of tokens makes a count table."""
    key = deep(at)
    if not key & (TOKEN | KEY) and not (isinstance(base.thing, Mapping) and key & TOKEN):
        return
    counted(interp, node, base, at.but(bits=key))


def counted(interp: Interpreter, node: ast.AST, base: Value, key: Value) -> None:
    """Record that a table took in tokens."""
    thing = base.thing
    if not isinstance(thing, Array | Mapping | Sequence) or not interp.may_write(thing):
        return
    thing.counted = True
    bit = interp.emit("count", node, key, table=id(thing))
    thing.bits |= COUNT | bit | (key.bits & (VAL | TRAIN))


# ---------------------------------------------------------------------- operations

VIEWS = words(
    """
    reshape view view_as to float long int cpu cuda numpy detach contiguous squeeze unsqueeze
    flatten astype expand expand_as transpose permute t type half bfloat16 double ravel as_tensor
    from_numpy asarray requires_grad pin_memory byte bool short broadcast_to narrow swapaxes
    moveaxis atleast_1d ascontiguousarray to_dense share_memory_ movedim type_as int32 int64 uint64
    float32 float64 uint32 uint16 int16 uint8 int8 array tensor repeat_interleave tile item tolist
    clone copy __enter__ detach_ cast unflatten rearrange
    """
)
COPIES = words(
    """
    clone copy array tensor item tolist int float
    """
)
SIZES = words(
    """
    numel size dim ndimension element_size nelement stride is_floating_point data_ptr
    storage_offset
    """
)
ALLOCATIONS = words(
    """
    zeros ones empty full zeros_like ones_like empty_like full_like new_zeros new_ones new_empty
    new_full memmap_zeros
    """
)
RANDOM = words(
    """
    rand randn randint randperm normal multinomial bernoulli rand_like randn_like integers
    permutation choice
    """
)
REDUCTIONS = words(
    """
    sum mean max min amax amin logsumexp std var median norm prod argmax argmin topk all any
    """
)


def operation(
    interp: Interpreter, name: str, given: list[Value], named: dict[str, Value], node: ast.AST, full_name: str
) -> Value | None:
    """Return what a tensor function or method gives (the receiver first), or None for an unknown one."""
    handler = OPERATIONS.get(name)
    if handler is not None:
        return handler(interp, given, named, node, full_name)
    if name in VIEWS and given:
        return view(interp, name, given, named, node)
    if name in SIZES and given:
        return Value(given[0].bits & RANK, loops=given[0].loops)
    if name == "len" and given:
        return Value(given[0].bits & (RANK | TEXT | BYTES), loops=given[0].loops)
    if name in ALLOCATIONS:
        return allocate(interp, name, given, named, node)
    if name in RANDOM:
        return random(interp, name, given, named, node)
    if name in REDUCTIONS and given:
        return reduce(interp, name, given, named, node, full_name)
    return None


def view(interp: Interpreter, name: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    base = read(given[0])
    if name in ("int", "float", "bool") and base.const is not UNKNOWN:
        from audit.folding import call_pure

        folded = call_pure(name, [base.const])
        if folded is not UNKNOWN:
            return Value(base.bits, folded)
    if wants_gradient(named):
        return leaf(interp, base, node)
    from audit.library import known_items

    if isinstance(base.thing, Sequence) and name in ("array", "tensor", "as_tensor", "asarray"):
        items = known_items(base)
        bits, loops, position, trail = base.bits, base.loops, base.position, base.trail
        for item in items if items is not None else ([base.thing.element] if base.thing.element else []):
            item = read(item)
            bits |= item.bits
            loops |= item.loops
            position = position or item.position
            trail = trail or item.trail
        return Value(bits, UNKNOWN, None, None, position, loops, trail)
    if name in COPIES and isinstance(base.thing, Array):
        if name in ("clone", "copy") and (base.thing.counted or base.thing.leaf):
            return base
        return base.but(thing=None, items=None)
    if base.items is not None and name in ("to", "cpu", "cuda"):
        return base
    const = (
        base.const
        if name in ("item", "int", "float", "int64", "uint64", "int32", "tensor")
        and isinstance(base.const, int | float)
        else UNKNOWN
    )
    return base.but(const=const, items=None)


def wants_gradient(named: dict[str, Value]) -> bool:
    wish = named.get("requires_grad")
    return wish is not None and wish.const is True


def leaf(interp: Interpreter, base: Value, node: ast.AST) -> Value:
    """A fresh tensor that wants a gradient."""
    thing = Array(node)
    interp.made(thing, node)
    thing.leaf = True
    bits = LEAF | (base.bits & (EVENTS | VAL))
    thing.bits = bits
    return Value(bits, thing=thing, loops=base.loops)


def allocate(interp: Interpreter, name: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    if wants_gradient(named) and not interp.calls_model():
        return leaf(interp, Value(), node)
    thing = Array(node)
    interp.made(thing, node)
    loops = 0
    for value in given:
        loops |= value.loops
    filler = given[-1] if name in ("full", "full_like", "new_full") and len(given) > 1 else None
    bits = filler.bits & ~TOKEN if filler is not None else 0
    if interp.calls_model():
        bits |= PARAM if name in ("zeros", "ones", "empty") and interp.frame.name.endswith("__init__") else 0
    return Value(bits, thing=thing)


def random(interp: Interpreter, name: str, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    bits = GENERATED
    if name == "multinomial":  # sampled from a model's own distribution
        bits |= TOKEN
    if name in ("randint", "integers"):
        bits |= TOKEN
    if wants_gradient(named) and not interp.calls_model():
        return leaf(interp, Value(), node)
    position = None if bits & TOKEN else interp.atom("random", node)
    return Value(bits, position=position)


def reduce(
    interp: Interpreter, name: str, given: list[Value], named: dict[str, Value], node: ast.AST, full_name: str
) -> Value:
    from audit.library import element_of, known_items

    base = read(given[0])
    if full_name.startswith("builtins.") and name in ("min", "max", "sum"):
        if len(given) > 1:
            return several(interp, name, given, node)
        items = known_items(base)
        if items is None and base.thing is not None and isinstance(base.thing, Sequence):
            items = (element_of(interp, base, node),)
        if items is not None:
            base = union(list(items)) if items else Value(const=0)
        if name == "min" and base.bits & NLL and base.bits & VAL:
            return base.but(bits=base.bits | CHOSEN | interp.emit("choose", node, base, how="min"), const=UNKNOWN)
        return base.but(const=UNKNOWN if items else base.const, position=None, items=None)
    bits = base.bits
    if isinstance(base.thing, Sequence):
        bits = union([base]).bits
    if name in ("min", "amin") and bits & NLL and bits & VAL and (len(given) > 1 or "dim" in named or "axis" in named):
        bits |= CHOSEN | interp.emit("choose", node, base, how="min over stacked")
    if bits & FULL:
        if (not (given[1:] or named) and name in ("sum", "mean")) or last_dimension(given, named):
            bits &= ~FULL
        if not bits & FULL and not bits & (NLL | TARGET):
            bits |= NOT_TARGET
    if (name in ("max", "min", "topk", "sort") and len(given) > 1) or (
        "dim" in named and name in ("max", "min", "median")
    ):
        part = Value(bits, loops=base.loops, trail=base.trail)
        if name != "max" or not base.bits & TOKEN:
            return Value(bits, items=None, loops=base.loops, trail=base.trail, thing=None) if name == "topk" else part
    if name in ("argmax", "argmin"):
        bits = bits & ~(NLL | FULL) | (TOKEN | GENERATED if bits & MODEL and not bits & VAL else 0)
    return Value(bits, loops=base.loops, trail=base.trail)


def last_dimension(given: list[Value], named: dict[str, Value]) -> bool:
    """Say whether a reduction runs over the vocabulary, which is the last dimension."""
    dimension = named.get("dim") or named.get("axis") or (given[1] if len(given) > 1 else None)
    if dimension is None:
        return True
    return dimension.const in (-1, 1, 2, UNKNOWN) or dimension.const is UNKNOWN


def several(interp: Interpreter, name: str, given: list[Value], node: ast.AST) -> Value:
    """``min(a, b)`` of Python."""
    if all(g.const is not UNKNOWN for g in given):
        from audit.folding import call_pure

        folded = call_pure(name, [g.const for g in given])
        if folded is not UNKNOWN:
            return Value(const=folded)
    merged = union(given)
    if name == "min" and sum(bool(g.bits & NLL and g.bits & VAL) for g in given) > 1:
        bit = interp.emit("choose", node, merged, how="min")
        return merged.but(bits=merged.bits | CHOSEN | bit)
    if name == "min" and len(given) == 2:  # min(start + n, total): position unknown, provenance kept
        return Value(merged.bits, loops=merged.loops, trail=merged.trail)
    if name == "max" and len(given) == 2 and any(g.const == 0 for g in given):  # max(x - n, 0)
        other = next(g for g in given if g.const != 0) if any(g.const != 0 for g in given) else given[0]
        return Value(merged.bits, position=None, loops=other.loops, trail=merged.trail)
    return merged


def _softmax(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    base = read(given[0]) if given else Value()
    bits = base.bits & ~TOKEN
    if bits & MODEL or not bits & PARAM:
        bits |= FULL
    return Value(bits, loops=base.loops, trail=base.trail)


def _cross_entropy(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    logits = read(given[0]) if given else named.get("input", Value())
    target = read(given[1]) if len(given) > 1 else named.get("target", Value())
    bits = (logits.bits | target.bits) & ~(FULL | TOKEN | CURRENT | PAST | INPUT) | NLL | TARGET | MODEL
    loops = logits.loops | target.loops
    noted = Value(bits, loops=loops, trail=target.trail or logits.trail)
    return noted.but(bits=bits | interp.emit("nll", node, noted, logits=logits, target=target))


def _gather(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value | None:
    if not given:
        return None
    base = read(given[0])
    keys = [read(v) for v in (*given[1:], *named.values()) if v.bits & (TOKEN | KEY)]
    if not keys:
        return union([base]).but(loops=base.loops | union(given).loops)
    key = keys[0]
    thing = base.thing
    if (
        base.bits & COUNT
        or (isinstance(thing, Array) and thing.counted)
        or (key.bits & KEY and not base.bits & (PARAM | MODEL | FULL))
    ):
        return table_read(interp, base, key, node)
    if base.bits & TOKEN and not base.bits & (FULL | MODEL):
        return None
    result = gathered(base, key)
    if result.bits & NLL and not base.bits & NLL:
        result = result.but(bits=result.bits | interp.emit("nll", node, result, logits=base, target=key))
    return result


def _stack(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    from audit.library import known_items

    base = given[0] if given else next(iter(named.values()), Value())
    if base.bits & TOKEN and not isinstance(base.thing, Sequence):
        return base
    items = known_items(base)
    members = (
        list(items) if items is not None else (list(base.thing.members) if isinstance(base.thing, Sequence) else [])
    )
    members = [read(m) for m in members]
    merged = union([base, *members])
    bits = merged.bits
    if any(m.bits & SHIFTED for m in members) and len(members) == 2:
        bits |= PREVIOUS
    scored = any(m.bits & NLL and m.bits & TARGET for m in members)
    for member in members:
        if scored and member.bits & NOT_TARGET and not member.bits & (NLL | FULL):
            bits |= MIXED_IN | interp.emit("expert", node, member)
    position = next((m.position for m in members if m.position is not None), None)
    if len({m.position.constant for m in members if m.position is not None}) > 1:
        position = None
    return Value(bits, position=position, loops=merged.loops, trail=merged.trail)


def _minimum(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    merged = union(given)
    if len(given) > 1 and given[0].bits & given[1].bits & NLL and merged.bits & VAL:
        return merged.but(bits=merged.bits | CHOSEN | interp.emit("choose", node, merged, how="minimum"))
    if len(given) > 1 and given[0].bits & NLL and given[1].const is UNKNOWN and given[0].bits & VAL:
        inside = read(given[1])
        if inside.thing is not None and not inside.bits & NLL:  # the best so far, filled in an earlier round
            return merged
    position = given[0].position if len(given) > 1 and given[1].const is not UNKNOWN else None
    return merged.but(position=position)


def _where(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value | None:
    if len(given) == 1:
        return Value(given[0].bits & RANK, items=None, position=interp.atom("where", node), loops=given[0].loops)
    if len(given) == 3:
        test, a, b = (read(g) for g in given)
        if name.startswith("."):
            test, a, b = b, a, test
        joined = join(a, b).but(bits=a.bits | b.bits, const=UNKNOWN)
        if test.bits & COMPARED and test.bits & NLL and a.bits & b.bits & NLL and test.bits & VAL:
            joined = joined.but(bits=joined.bits | CHOSEN | interp.emit("choose", node, test, how="where"))
        return joined.but(loops=joined.loops | test.loops)
    return None


def _scatter_add(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    """``table.scatter_add_(dim, key, ones)``, ``index_add_``, ``index_put_``."""
    base = given[0]
    keys = [read(v) for v in (*given[1:], *named.values())]
    for key in keys:
        bits = union([key]).bits
        if bits & (TOKEN | KEY):
            counted(interp, node, base, key.but(bits=bits))
            break
    return read(base)


def _add_at(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value | None:
    if not name.endswith("add.at") or len(given) < 2:
        return None
    count_if_table(interp, node, given[0], read(given[1]))
    return Value(const=None)


def _bincount(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    thing = Array(node)
    interp.made(thing, node)
    key = read(given[0]) if given else Value()
    value = Value(COUNT, thing=thing)
    if key.bits & (TOKEN | KEY):
        counted(interp, node, value, key)
    return read(value)


def _add_in_place(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    """``a.add_(b)``, ``a.sub_(b)``, ``a.lerp_(b)``, ``a.copy_(b)``: what ``b`` is made of goes into ``a``."""
    base, others = given[0], [*given[1:], *named.values()]
    right = union(others)
    thing = base.thing
    bits = right.bits
    if bits & NLL and bits & VAL:
        bits |= interp.score_if_nll(node, right)
    interp.step_if_gradient(node, base, right)
    if interp.guard_choice:
        bits |= interp.guard_choice
    if isinstance(thing, Array) and interp.may_write(thing):
        thing.bits |= bits & ~COMPARED
        thing.loops |= right.loops
        thing.trail = thing.trail or right.trail
        if any(o.thing is not None and isinstance(o.thing, Array) and o.thing.counted for o in others):
            thing.counted = True
    elif base.bits & PARAM:
        from audit.library import parameters_of

        models, _ = parameters_of(base)
        for model in models:
            if interp.may_write(model):
                model.root().weights |= bits & EVENTS
    return base.but(bits=base.bits | bits, trail=base.trail or right.trail)


def _fill(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    thing = given[0].thing
    if isinstance(thing, Array) and not interp.maybe and not thing.counted and interp.may_write(thing):
        thing.bits &= LEAF | PARAM | EVENTS
    return given[0]


def _arange(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    start = given[0] if len(given) > 1 else Value(const=0)
    at = start.where()
    loops = union(given).loops
    bits = union(given).bits & RANK
    return Value(bits, position=at if at is not None else interp.atom("arange", node), loops=loops)


def _nonzero(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    return Value(0, position=interp.atom("nonzero", node), loops=union(given).loops)


def _fromfile(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    """``np.fromfile(path)``, ``np.memmap``, ``np.load``, ``torch.load``: the data that the name promises."""
    from audit.library import read_bits

    source = union(given[:1])
    count = named.get("count")
    if count is not None and type(count.const) is int and 0 < count.const <= 4096:
        return Value()  # a header
    bits = source.bits & ~(PARAM | MODEL)
    if not bits & EVENTS or bits & (VAL | TRAIN):
        bits |= read_bits(interp, bits)
    return Value(bits, loops=source.loops, trail=source.trail)


def _save(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    """``torch.save(x, f)``, ``np.save(f, x)``, ``pickle.dump``: what goes to disk can come back."""
    from audit.library import Buffer, deep_bits

    bits = 0
    for value in (*given, *named.values()):
        bits |= deep_bits(value)
    for value in given:
        if isinstance(value.thing, Buffer | Array | Instance):
            value.thing.bits |= bits & (EVENTS | VAL | TOKEN | PARAM)
    interp.disk |= bits & EVENTS
    interp.emit("save", node, Value(bits))
    return Value(const=None)


def _buffer(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    from audit.library import Buffer, deep_bits

    thing = Buffer(Value(), False)
    interp.made(thing, node)
    thing.bits = deep_bits(given[0]) if given else 0
    return Value(thing.bits, thing=thing)


def _roll(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    base = read(given[0]) if given else Value()
    amount = given[1] if len(given) > 1 else named.get("shifts", named.get("shift", Value()))
    bits = base.bits
    if bits & TOKEN and isinstance(amount.const, int):
        if amount.const < 0 and not bits & INPUT:
            bits |= TARGET
        elif amount.const > 0:
            bits |= PAST
    elif bits & PARAM and amount.const == 1:
        bits |= SHIFTED | PREVIOUS
    return Value(bits, loops=base.loops, trail=base.trail)


def _xor(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value | None:
    if len(given) < 2:
        return None
    op: ast.operator = ast.BitXor() if "xor" in name or "xor" in getattr(node, "_op", "xor") else ast.BitAnd()
    return interp.binary(node, op, read(given[0]), read(given[1]))


def _arithmetic(op: type[ast.operator]) -> Handler:
    def handle(
        interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str
    ) -> Value | None:
        if len(given) < 2:
            return None
        result = interp.binary(node, op(), read(given[0]), read(given[1]))
        function = getattr(node, "func", None)
        thing = given[0].thing
        in_place = isinstance(function, ast.Attribute) and function.attr.endswith("_")
        if in_place and isinstance(thing, Array) and interp.may_write(thing):
            thing.bits |= result.bits
            thing.loops |= result.loops
            return result.but(thing=thing)
        return result

    return handle


def _clamp(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    base = read(given[0]) if given else Value()
    if base.bits & TOKEN and base.bits & (VAL | INPUT | TARGET) and not base.bits & (HASHED | COUNT):
        highest = named.get("max") or (given[2] if len(given) > 2 else None)
        if highest is not None and highest.const is not None:
            return base.but(bits=base.bits | interp.emit("clamp", node, base), const=UNKNOWN, items=None, thing=None)
    return base.but(const=UNKNOWN, items=None, thing=None)


def _exp(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    """A token's log-probability that was divided over its bytes becomes a probability of each byte."""
    base = read(given[0]) if given else Value()
    bits = base.bits
    if bits & SPREAD and bits & VAL:
        bits |= interp.emit("spread", node, base)
    return base.but(bits=bits, const=UNKNOWN, items=None, thing=None, position=None)


def _logaddexp(
    interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str
) -> Value | None:
    if len(given) < 2:
        return None
    sides = [read(g) for g in given[:2]]
    mixed = interp.binary(node, ast.Add(), sides[0], sides[1])
    if any(side.bits & SPREAD and side.bits & VAL for side in sides):
        return mixed.but(bits=mixed.bits | interp.emit("spread", node, mixed))
    return mixed


def _hash(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    merged = union(given)
    bits = merged.bits
    if bits & TOKEN:
        bits |= HASHED
        parts = [item for g in given for item in (g.items or (g,))]
        if bits & TARGET and len(parts) > 1:
            bits |= HASH_TARGET
    return Value(bits, loops=merged.loops, trail=merged.trail)


def _generate(
    interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str
) -> Value | None:
    return None


def _einsum(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    merged = union(given)
    return Value(merged.bits & ~(FULL | TOKEN), loops=merged.loops, trail=merged.trail)


def _pad(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    """``F.pad(x[:, :-1], (0, 0, 1, 0))`` moves hidden states to the next position."""
    base = read(given[0]) if given else Value()
    bits = base.bits | (PREVIOUS if base.bits & SHIFTED else 0)
    return Value(bits, loops=base.loops, trail=base.trail)


def _lerp(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    parts = [read(g) for g in (*given, *named.values())]
    weight = union(parts[2:])
    mixed = interp.binary(node, ast.Add(), parts[0], parts[1]) if len(parts) > 1 else union(parts)
    return mixed.but(bits=mixed.bits | weight.bits)


def _embedding(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    merged = union(given)
    return Value(merged.bits & ~TOKEN | PARAM, loops=merged.loops, trail=merged.trail)


def _requires_grad(interp: Interpreter, given: list[Value], named: dict[str, Value], node: ast.AST, name: str) -> Value:
    base = given[0]
    wish = given[1].const if len(given) > 1 else True
    if wish is True and not base.bits & PARAM and not isinstance(base.thing, Instance) and base.const is UNKNOWN:
        if isinstance(base.thing, Array) and base.thing.depth == interp.maybe + len(interp.loops):
            base.thing.leaf = True
            base.thing.bits |= LEAF
            return read(base)
        if base.thing is None:
            return leaf(interp, base, node)
    return base


OPERATIONS: dict[str, Handler] = {
    "softmax": _softmax,
    "log_softmax": _softmax,
    "cross_entropy": _cross_entropy,
    "nll_loss": _cross_entropy,
    "fused_linear_cross_entropy": _cross_entropy,
    "gather": _gather,
    "take": _gather,
    "index_select": _gather,
    "take_along_dim": _gather,
    "take_along_axis": _gather,
    "stack": _stack,
    "cat": _stack,
    "concat": _stack,
    "concatenate": _stack,
    "vstack": _stack,
    "hstack": _stack,
    "column_stack": _stack,
    "minimum": _minimum,
    "fmin": _minimum,
    "where": _where,
    "scatter_add_": _scatter_add,
    "scatter_add": _scatter_add,
    "index_add_": _scatter_add,
    "index_put_": _scatter_add,
    "at": _add_at,
    "bincount": _bincount,
    "add_": _add_in_place,
    "sub_": _add_in_place,
    "lerp_": _add_in_place,
    "copy_": _add_in_place,
    "addcmul_": _add_in_place,
    "addcdiv_": _add_in_place,
    "mul_": _add_in_place,
    "fill_": _fill,
    "zero_": _fill,
    "arange": _arange,
    "nonzero": _nonzero,
    "flatnonzero": _nonzero,
    "fromfile": _fromfile,
    "memmap": _fromfile,
    "from_file": _fromfile,
    "frombuffer": _fromfile,
    "load": _fromfile,
    "loads": _fromfile,
    "save": _save,
    "savez": _save,
    "savez_compressed": _save,
    "dump": _save,
    "save_file": _save,
    "tofile": _save,
    "BytesIO": _buffer,
    "StringIO": _buffer,
    "roll": _roll,
    "bitwise_xor": _arithmetic(ast.BitXor),
    "bitwise_xor_": _arithmetic(ast.BitXor),
    "logical_xor": _arithmetic(ast.BitXor),
    "xor": _arithmetic(ast.BitXor),
    "bitwise_and": _arithmetic(ast.BitAnd),
    "remainder": _arithmetic(ast.Mod),
    "mod": _arithmetic(ast.Mod),
    "fmod": _arithmetic(ast.Mod),
    "add": _arithmetic(ast.Add),
    "sub": _arithmetic(ast.Sub),
    "subtract": _arithmetic(ast.Sub),
    "mul": _arithmetic(ast.Mult),
    "multiply": _arithmetic(ast.Mult),
    "div": _arithmetic(ast.Div),
    "divide": _arithmetic(ast.Div),
    "true_divide": _arithmetic(ast.Div),
    "matmul": _arithmetic(ast.MatMult),
    "logaddexp": _logaddexp,
    "exp": _exp,
    "exp2": _exp,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_": _clamp,
    "hash": _hash,
    "crc32": _hash,
    "adler32": _hash,
    "einsum": _einsum,
    "scaled_dot_product_attention": _einsum,
    "flash_attn_func": _einsum,
    "linear": _einsum,
    "embedding": _embedding,
    "pad": _pad,
    "lerp": _lerp,
    "requires_grad_": _requires_grad,
}
