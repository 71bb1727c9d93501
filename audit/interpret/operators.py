"""Arithmetic and comparisons: keys that hold the target, ratios of counts, mixtures, scaled losses."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.interpret.containers import combine_sequences
from audit.interpret.folding import fold_binary, fold_compare, fold_unary, truth
from audit.interpret.heap import Columns, External, Sequence, Template, Thing
from audit.interpret.models import is_vocabulary
from audit.interpret.texts import joined_bits, text_of
from audit.provenance import (
    ARTIFACT,
    AT_TARGET,
    BLENDED,
    BYTES,
    CLOCK,
    COLUMN,
    COMPARED,
    COUNT,
    CURRENT,
    EXPONENTIAL,
    FULL,
    HASH_CURRENT,
    HASH_READ,
    HASH_TARGET,
    HASHED,
    INPUT,
    MODEL,
    NLL,
    NOT_TARGET,
    PARAM,
    PARTITION,
    PAST,
    POSITION,
    PREVIOUS,
    RANK,
    RATIO,
    ROW_MAJOR,
    SCALED,
    SHIFTED,
    SPREAD,
    TARGET,
    TARGET_LOOKUP,
    TEXT,
    TOKEN,
    UNKNOWN,
    VAL,
    Value,
)

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def eval_binary(interp: Interpreter, node: ast.BinOp) -> Value:
    return binary(interp, node, node.op, interp.evaluate(node.left), interp.evaluate(node.right))


def binary(interp: Interpreter, node: ast.AST, op: ast.operator, left: Value, right: Value) -> Value:
    """Return ``left op right``, noting hashes, ratios and mixtures on the way."""
    if left.const is not UNKNOWN and right.const is not UNKNOWN:
        folded = fold_binary(op, left.const, right.const)
        if folded is not UNKNOWN:
            bits = left.bits | right.bits
            if isinstance(folded, str):
                bits = joined_bits(bits, folded)
            return Value(bits, folded, loops=left.loops | right.loops)
    if isinstance(op, ast.Add) and (isinstance(left.thing, Template) or isinstance(right.thing, Template)):
        texts = text_of(left), text_of(right)
        if texts[0] is not None and texts[1] is not None:
            return Value(left.bits | right.bits, thing=Template(texts[0] + texts[1]), loops=left.loops | right.loops)
    if (isinstance(left.thing, Sequence | External) and not left.bits) or isinstance(right.thing, Sequence):
        combined = combine_sequences(interp, op, left, right, node)
        if combined is not None:
            return combined
    bits = left.bits | right.bits
    position = None
    a, b = left.where(), right.where()
    if isinstance(op, ast.Add) and a is not None and b is not None:
        position = a.plus(b)
    elif isinstance(op, ast.Sub) and a is not None and b is not None:
        position = a.plus(b, -1)
    elif isinstance(op, ast.Mult) and a is not None and b is not None:
        if not a.terms:
            position = b.times(a.constant)
        elif not b.terms:
            position = a.times(b.constant)
    if bits & TOKEN:
        bits = mixed_tokens(interp, node, op, left, right, bits)
        position = None if (left.bits & TOKEN and right.bits & TOKEN) else position
    if isinstance(op, ast.Div | ast.FloorDiv):
        if left.bits & TARGET_LOOKUP and right.bits & COUNT and not left.bits & RATIO:
            bits |= RATIO | interp.emit("ratio", node, Value(bits, trail=left.trail), left=left, right=right)
        elif left.bits & right.bits & HASH_READ and not bits & (RATIO | COLUMN):
            bits |= interp.emit("quotient", node, Value(bits, trail=left.trail), left=left, right=right)
        if left.bits & NLL and left.bits & VAL and right.bits & (BYTES | TEXT):
            bits |= SPREAD
        if left.bits & SCALED and right.bits & NLL:  # `a * p / (1 - q + a * q)`: the divisor normalises
            for event in interp.timeline.events[-12:]:
                if event.kind == "scale" and event.bit & (left.bits | right.bits):
                    event.data["weighs"] = True
        fixed = right.const
        if isinstance(fixed, float) and 1.2 < fixed < 8 and fixed != int(fixed) and left.bits & NLL and left.bits & VAL:
            bits |= interp.emit("fixed", node, Value(bits, trail=left.trail), divisor=fixed)
    elif isinstance(op, ast.Pow) and left.bits & NLL and right.bits & (BYTES | TEXT) and bits & VAL:
        bits |= interp.emit("spread", node, Value(bits, trail=left.trail or right.trail))
    elif isinstance(op, ast.Add | ast.Sub):
        if (left.bits ^ right.bits) & PREVIOUS and bits & PARAM and left.bits & right.bits & POSITION:
            interp.emit("smear", node, Value(bits, trail=left.trail or right.trail))
            bits &= ~(PREVIOUS | SHIFTED)
        bits = mixed_scores(interp, node, left, right, bits)
    elif isinstance(op, ast.Mult) and bits & NLL and bits & VAL:
        for weight, chance in ((left, right), (right, left)):
            looks = weight.bits & AT_TARGET and not weight.bits & (MODEL | COMPARED)
            if looks and chance.bits & NLL and chance.bits & MODEL and not chance.bits & AT_TARGET:
                bits |= interp.emit("blend", node, Value(bits, trail=weight.trail), weight=True)
        number = left.const if left.bits == 0 else right.const
        if isinstance(number, float) and 0.5 < number < 1.5 and number != 1.0 and not bits & COUNT:
            bits |= SCALED | interp.emit("scale", node, Value(bits, trail=left.trail or right.trail), factor=number)
    elif isinstance(op, ast.MatMult):
        bits |= sum(side.thing.bits for side in (left, right) if isinstance(side.thing, Columns))
        if left.bits & right.bits & FULL and not bits & NLL:
            bits |= NOT_TARGET  # the sum of p log p as a product of matrices
        bits &= ~(FULL | TOKEN | EXPONENTIAL)
    if bits & ALONE and bits & MODEL:
        bits = scaled_distribution(op, left, right, bits)
    joined: Thing | None = left.thing if isinstance(left.thing, Columns) else None
    if isinstance(right.thing, Columns):
        if joined is not None and joined is not right.thing:
            bits |= right.thing.bits
        joined = joined or right.thing
    if isinstance(op, ast.Div) and isinstance(right.const, str):  # of a path: what comes before may be unknown
        joined = Template(f"{text_of(left) or chr(0)}/{right.const}")
    loops = left.loops | right.loops
    trail = left.trail if right.trail is None or (left.trail is not None and left.bits >= right.bits) else right.trail
    return Value(bits, UNKNOWN, joined, None, position, loops, trail)


ALONE = NOT_TARGET | PARTITION | EXPONENTIAL


def scaled_distribution(op: ast.operator, left: Value, right: Value, bits: int) -> int:
    """Follow a softmax that is written out: a distribution combined with one number a position is a distribution."""
    one_number = NOT_TARGET | PARTITION
    for one, other in ((left, right), (right, left)):
        if one.bits & one_number and not one.bits & (FULL | NLL) and is_vocabulary(other.bits):
            bits &= ~one_number
    product = isinstance(op, ast.Mult) and left.bits & right.bits & MODEL
    if product or isinstance(op, ast.Pow) or (isinstance(op, ast.Div) and right.bits & MODEL):
        bits &= ~EXPONENTIAL
    return bits


def mixed_tokens(interp: Interpreter, node: ast.AST, op: ast.operator, left: Value, right: Value, bits: int) -> int:
    """Follow token arithmetic: when does a key contain the target?"""
    both = left.bits & right.bits & TOKEN
    if isinstance(op, ast.BitXor) or (both and isinstance(op, ast.Add | ast.BitOr | ast.Mult | ast.Sub)):
        if isinstance(op, ast.BitXor) or both:
            bits |= HASHED
        if isinstance(op, ast.BitXor):
            bits = bits & ~ROW_MAJOR | key_bits(interp, left, right)
        elif isinstance(op, ast.Add | ast.BitOr):
            bits |= ROW_MAJOR
    elif isinstance(op, ast.Mod | ast.BitAnd) and bits & HASHED:
        if bits & TARGET and (bits & (INPUT | PAST | CURRENT | ROW_MAJOR) or both):
            bits |= HASH_TARGET
        elif bits & CURRENT and bits & PAST:
            bits |= HASH_CURRENT
        bits &= ~ROW_MAJOR
    return bits


def key_bits(interp: Interpreter, left: Value, right: Value) -> int:
    if not (left.bits & right.bits & (TOKEN | HASHED)):
        return 0
    bits = left.bits | right.bits
    if bits & TARGET:
        return HASH_TARGET
    for one, other in ((left, right), (right, left)):
        if one.bits & CURRENT and not one.bits & PAST and other.bits & PAST:
            return HASH_CURRENT
    return 0


def mixed_scores(interp: Interpreter, node: ast.AST, left: Value, right: Value, bits: int) -> int:
    if left.bits & (NLL | COUNT) and right.bits & (NLL | COUNT) and isinstance(node, ast.BinOp):
        for event in interp.timeline.events[-6:]:  # `0.6 * p + 0.4 * q` weighs, it does not scale
            if event.kind == "scale" and event.node in (node.left, node.right):
                event.data["weighs"] = True
    for one, other in ((left, right), (right, left)):
        if one.bits & (RATIO | TARGET_LOOKUP) and other.bits & NLL and other.bits & MODEL:
            if not other.bits & (BLENDED | RATIO) or not one.bits & BLENDED:
                bits |= BLENDED | interp.emit("blend", node, Value(bits, trail=one.trail or other.trail))
            break
        if chance_without_column(one.bits) and other.bits & NLL and other.bits & MODEL and other.bits & VAL:
            bits |= BLENDED | interp.emit("blend", node, Value(bits, trail=one.trail or other.trail))
            tell_lookups(interp, one.bits)
            break
        if (
            one.bits & NOT_TARGET
            and not one.bits & (TARGET | NLL | FULL | COMPARED)
            and other.bits & NLL
            and other.bits & VAL
            and not other.bits & NOT_TARGET
        ):
            bits |= interp.emit("bias", node, Value(bits, trail=one.trail))
            break
    return bits


def chance_without_column(bits: int) -> bool:
    """Say whether counts read under hashes, out of which no token's column was picked, are taken for a chance.

    Added to the model's chance of the target, they must be the target's too: then the target is inside the hash,
    though the indices did not tell which of its tokens is the target.
    """
    return bool(bits & HASH_READ) and not bits & (COLUMN | AT_TARGET | TARGET | NLL | RATIO | TARGET_LOOKUP)


def tell_lookups(interp: Interpreter, bits: int) -> None:
    """Note that quotients of counts were chances of the target: a ratio each, the upper count keyed by the target."""
    if interp.silent:
        return
    for event in list(interp.timeline.events):
        if event.kind != "quotient" or not event.bit & bits:
            continue
        event.kind = "ratio"
        above, below = (getattr(event.data[side], "bits", 0) for side in ("left", "right"))
        for read in list(interp.timeline.events):
            if read.kind == "read" and read.data.get("hashed") and read.bit & above & ~below:
                interp.timeline.events.append(replace(read, kind="lookup", data={**read.data, "target": True}))


def eval_unary(interp: Interpreter, node: ast.UnaryOp) -> Value:
    value = interp.evaluate(node.operand)
    if value.const is not UNKNOWN:
        folded = fold_unary(node.op, value.const)
        if folded is not UNKNOWN:
            return Value(value.bits, folded)
    if isinstance(node.op, ast.Not):
        known = truth(value)
        return Value(value.bits, UNKNOWN if known is None else not known, loops=value.loops)
    position = value.position.times(-1) if value.position is not None and isinstance(node.op, ast.USub) else None
    thing = value.thing if isinstance(value.thing, Columns) else None
    return Value(value.bits, UNKNOWN, thing, None, position, value.loops, value.trail)


def eval_compare(interp: Interpreter, node: ast.Compare) -> Value:
    left = interp.evaluate(node.left)
    rights = [interp.evaluate(c) for c in node.comparators]
    if len(rights) == 1:
        folded = fold_compare(node.ops[0], left, rights[0])
        if folded is not UNKNOWN:
            return Value(const=folded)
    bits, loops = left.bits, left.loops
    for right in rights:
        bits |= right.bits
        loops |= right.loops
    if len(rights) == 1 and isinstance(node.ops[0], ast.Is | ast.IsNot) and rights[0].const is None:
        return Value(bits & RANK | COMPARED, loops=loops)  # whether there is a thing says nothing of what it holds
    if bits & CLOCK:
        limit = next((v.const for v in (*rights, left) if isinstance(v.const, int | float)), None)
        interp.emit("deadline", node, Value(bits), limit=limit)
    trail = left.trail or (rights[0].trail if rights else None)
    if len(rights) == 1:
        bits |= match_of_stored(interp, node, left, rights[0])
    return Value((bits | COMPARED) & ~FULL, UNKNOWN, None, None, None, loops, trail)


def match_of_stored(interp: Interpreter, node: ast.Compare, left: Value, right: Value) -> int:
    """Comparing targets with tokens from a file of the submission's own: a stored copy of the text."""
    if not isinstance(node.ops[0], ast.Eq | ast.NotEq):
        return 0
    for one, other in ((left, right), (right, left)):
        truth_side = one.bits & TARGET and one.bits & VAL and one.bits & TOKEN
        if truth_side and other.bits & ARTIFACT and not other.bits & (VAL | MODEL | PARAM):
            return interp.emit("match", node, Value(one.bits | other.bits, trail=other.trail or one.trail))
    return 0
