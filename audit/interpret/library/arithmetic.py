"""Arithmetic on tensors, in place or not, and operations that move or mix their elements."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import union
from audit.interpret.heap import Array, Instance, seen
from audit.interpret.library.invocation import Handler, Invocation
from audit.interpret.library.tensors import fresh_leaf
from audit.interpret.library.training import step_if_gradient
from audit.interpret.models import parameters_of
from audit.interpret.operators import binary
from audit.interpret.scoring import score_if_nll
from audit.provenance import (
    COMPARED,
    COUNT,
    EVENTS,
    EXPONENTIAL,
    FULL,
    HASH_TARGET,
    HASHED,
    INPUT,
    LEAF,
    MODEL,
    NLL,
    NOT_TARGET,
    PARAM,
    PAST,
    PREVIOUS,
    RANK,
    RUNNING,
    SHIFTED,
    TARGET,
    TOKEN,
    UNKNOWN,
    VAL,
    Value,
)

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def _add_in_place(interp: Interpreter, call: Invocation) -> Value:
    """``a.add_(b)``, ``a.sub_(b)``, ``a.lerp_(b)``, ``a.copy_(b)``: what ``b`` is made of goes into ``a``."""
    base, others = call.given[0], [*call.given[1:], *call.named.values()]
    right = union(others)
    thing = base.thing
    bits = right.bits
    if call.name in ("mul_", "div_") and base.bits & EXPONENTIAL and bits & MODEL:
        base = base.but(bits=base.bits & ~EXPONENTIAL)  # a sum over it is no partition function any more
    if bits & NLL and bits & VAL:
        bits |= score_if_nll(interp, call.node, right)
    step_if_gradient(interp, call.node, base, right)
    if interp.guard_choice:
        bits |= interp.guard_choice
    if isinstance(thing, Array) and interp.may_write(thing):
        thing.bits |= bits & ~COMPARED
        thing.loops |= right.loops
        interp.carriers[id(thing)] = thing
        thing.trail = thing.trail or right.trail
        if any(o.thing is not None and isinstance(o.thing, Array) and o.thing.counted for o in others):
            thing.counted = True
    elif base.bits & PARAM:
        models, _ = parameters_of(base)
        for model in models:
            if interp.may_write(model):
                model.root().weights |= bits & EVENTS
    return base.but(bits=base.bits | bits, trail=base.trail or right.trail)


def _fill(interp: Interpreter, call: Invocation) -> Value:
    thing = call.given[0].thing
    if isinstance(thing, Array) and not interp.maybe and not thing.counted and interp.may_write(thing):
        thing.bits &= LEAF | PARAM | EVENTS
    return call.given[0]


def _arange(interp: Interpreter, call: Invocation) -> Value:
    start = call.given[0] if len(call.given) > 1 else Value(const=0)
    at = start.where()
    loops = union(call.given).loops
    bits = union(call.given).bits & RANK
    return Value(bits, position=at if at is not None else interp.atom("arange", call.node), loops=loops)


def _nonzero(interp: Interpreter, call: Invocation) -> Value:
    return Value(0, position=interp.atom("nonzero", call.node), loops=union(call.given).loops)


def _roll(interp: Interpreter, call: Invocation) -> Value:
    base = seen(call.given[0]) if call.given else Value()
    amount = call.given[1] if len(call.given) > 1 else call.named.get("shifts", call.named.get("shift", Value()))
    bits = base.bits
    if bits & TOKEN and isinstance(amount.const, int):
        if amount.const < 0 and not bits & INPUT:
            bits |= TARGET
        elif amount.const > 0:
            bits |= PAST
    elif bits & PARAM and amount.const == 1:
        bits |= SHIFTED | PREVIOUS
    return Value(bits, loops=base.loops, trail=base.trail)


def _arithmetic(op: type[ast.operator]) -> Handler:
    def handle(interp: Interpreter, call: Invocation) -> Value | None:
        if len(call.given) < 2:
            return None
        result = binary(interp, call.node, op(), seen(call.given[0]), seen(call.given[1]))
        function = getattr(call.node, "func", None)
        thing = call.given[0].thing
        in_place = isinstance(function, ast.Attribute) and function.attr.endswith("_")
        if in_place and isinstance(thing, Array) and interp.may_write(thing):
            thing.bits |= result.bits
            thing.loops |= result.loops
            return result.but(thing=thing)
        return result

    return handle


def _clamp(interp: Interpreter, call: Invocation) -> Value:
    base = seen(call.given[0]) if call.given else Value()
    if base.bits & TOKEN and base.bits & (VAL | INPUT | TARGET) and not base.bits & (HASHED | COUNT):
        highest = call.named.get("max") or (call.given[2] if len(call.given) > 2 else None)
        if highest is not None and highest.const is not None:
            return base.but(
                bits=base.bits | interp.emit("clamp", call.node, base), const=UNKNOWN, items=None, thing=None
            )
    return base.but(const=UNKNOWN, items=None, thing=None)


def _hash(interp: Interpreter, call: Invocation) -> Value:
    merged = union(call.given)
    bits = merged.bits
    if bits & TOKEN:
        bits |= HASHED
        parts = [item for g in call.given for item in (g.items or (g,))]
        if bits & TARGET and len(parts) > 1:
            bits |= HASH_TARGET
    return Value(bits, loops=merged.loops, trail=merged.trail)


def _einsum(interp: Interpreter, call: Invocation) -> Value:
    merged = union(call.given)
    bits = merged.bits & ~(FULL | TOKEN | EXPONENTIAL)
    if sum(bool(g.bits & FULL) for g in call.given) > 1 and not bits & NLL:
        bits |= NOT_TARGET  # the sum of p log p
    return Value(bits, loops=merged.loops, trail=merged.trail)


def _pad(interp: Interpreter, call: Invocation) -> Value:
    """``F.pad(x[:, :-1], (0, 0, 1, 0))`` moves hidden states to the next position."""
    base = seen(call.given[0]) if call.given else Value()
    bits = base.bits | (PREVIOUS if base.bits & SHIFTED else 0)
    return Value(bits, loops=base.loops, trail=base.trail)


def _lerp(interp: Interpreter, call: Invocation) -> Value:
    parts = [seen(g) for g in (*call.given, *call.named.values())]
    weight = union(parts[2:])
    mixed = binary(interp, call.node, ast.Add(), parts[0], parts[1]) if len(parts) > 1 else union(parts)
    return mixed.but(bits=mixed.bits | weight.bits)


def _running(interp: Interpreter, call: Invocation) -> Value:
    base = seen(call.given[0]) if call.given else Value()
    return Value(base.bits | RUNNING, loops=base.loops, trail=base.trail)


def _embedding(interp: Interpreter, call: Invocation) -> Value:
    merged = union(call.given)
    return Value(merged.bits & ~TOKEN | PARAM, loops=merged.loops, trail=merged.trail)


def _requires_grad(interp: Interpreter, call: Invocation) -> Value:
    base = call.given[0]
    wish = call.given[1].const if len(call.given) > 1 else True
    if wish is True and not base.bits & PARAM and not isinstance(base.thing, Instance) and base.const is UNKNOWN:
        if isinstance(base.thing, Array) and base.thing.depth == interp.maybe + len(interp.loops):
            base.thing.leaf = True
            base.thing.bits |= LEAF
            return seen(base)
        if base.thing is None:
            return fresh_leaf(interp, base, call.node)
    return base


OPERATIONS: dict[str, Handler] = {
    "add_": _add_in_place,
    "sub_": _add_in_place,
    "cumsum": _running,
    "cumprod": _running,
    "logcumsumexp": _running,
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
