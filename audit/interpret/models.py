"""Models and their parameters: which model a weight belongs to, and how a model marks what it puts out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit.interpret.heap import Array, Instance, Layer, Mapping, Parameters, Sequence, Thing
from audit.provenance import (
    COMPARED,
    EXPONENTIAL,
    FULL,
    INPUT,
    MODEL,
    NLL,
    NOT_TARGET,
    PARAM,
    PARTITION,
    RUNNING,
    TARGET,
    TOKEN,
    Value,
)

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def is_model(thing: Thing) -> bool:
    """Say whether an object is a torch module."""
    return isinstance(thing, Instance) and thing.cls is not None and thing.cls.derives("Module")


def inside_model(interp: Interpreter) -> bool:
    """Say whether the current frame is itself a method of a model."""
    me = interp.frame.receiver
    return isinstance(me, Instance) and is_model(me)


def mark_input(given: list[Value]) -> list[Value]:
    """The first tokens that go into a model, if they are not the targets, are its input."""
    for i, value in enumerate(given[1:], 1):
        if value.bits & TOKEN:
            if not value.bits & (TARGET | INPUT):
                given = [*given[:i], value.but(bits=value.bits | INPUT), *given[i + 1 :]]
            break
    return given


def is_vocabulary(bits: int) -> bool:
    """Say whether a value has an entry a token id: a distribution, or what a model put out and nothing reduced yet."""
    return bool(bits & FULL) or bool(bits & MODEL and not bits & (NLL | TARGET | NOT_TARGET | PARTITION | COMPARED))


def looks_at_no_target(bits: int) -> bool:
    """Say whether a value is a number of the whole distribution, whatever the target is."""
    return bool(bits & NOT_TARGET) and not bits & (TARGET | NLL | FULL)


def from_model(value: Value, weights: int, foreign: int = 0) -> Value:
    """Mark what a model put out with what its weights rest on; attention's distributions stay inside."""
    items = tuple(from_model(i, weights, foreign) for i in value.items) if value.items is not None else None
    if value.const is None or isinstance(value.const, str | int | float):
        return value
    bits = value.bits & ~(FULL | NOT_TARGET | PARTITION | EXPONENTIAL | RUNNING | foreign)
    if not bits & NLL:
        bits &= ~TOKEN
    return value.but(bits=bits | weights | PARAM | MODEL, items=items, position=None)


def deepen(value: Value, loops: int, trail: Any) -> Value:
    """Add the loops and the way of arguments to a result taken from memory."""
    items = tuple(deepen(i, loops, trail) for i in value.items) if value.items is not None else None
    return value.but(loops=value.loops | loops, trail=trail or value.trail, items=items)


def without_loops(value: Value, loops: int) -> Value:
    """Return a value that does not depend on these loops."""
    items = tuple(without_loops(i, loops) for i in value.items) if value.items is not None else None
    return value.but(loops=value.loops & ~loops, items=items)


def parameters_of(value: Value, depth: int = 4) -> tuple[list[Instance], list[Array]]:
    """Return the models and fresh tensors that a parameter or a container of parameters belongs to."""
    models: list[Instance] = []
    leaves: list[Array] = []

    def visit(v: Value, left: int) -> None:
        thing = v.thing
        if isinstance(thing, Parameters):
            models.extend(thing.models)
            leaves.extend(thing.leaves)
        elif isinstance(thing, Instance) and is_model(thing):
            models.append(thing)
        elif isinstance(thing, Array):
            if thing.leaf:
                leaves.append(thing)
        elif isinstance(thing, Layer):
            if thing.owner is not None:
                models.append(thing.owner)
        elif isinstance(thing, Instance) and left:
            for inner in list(thing.attributes.values())[:30]:
                visit(inner, 0)
        elif left and isinstance(thing, Sequence):
            for member in thing.members or ():
                visit(member, left - 1)
            if thing.element is not None and not thing.members:
                visit(thing.element, left - 1)
        elif left and isinstance(thing, Mapping):
            for member in list(thing.entries.values())[:40]:
                visit(member, left - 1)
            if thing.element is not None:
                visit(thing.element, left - 1)
        for item in v.items or ():
            if left:
                visit(item, left - 1)

    visit(value, depth)
    roots: dict[int, Instance] = {id(m.root()): m.root() for m in models}
    return list(roots.values()), list({id(leaf): leaf for leaf in leaves}.values())
