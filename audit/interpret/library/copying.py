"""Deep copies: what is done to them leaves the originals as they were."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.heap import Array, Instance, Layer, Mapping, Sequence, Thing
from audit.interpret.models import is_model
from audit.provenance import Value

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def deep_copy(interp: Interpreter, value: Value, made: dict[int, Thing], node: ast.AST, depth: int = 12) -> Value:
    """Return a value whose objects are copies: what is done to them leaves the originals as they were."""
    thing = value.thing
    if depth == 0 or not isinstance(thing, Instance | Sequence | Mapping | Array):
        return value
    known = made.get(id(thing))
    if known is not None:
        return value.but(thing=known)
    copied: Thing
    if isinstance(thing, Instance):
        twin = Instance(thing.cls, node)
        copied = made[id(thing)] = interp.made(twin, node)
        twin.weights = thing.root().weights
        twin.attributes = {k: deep_copy(interp, v, made, node, depth - 1) for k, v in thing.attributes.items()}
        for child in twin.attributes.values():
            children = child.thing.members if isinstance(child.thing, Sequence) else [child]
            for member in children:
                inner = member.thing
                if isinstance(inner, Instance | Layer) and inner is not twin and inner.owner is None and is_model(twin):
                    inner.owner = twin
    elif isinstance(thing, Sequence):
        row = Sequence(node, kind=thing.kind)
        copied = made[id(thing)] = interp.made(row, node)
        row.items = None if thing.items is None else [deep_copy(interp, v, made, node, depth - 1) for v in thing.items]
        row.members = [deep_copy(interp, v, made, node, depth - 1) for v in thing.members]
        row.element = None if thing.element is None else deep_copy(interp, thing.element, made, node, depth - 1)
        row.counted = thing.counted
    elif isinstance(thing, Mapping):
        table = Mapping(node)
        copied = made[id(thing)] = interp.made(table, node)
        table.entries = {k: deep_copy(interp, v, made, node, depth - 1) for k, v in thing.entries.items()}
        table.element, table.keys, table.counted, table.factory = (
            thing.element,
            thing.keys,
            thing.counted,
            thing.factory,
        )
    else:
        array = Array(node)
        copied = made[id(thing)] = interp.made(array, node)
        array.counted, array.leaf, array.position = thing.counted, thing.leaf, thing.position
    copied.bits, copied.loops = thing.bits, thing.loops
    return value.but(thing=copied)
