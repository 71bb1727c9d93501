"""What an abstract value is: the data it is made of, the constant or position it stands for, the way it came."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.interpret.heap import Thing

# Provenance is a set of bits: joining two values is one machine operation. Bits from FIRST_EVENT on are given out
# by the interpreter, one an event (a score, an update, a lookup), so that a value knows which events it rests on.
VAL = 1 << 0  # validation tokens
TRAIN = 1 << 1  # training tokens
TOKEN = 1 << 2  # token ids themselves, or integers computed from them
TARGET = 1 << 3  # the token at the scored position
INPUT = 1 << 4  # the token the model sees at the scored position, or one before it
PAST = 1 << 5  # tokens at strictly earlier offsets than the index they are read at
CURRENT = 1 << 6  # the token at the very index: target or input, alignment decides
PARAM = 1 << 7  # weights of a model
MODEL = 1 << 8  # what a model put out
FULL = 1 << 9  # a distribution over the vocabulary, one value a token id
NLL = 1 << 10  # loss or log-probability at the target
COUNT = 1 << 11  # read from a count table
HASH_TARGET = 1 << 12  # a key into which the target was mixed by arithmetic
HASH_CURRENT = 1 << 13  # the same with a CURRENT token after PAST ones
TARGET_LOOKUP = 1 << 14  # read from a count table under such a key
RATIO = 1 << 15  # quotient of two table reads of which one was under such a key
RANK = 1 << 16  # depends on which process this is
GENERATED = 1 << 17  # drawn by the program itself: random, or sampled from its own model
LEAF = 1 << 18  # a fresh tensor that wants a gradient, outside any module
NOT_TARGET = 1 << 19  # model output reduced over the vocabulary without looking at the target
CLOCK = 1 << 20  # wall-clock time
BYTES = 1 << 21  # byte lengths of tokens
COMPARED = 1 << 22  # outcome of a comparison
GRADIENT = 1 << 24
ARTIFACT = 1 << 25  # read back from a file
MIXED_IN = 1 << 26  # a mixture that has a target-independent expert
BLENDED = 1 << 27  # a mixture evaluated at the target only, one side of it a table ratio
SCALED = 1 << 28  # an NLL scaled or shifted after it was taken
SPREAD = 1 << 29  # a token's log-probability divided over its bytes
CHOSEN = 1 << 30  # picked among scorers by the loss at the target
SHIFTED = 1 << 31  # hidden states moved by one position
TEXT = 1 << 32  # pieces of the tokenizer
HASHED = 1 << 33  # token arithmetic of a hash
PREVIOUS = 1 << 34  # hidden states of the position before
CLASS = 1 << 35  # what class the token being scored is of: its piece, or a table of pieces read at it
AT_TARGET = 1 << 36  # a count that was read at the token being scored
RUNNING = 1 << 37  # a sum over all positions so far, made in this module: shifted, it is a state and no smear
PARTITION = 1 << 38  # what a softmax divides by, its logarithm, or the maximum taken off the logits before
EXPONENTIAL = 1 << 39  # exponentials of logits, not yet multiplied with anything: their sum is a partition function
HASH_READ = 1 << 40  # a count read under a hash of tokens
COLUMN = 1 << 41  # a count picked out of a row by a token itself
ROW_MAJOR = 1 << 42  # `row * width + column` of tokens, as long as nothing folds it
FIRST_EVENT = 48

STATIC = (1 << FIRST_EVENT) - 1
EVENTS = ~STATIC
POSITION = TARGET | INPUT | PAST | CURRENT
KEY = HASH_TARGET | HASH_CURRENT

UNKNOWN: Any = type("Unknown", (), {"__repr__": lambda self: "?"})()


@dataclass(frozen=True, slots=True)
class Linear:
    """A position as ``sum(coefficient * atom) + constant``; atoms are loop variables and other unknown integers."""

    terms: tuple[tuple[int, int], ...] = ()
    constant: int = 0

    def plus(self, other: Linear, sign: int = 1) -> Linear:
        """Return ``self + sign * other``."""
        if not other.terms:
            return Linear(self.terms, self.constant + sign * other.constant)
        sums = dict(self.terms)
        for atom, coefficient in other.terms:
            sums[atom] = sums.get(atom, 0) + sign * coefficient
        return Linear(tuple(sorted((a, c) for a, c in sums.items() if c)), self.constant + sign * other.constant)

    def times(self, factor: int) -> Linear:
        """Return ``factor * self``."""
        return Linear(tuple((a, c * factor) for a, c in self.terms) if factor else (), self.constant * factor)


ZERO = Linear()


class Trail:
    """One step on a value's way, linked to the step before; at most ``LIMIT`` are kept."""

    __slots__ = ("before", "file", "length", "node")
    LIMIT = 14

    def __init__(self, file: str, node: ast.AST, before: Trail | None) -> None:
        self.file, self.node = file, node
        self.before: Trail | None = before if before is None or before.length < self.LIMIT else before.before
        self.length: int = 1 if self.before is None else self.before.length + 1

    def steps(self) -> list[Trail]:
        """Return the steps, the source first."""
        found: list[Trail] = []
        step: Trail | None = self
        while step is not None:
            found.append(step)
            step = step.before
        return found[::-1]


_SAME = object()


class Value:
    """An abstract value. Treated as immutable once made.

    ``bits`` what it is made of; ``loops`` the loops whose variable it depends on, as bits; ``const`` the Python
    constant it folds to, or UNKNOWN; ``position`` its index or, for tokens, the index of its first element;
    ``thing`` the object it refers to; ``items`` the elements of a tuple whose length is known.
    """

    __slots__ = ("bits", "const", "items", "loops", "position", "thing", "trail")

    def __init__(
        self,
        bits: int = 0,
        const: Any = UNKNOWN,
        thing: Thing | None = None,
        items: tuple[Value, ...] | None = None,
        position: Linear | None = None,
        loops: int = 0,
        trail: Trail | None = None,
    ) -> None:
        # One statement each: an audit makes ten thousands of values, and unpacking a tuple takes longer.
        self.bits = bits
        self.const = const
        self.thing = thing
        self.items = items
        self.position = position
        self.loops = loops
        self.trail = trail

    def but(
        self,
        *,
        bits: int | None = None,
        const: Any = _SAME,
        thing: Any = _SAME,
        items: Any = _SAME,
        position: Any = _SAME,
        loops: int | None = None,
        trail: Any = _SAME,
    ) -> Value:
        """Return a copy with some fields changed."""
        return Value(
            self.bits if bits is None else bits,
            self.const if const is _SAME else const,
            self.thing if thing is _SAME else thing,
            self.items if items is _SAME else items,
            self.position if position is _SAME else position,
            self.loops if loops is None else loops,
            self.trail if trail is _SAME else trail,
        )

    def where(self) -> Linear | None:
        """Return the position, that of an integer constant included."""
        if self.position is not None:
            return self.position
        if type(self.const) is int:
            return Linear((), self.const)
        return None


NOTHING = Value(const=None)


def same_constant(a: Any, b: Any) -> bool:
    """Say whether two constants are one; True and 1 are not."""
    if a is UNKNOWN or b is UNKNOWN:
        return False
    return a is b or (type(a) is type(b) and bool(a == b))


def join(a: Value, b: Value) -> Value:
    """Return what holds where either of two values may stand."""
    if a is b:
        return a
    items = None
    if a.items is not None and b.items is not None and len(a.items) == len(b.items):
        items = tuple(join(x, y) for x, y in zip(a.items, b.items, strict=True))
    elif a.items is not None and b.const is None:
        items = a.items
    elif b.items is not None and a.const is None:
        items = b.items
    position = None
    if a.position is not None and b.position is not None and a.position.constant == b.position.constant:
        position = a.position if len(a.position.terms) >= len(b.position.terms) else b.position
    trail = a.trail if b.trail is None or (a.trail is not None and a.bits >= b.bits) else b.trail
    bits, thing = a.bits | b.bits, a.thing if a.thing is not None else b.thing
    if b.thing is not None and b.thing.apart and thing is not b.thing:
        # What was only allocated so far is to become those columns; of two different stacks nothing is known apart.
        if thing is not None and not thing.apart and not thing.bits:
            thing = b.thing
        else:
            bits |= b.thing.bits
    return Value(
        bits,
        a.const if same_constant(a.const, b.const) else UNKNOWN,
        thing,
        items,
        position,
        a.loops | b.loops,
        trail,
    )


def join_all(values: Sequence[Value]) -> Value:
    """Join any number of values."""
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    if getattr(result.thing, "items", None) == []:
        # Of an empty list and a full one, the full one tells what a loop over them does. Variables are another matter:
        # there the empty one may be a list that is begun anew, into which the next part goes.
        full = next((v.thing for v in values if getattr(v.thing, "items", []) != []), None)
        result = result.but(thing=full) if full is not None else result
    return result


def join_variables(a: dict[str, Value], b: dict[str, Value]) -> dict[str, Value]:
    """Join the variables of two ways through the program."""
    if a is b:
        return a
    merged = dict(a)
    for name, value in b.items():
        other = merged.get(name)
        merged[name] = value if other is None else join(other, value)
    return merged
