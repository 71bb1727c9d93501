"""Distributions and losses: softmax, cross entropy, picking at the target, choosing and mixing."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import known_items, union
from audit.interpret.heap import Array, Columns, Sequence, seen
from audit.interpret.library.indexing import column, gathered
from audit.interpret.library.invocation import Handler, Invocation
from audit.interpret.library.tables import table_read
from audit.interpret.models import is_vocabulary, looks_at_no_target
from audit.interpret.operators import binary
from audit.provenance import (
    BLENDED,
    CHOSEN,
    COMPARED,
    COUNT,
    CURRENT,
    EXPONENTIAL,
    FULL,
    INPUT,
    KEY,
    MIXED_IN,
    MODEL,
    NLL,
    NOT_TARGET,
    PARAM,
    PARTITION,
    PAST,
    PREVIOUS,
    RANK,
    RATIO,
    SHIFTED,
    SPREAD,
    TARGET,
    TARGET_LOOKUP,
    TOKEN,
    UNKNOWN,
    VAL,
    Value,
    join,
)

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def _softmax(interp: Interpreter, call: Invocation) -> Value:
    base = seen(call.given[0]) if call.given else Value()
    bits = base.bits & ~TOKEN
    if bits & MODEL or not bits & PARAM:
        bits |= FULL
    return Value(bits, loops=base.loops, trail=base.trail)


def _cross_entropy(interp: Interpreter, call: Invocation) -> Value:
    logits = seen(call.given[0]) if call.given else call.named.get("input", Value())
    target = seen(call.given[1]) if len(call.given) > 1 else call.named.get("target", Value())
    if target.bits & FULL and not target.bits & TOKEN:  # against a distribution of its own: no token is looked at
        return Value(logits.bits & ~FULL | NOT_TARGET, loops=logits.loops, trail=logits.trail)
    bits = (logits.bits | target.bits) & ~(FULL | TOKEN | CURRENT | PAST | INPUT) | NLL | TARGET | MODEL
    loops = logits.loops | target.loops
    noted = Value(bits, loops=loops, trail=target.trail or logits.trail)
    return noted.but(bits=bits | interp.emit("nll", call.node, noted, logits=logits, target=target))


def _entropy(interp: Interpreter, call: Invocation) -> Value | None:
    """``Categorical(logits=x).entropy()``: a number of the whole distribution."""
    base = seen(call.given[0]) if call.given else Value()
    if not is_vocabulary(base.bits):
        return None
    return Value(base.bits & ~(FULL | EXPONENTIAL) | NOT_TARGET, loops=base.loops, trail=base.trail)


def _gather(interp: Interpreter, call: Invocation) -> Value | None:
    if not call.given:
        return None
    base = seen(call.given[0])
    keys = [seen(v) for v in (*call.given[1:], *call.named.values()) if v.bits & (TOKEN | KEY)]
    if not keys:
        return union([base]).but(loops=base.loops | union(call.given).loops)
    key = keys[0]
    thing = base.thing
    if (
        base.bits & COUNT
        or (isinstance(thing, Array) and thing.counted)
        or (key.bits & KEY and not base.bits & (PARAM | MODEL | FULL))
    ):
        return table_read(interp, base, key, call.node)
    if base.bits & TOKEN and not base.bits & (FULL | MODEL):
        return None
    result = gathered(base, key)
    if result.bits & NLL and not base.bits & NLL:
        result = result.but(bits=result.bits | interp.emit("nll", call.node, result, logits=base, target=key))
    return result


def _stack(interp: Interpreter, call: Invocation) -> Value:
    base = call.given[0] if call.given else next(iter(call.named.values()), Value())
    if base.bits & TOKEN and not isinstance(base.thing, Sequence):
        return base
    items = known_items(base)
    members = (
        list(items) if items is not None else (list(base.thing.members) if isinstance(base.thing, Sequence) else [])
    )
    members = [seen(m) for m in members]
    merged = union([base, *members])
    bits = merged.bits
    if any(m.bits & SHIFTED for m in members) and len(members) == 2:
        bits |= PREVIOUS
    same = members[0].thing if members else None
    if isinstance(same, Columns) and all(m.thing is same for m in members):  # rows of one stack, batch by batch
        return Value(bits & ~same.bits, thing=same, loops=merged.loops, trail=merged.trail)
    scored = any(m.bits & NLL and m.bits & TARGET for m in members)
    alone = 0
    for member in members:
        if scored and looks_at_no_target(member.bits):
            alone |= MIXED_IN | interp.emit("expert", call.node, member)
    neural = any(m.bits & NLL and m.bits & MODEL and not m.bits & (RATIO | TARGET_LOOKUP) for m in members)
    if neural and any(m.bits & (RATIO | TARGET_LOOKUP) and not m.bits & BLENDED for m in members):
        bits |= BLENDED | interp.emit("blend", call.node, merged)
    position = next((m.position for m in members if m.position is not None), None)
    if len({m.position.constant for m in members if m.position is not None}) > 1:
        position = None
    thing = None
    if alone:
        thing = Columns(members, alone)
        interp.made(thing, call.node)
        interp.stacks = True
    return Value(bits, thing=thing, position=position, loops=merged.loops, trail=merged.trail)


def _unbind(interp: Interpreter, call: Invocation) -> Value | None:
    base = call.given[0] if call.given else Value()
    return Value(items=tuple(base.thing.members)) if isinstance(base.thing, Columns) else None


def _pieces(interp: Interpreter, call: Invocation) -> Value | None:
    """``total.split(size)``: views of the same memory, a piece at a time."""
    base = call.given[0] if call.given else Value()
    return base.but(items=None) if isinstance(base.thing, Array) else None


def _select(interp: Interpreter, call: Invocation) -> Value | None:
    """``rows.select(1, 0)``."""
    base = call.given[0] if call.given else Value()
    at = call.given[2].const if len(call.given) > 2 else None
    return column(base, base.thing, at) if isinstance(base.thing, Columns) and type(at) is int else None


def _share(interp: Interpreter, call: Invocation) -> Value:
    """What lies between 0 and 1 is how much an expert counts, and no longer a loss."""
    base = seen(call.given[0]) if call.given else Value()
    bits = base.bits if base.bits & FULL else base.bits & ~(NOT_TARGET | PARTITION)
    return Value(bits, loops=base.loops, trail=base.trail)


def _minimum(interp: Interpreter, call: Invocation) -> Value:
    merged = union(call.given)
    both = call.given[0].bits & call.given[1].bits if len(call.given) > 1 else 0
    if both & NLL and merged.bits & VAL and merged.bits & TARGET:
        return merged.but(bits=merged.bits | CHOSEN | interp.emit("choose", call.node, merged, how="minimum"))
    if len(call.given) > 1 and call.given[0].bits & NLL and call.given[1].const is UNKNOWN and call.given[0].bits & VAL:
        inside = seen(call.given[1])
        if inside.thing is not None and not inside.bits & NLL:  # the best so far, filled in an earlier round
            return merged
    position = call.given[0].position if len(call.given) > 1 and call.given[1].const is not UNKNOWN else None
    return merged.but(position=position)


def _where(interp: Interpreter, call: Invocation) -> Value | None:
    if len(call.given) == 1:
        return Value(
            call.given[0].bits & RANK, items=None, position=interp.atom("where", call.node), loops=call.given[0].loops
        )
    if len(call.given) == 3:
        test, a, b = (seen(g) for g in call.given)
        if call.full_name.startswith("."):
            test, a, b = b, a, test
        joined = join(a, b).but(bits=a.bits | b.bits, const=UNKNOWN)
        if test.bits & COMPARED and test.bits & NLL and a.bits & b.bits & NLL and test.bits & VAL:
            joined = joined.but(bits=joined.bits | CHOSEN | interp.emit("choose", call.node, test, how="where"))
        return joined.but(loops=joined.loops | test.loops)
    return None


def _exp(interp: Interpreter, call: Invocation) -> Value:
    """Exponentials of logits; a token's log-probability divided over its bytes becomes a probability of each byte."""
    base = seen(call.given[0]) if call.given else Value()
    bits = base.bits
    if bits & SPREAD and bits & VAL:
        bits |= interp.emit("spread", call.node, base)
    if bits & (FULL | MODEL) and not bits & (NLL | COUNT | TOKEN) and is_vocabulary(bits):
        bits |= FULL | EXPONENTIAL
    thing = base.thing if isinstance(base.thing, Columns) else None
    return base.but(bits=bits, const=UNKNOWN, items=None, thing=thing, position=None)


def _logaddexp(interp: Interpreter, call: Invocation) -> Value | None:
    if len(call.given) < 2:
        return None
    sides = [seen(g) for g in call.given[:2]]
    mixed = binary(interp, call.node, ast.Add(), sides[0], sides[1])
    if any(side.bits & SPREAD and side.bits & VAL for side in sides):
        return mixed.but(bits=mixed.bits | interp.emit("spread", call.node, mixed))
    return mixed


OPERATIONS: dict[str, Handler] = {
    "softmax": _softmax,
    "log_softmax": _softmax,
    "cross_entropy": _cross_entropy,
    "nll_loss": _cross_entropy,
    "fused_linear_cross_entropy": _cross_entropy,
    "entropy": _entropy,
    "gather": _gather,
    "log_prob": _gather,
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
    "split": _pieces,
    "array_split": _pieces,
    "tensor_split": _pieces,
    "chunk": _pieces,
    "unbind": _unbind,
    "unstack": _unbind,
    "select": _select,
    "sigmoid": _share,
    "logsigmoid": _share,
    "expit": _share,
    "minimum": _minimum,
    "fmin": _minimum,
    "where": _where,
    "logaddexp": _logaddexp,
    "exp": _exp,
    "exp2": _exp,
    "exp_": _exp,
}
