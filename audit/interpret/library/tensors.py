"""Tensors made, viewed and reduced: what of their provenance survives."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import element_of, known_items, union
from audit.interpret.folding import call_pure
from audit.interpret.heap import Array, Sequence, seen
from audit.interpret.library.invocation import Invocation
from audit.interpret.models import inside_model, is_vocabulary
from audit.provenance import (
    BYTES,
    CHOSEN,
    EVENTS,
    EXPONENTIAL,
    FULL,
    GENERATED,
    LEAF,
    MODEL,
    NLL,
    NOT_TARGET,
    PARAM,
    PARTITION,
    RANK,
    TARGET,
    TEXT,
    TOKEN,
    UNKNOWN,
    VAL,
    Value,
)
from audit.words import words

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter

VIEWS = words(
    """
    reshape view view_as to float long int cpu cuda numpy detach contiguous squeeze unsqueeze
    flatten astype expand expand_as transpose permute t type half bfloat16 double ravel as_tensor
    from_numpy asarray requires_grad pin_memory byte bool short broadcast_to narrow swapaxes
    moveaxis atleast_1d ascontiguousarray to_dense share_memory_ movedim type_as int32 int64 uint64
    float32 float64 uint32 uint16 int16 uint8 int8 array tensor repeat_interleave tile item tolist
    clone copy __enter__ detach_ cast unflatten rearrange
    data_as
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
OF_LOGITS = words("logsumexp max amax")  # what is taken off logits
REDUCTIONS = words(
    """
    sum mean max min amax amin logsumexp std var median norm prod argmax argmin topk all any
    """
)


def of_tensors(interp: Interpreter, call: Invocation) -> Value | None:
    """Return what a view, a size, an allocation, a random draw or a reduction gives; None for any other name."""
    name = call.name
    if name in VIEWS and call.given:
        return view(interp, call)
    if name in SIZES and call.given:
        return Value(call.given[0].bits & RANK, loops=call.given[0].loops)
    if name == "len" and call.given:
        if call.given[0].bits & interp.source_bits:
            interp.emit("sized", call.node, call.given[0])
        return Value(call.given[0].bits & (RANK | TEXT | BYTES), loops=call.given[0].loops)
    if name in ALLOCATIONS:
        return allocate(interp, call)
    if name in RANDOM:
        return draw(interp, call)
    if name in REDUCTIONS and call.given:
        return reduction(interp, call)
    return None


def view(interp: Interpreter, call: Invocation) -> Value:
    base = seen(call.given[0])
    if call.name in ("int", "float", "bool") and base.const is not UNKNOWN:
        folded = call_pure(call.name, [base.const])
        if folded is not UNKNOWN:
            return Value(base.bits, folded)
    if wants_gradient(call.named):
        return fresh_leaf(interp, base, call.node)
    if isinstance(base.thing, Sequence) and call.name in ("array", "tensor", "as_tensor", "asarray"):
        items = known_items(base)
        bits, loops, position, trail = base.bits, base.loops, base.position, base.trail
        for item in items if items is not None else ([base.thing.element] if base.thing.element else []):
            item = seen(item)
            bits |= item.bits
            loops |= item.loops
            position = position or item.position
            trail = trail or item.trail
        return Value(bits, UNKNOWN, None, None, position, loops, trail)
    if call.name in COPIES and isinstance(base.thing, Array):
        if call.name in ("clone", "copy") and (base.thing.counted or base.thing.leaf):
            return base
        return base.but(thing=None, items=None)
    if base.items is not None and call.name in ("to", "cpu", "cuda"):
        return base
    const = (
        base.const
        if call.name in ("item", "int", "float", "int64", "uint64", "int32", "tensor")
        and isinstance(base.const, int | float)
        else UNKNOWN
    )
    return base.but(const=const, items=None)


def wants_gradient(named: dict[str, Value]) -> bool:
    wish = named.get("requires_grad")
    return wish is not None and wish.const is True


def fresh_leaf(interp: Interpreter, base: Value, node: ast.AST) -> Value:
    """A fresh tensor that wants a gradient."""
    thing = Array(node)
    interp.made(thing, node)
    thing.leaf = True
    bits = LEAF | (base.bits & (EVENTS | VAL))
    thing.bits = bits
    return Value(bits, thing=thing, loops=base.loops)


def allocate(interp: Interpreter, call: Invocation) -> Value:
    if wants_gradient(call.named) and not inside_model(interp):
        return fresh_leaf(interp, Value(), call.node)
    thing = Array(call.node)
    interp.made(thing, call.node)
    loops = 0
    for value in call.given:
        loops |= value.loops
    filler = call.given[-1] if call.name in ("full", "full_like", "new_full") and len(call.given) > 1 else None
    bits = filler.bits & ~TOKEN if filler is not None else 0
    if inside_model(interp):
        bits |= PARAM if call.name in ("zeros", "ones", "empty") and interp.frame.name.endswith("__init__") else 0
    return Value(bits, thing=thing)


def draw(interp: Interpreter, call: Invocation) -> Value:
    bits = GENERATED
    if call.name == "multinomial":  # sampled from a model's own distribution
        bits |= TOKEN
    if call.name in ("randint", "integers"):
        bits |= TOKEN
    if wants_gradient(call.named) and not inside_model(interp):
        return fresh_leaf(interp, Value(), call.node)
    position = None if bits & TOKEN else interp.atom("random", call.node)
    return Value(bits, position=position)


def reduction(interp: Interpreter, call: Invocation) -> Value:
    base = seen(call.given[0])
    if call.full_name.startswith("builtins.") and call.name in ("min", "max", "sum"):
        if len(call.given) > 1:
            return several(interp, call)
        items = known_items(base)
        if items is None and base.thing is not None and isinstance(base.thing, Sequence):
            items = (element_of(interp, base, call.node),)
        if items is not None:
            base = union(list(items)) if items else Value(const=0)
        if call.name == "min" and base.bits & NLL and base.bits & VAL:
            return base.but(bits=base.bits | CHOSEN | interp.emit("choose", call.node, base, how="min"), const=UNKNOWN)
        return base.but(const=UNKNOWN if items else base.const, position=None, items=None)
    bits = base.bits
    if isinstance(base.thing, Sequence):
        bits = union([base]).bits
    if (
        call.name in ("min", "amin")
        and bits & NLL
        and bits & VAL
        and (len(call.given) > 1 or "dim" in call.named or "axis" in call.named)
    ):
        bits |= CHOSEN | interp.emit("choose", call.node, base, how="min over stacked")
    given = bool(call.given[1:] or call.named)
    if bits & FULL:
        if (not given and call.name in ("sum", "mean")) or last_dimension(call.given, call.named):
            bits &= ~FULL
        if not bits & FULL and not bits & (NLL | TARGET):
            divides = call.name == "logsumexp" or (call.name == "sum" and bits & EXPONENTIAL)
            bits |= PARTITION if divides else NOT_TARGET
    elif given and call.name in OF_LOGITS and bits & MODEL and is_vocabulary(bits) and not bits & TOKEN:
        bits |= PARTITION if last_dimension(call.given, call.named) else 0
    if not bits & FULL:
        bits &= ~EXPONENTIAL
    if (call.name in ("max", "min", "topk", "sort") and len(call.given) > 1) or (
        "dim" in call.named and call.name in ("max", "min", "median")
    ):
        part = Value(bits, loops=base.loops, trail=base.trail)
        if call.name != "max" or not base.bits & TOKEN:
            return (
                Value(bits, items=None, loops=base.loops, trail=base.trail, thing=None) if call.name == "topk" else part
            )
    if call.name in ("argmax", "argmin"):
        bits = bits & ~(NLL | FULL) | (TOKEN | GENERATED if bits & MODEL and not bits & VAL else 0)
    return Value(bits, loops=base.loops, trail=base.trail)


def last_dimension(given: list[Value], named: dict[str, Value]) -> bool:
    """Say whether a reduction runs over the vocabulary, which is the last dimension."""
    dimension = named.get("dim") or named.get("axis") or (given[1] if len(given) > 1 else None)
    if dimension is None:
        return True
    return dimension.const in (-1, 1, 2, UNKNOWN) or dimension.const is UNKNOWN


def several(interp: Interpreter, call: Invocation) -> Value:
    """``min(a, b)`` of Python."""
    if all(g.const is not UNKNOWN for g in call.given):
        folded = call_pure(call.name, [g.const for g in call.given])
        if folded is not UNKNOWN:
            return Value(const=folded)
    merged = union(call.given)
    if call.name == "min" and sum(bool(g.bits & NLL and g.bits & VAL) for g in call.given) > 1:
        bit = interp.emit("choose", call.node, merged, how="min")
        return merged.but(bits=merged.bits | CHOSEN | bit)
    if call.name == "min" and len(call.given) == 2:  # min(start + n, total): where it is but for the last round
        running = 0
        for loop in interp.loops:
            running |= loop.bit
        moving = [g for g in call.given if g.loops & running and g.position is not None]
        position = moving[0].position if len(moving) == 1 and not merged.bits & TOKEN else None
        return Value(merged.bits, position=position, loops=merged.loops, trail=merged.trail)
    if call.name == "max" and len(call.given) == 2 and any(g.const == 0 for g in call.given):  # max(x - n, 0)
        other = next(g for g in call.given if g.const != 0) if any(g.const != 0 for g in call.given) else call.given[0]
        return Value(merged.bits, position=None, loops=other.loops, trail=merged.trail)
    return merged
