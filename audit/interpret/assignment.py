"""Binding names, elements and attributes to values."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import element_of, known_items, put, put_item
from audit.interpret.heap import (
    Array,
    Class,
    Columns,
    Function,
    Instance,
    Layer,
    Mapping,
    ModuleThing,
    Partial,
    Sequence,
    Template,
)
from audit.interpret.library.indexing import constant_column
from audit.interpret.library.tables import count_if_stored_back, count_if_table
from audit.interpret.library.training import step_if_gradient
from audit.interpret.models import is_model, looks_at_no_target, parameters_of
from audit.interpret.scoring import score_if_nll_stored
from audit.provenance import (
    CLASS,
    COMPARED,
    COUNT,
    CURRENT,
    EVENTS,
    FULL,
    GRADIENT,
    KEY,
    LEAF,
    MODEL,
    NLL,
    NOT_TARGET,
    PARAM,
    PREVIOUS,
    RATIO,
    SHIFTED,
    TARGET,
    TARGET_LOOKUP,
    TEXT,
    TOKEN,
    TRAIN,
    UNKNOWN,
    VAL,
    Trail,
    Value,
    join,
)

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter

INTERESTING = VAL | TRAIN | TARGET | COUNT | NLL | KEY | TARGET_LOOKUP | RATIO | NOT_TARGET | LEAF
# Values with these are data; an unknown without them may be an index, and gets a name of its own as a position.
DATA = TOKEN | MODEL | PARAM | NLL | COUNT | LEAF | FULL


def trace(interp: Interpreter, value: Value, node: ast.AST) -> Value:
    """Add a step to the way of a value that a reader of a finding would follow."""
    if value.bits & INTERESTING:
        return value.but(trail=Trail(interp.frame.file, node, value.trail))
    return value


def assign(interp: Interpreter, target: ast.expr, value: Value, node: ast.AST) -> None:
    """Bind a target to a value."""
    if isinstance(target, ast.Name):
        if interp.guard_choice:
            value = value.but(bits=value.bits | choice_of(interp, value, node))
        value = trace(interp, value, node)
        if (
            value.position is None
            and value.const is UNKNOWN
            and value.thing is None
            and value.items is None
            and not value.bits & DATA
        ):
            value = value.but(position=interp.atom("name", node, target.id))
        scope = interp.frame.declared.get(target.id, interp.frame)
        if scope is not interp.frame and (interp.maybe or interp.loops) and target.id in scope.variables:
            value = join(scope.variables[target.id], value)
        scope.variables[target.id] = value
    elif isinstance(target, ast.Tuple | ast.List):
        unpack_items(interp, target.elts, value, node)
    elif isinstance(target, ast.Starred):
        assign(interp, target.value, value, node)
    elif isinstance(target, ast.Attribute):
        store_attribute(interp, interp.evaluate(target.value), target.attr, value, node)
    elif isinstance(target, ast.Subscript):
        base, index = interp.evaluate(target.value), interp.evaluate(target.slice)
        if adds_to_itself(node):
            count_if_table(interp, node, base, index)
        else:
            count_if_stored_back(interp, node, base, index, value)
        score_if_nll_stored(interp, node, value)
        store_element(interp, target.value, base, index, value, node)


def choice_of(interp: Interpreter, value: Value, node: ast.AST) -> int:
    """Return what a value assigned under a choice by the loss rests on: the choice, or a label that only tells it."""
    if value.bits & (NLL | PARAM | MODEL) or not (value.thing is None or isinstance(value.thing, Template)):
        return interp.guard_choice
    label = interp.bit("label", node)
    interp.labels[label] = interp.labels.get(label, 0) | interp.guard_choice
    return label


def chosen_by(interp: Interpreter, bits: int) -> int:
    """Return the choices by the loss that the labels in a value tell."""
    chosen = 0
    for label, choice in interp.labels.items():
        if bits & label:
            chosen |= choice
    return chosen


def adds_to_itself(node: ast.AST) -> bool:
    """``d[k] = d.get(k, 0) + 1``: an increment in two parts."""
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Add)


def unpack_items(interp: Interpreter, targets: list[ast.expr], value: Value, node: ast.AST) -> None:
    """Bind the targets of ``a, *b = value``."""
    items = known_items(value)
    starred = next((i for i, t in enumerate(targets) if isinstance(t, ast.Starred)), None)
    if items is not None and starred is None and len(items) == len(targets):
        for target, item in zip(targets, items, strict=True):
            assign(interp, target, item, node)
        return
    if items is not None and starred is not None and len(items) >= len(targets) - 1:
        after = len(targets) - starred - 1
        for target, item in zip(targets[:starred], items, strict=False):
            assign(interp, target, item, node)
        rest = list(items[starred : len(items) - after])
        assign(interp, targets[starred], Value(thing=interp.made(Sequence(items=rest), node)), node)
        for target, item in zip(targets[len(targets) - after :], items[len(items) - after :], strict=False):
            assign(interp, target, item, node)
        return
    if isinstance(value.thing, Array) and not value.thing.bits and isinstance(getattr(node, "value", None), ast.Call):
        for target in targets:  # `a, b = torch.empty(2, n)`: rows that know nothing of each other
            assign(interp, target, Value(value.bits, thing=interp.made(Array(node), node)), node)
        return
    element = element_of(interp, value, node)
    for i, target in enumerate(targets):
        assign(interp, target, element.but(const=UNKNOWN, position=None) if i else element, node)


def store_attribute(interp: Interpreter, base: Value, name: str, value: Value, node: ast.AST) -> None:
    """``base.name = value``: submodules get their owner, weights what they rest on."""
    thing = base.thing
    value = trace(interp, value, node)
    if isinstance(thing, Instance):
        if not interp.may_write(thing):
            return
        child = value.thing
        if isinstance(child, Instance) and child.owner is None and child is not thing and is_model(child):
            child.owner = thing
        elif isinstance(child, Layer):
            child.owner = child.owner or thing
        elif isinstance(child, Sequence) and is_model(thing):
            for member in child.members:
                if isinstance(member.thing, Instance) and member.thing.owner is None and member.thing is not thing:
                    member.thing.owner = thing
        own = isinstance(child, Function) and child.bound is not None and child.bound.thing is thing
        if name == "forward" and is_model(thing) and isinstance(child, Function | Partial) and not own:
            interp.emit("hook", node, base)  # what stands in for a layer's pass can gather statistics in it
        old = thing.attributes.get(name)
        if old is not None and interp.maybe + len(interp.loops) > thing.depth:
            value = join(old, value)
        thing.attributes[name] = value
    elif isinstance(thing, Class):
        if interp.may_write(thing):
            thing.attributes[name] = value if not interp.maybe else join(thing.attributes.get(name, value), value)
    elif isinstance(thing, ModuleThing):
        thing.frame.variables[name] = value
    elif isinstance(thing, Array) and interp.may_write(thing):
        thing.bits |= value.bits & ~GRADIENT
        thing.loops |= value.loops
    elif name == "data":
        step_if_gradient(interp, node, base, value)
        models, _ = parameters_of(base)
        for model in models:
            if interp.may_write(model):
                model.root().weights |= value.bits & EVENTS


def store_element(
    interp: Interpreter, target: ast.expr, base: Value, index: Value, value: Value, node: ast.AST
) -> None:
    """``base[index] = value``."""
    thing = base.thing
    if thing is None:
        grown = base.but(
            bits=base.bits | (value.bits & ~COMPARED),
            loops=base.loops | value.loops,
            const=UNKNOWN,
            trail=value.trail or base.trail,
        )
        if isinstance(target, ast.Name | ast.Attribute) and value.bits & ~base.bits:
            assign(interp, target, grown, node)
        return
    if not interp.may_write(thing):
        return
    if not isinstance(thing, Mapping) or index.where() is not None:  # else the key is a name, no position
        value = gated(interp, value, index, node)
    if isinstance(thing, Mapping):
        put(thing, index, value)
    elif isinstance(thing, Sequence):
        put_item(thing, index, value)
    elif isinstance(thing, Array):
        if value.bits & TEXT and not value.bits & (VAL | COMPARED):
            interp.emit("bytes", node, value)
        if isinstance(value.thing, Columns):
            if not thing.bits and isinstance(target, ast.Name):  # room for those columns, and nothing else
                assign(interp, target, value, node)
            value = value.but(bits=value.bits | value.thing.bits)
        value = store_part(interp, thing, index, value, node)
        thing.bits |= value.bits & ~COMPARED | (PREVIOUS if value.bits & SHIFTED else 0)
        thing.loops |= value.loops | index.loops
        interp.carriers[id(thing)] = thing
        if thing.position is None:
            thing.position = value.position
        if value.trail is not None:
            thing.trail = Trail(interp.frame.file, node, value.trail)
    elif isinstance(thing, Instance):
        method = thing.cls.find("__setitem__") if thing.cls else None
        if method is not None and isinstance(method.thing, Function):
            interp.call_function(method.thing, [base, index, value], {}, node)


def store_part(interp: Interpreter, thing: Array, index: Value, value: Value, node: ast.AST) -> Value:
    """Note what is written to a column of its own, and numbers that look at no target beside losses."""
    at = constant_column(index)
    if at is not None and isinstance(node, ast.Assign) and value.thing is None:
        thing.parts[at] = join(thing.parts[at], value) if at in thing.parts else value
    elif thing.parts and not isinstance(node, ast.AugAssign):
        thing.parts = {}
    if looks_at_no_target(value.bits):
        thing.alone.append((node, value))
    if thing.alone and (thing.bits | value.bits) & NLL:
        bits = 0
        for where, number in thing.alone[:4]:
            bits |= interp.emit("expert", where, number)
        return value.but(bits=value.bits | bits)
    return value


def gated(interp: Interpreter, value: Value, index: Value, node: ast.AST) -> Value:
    """Note what decides whether an element is stored: the class of the token at its own position, or a loss."""
    if interp.guard_choice and value.bits & (NLL | PARAM | MODEL):
        value = value.but(bits=value.bits | interp.guard_choice)
    decided = interp.guard_data
    if (
        decided & CLASS
        and decided & VAL
        and not decided & NLL  # whatever a loss decides was decided by more than a class
        and (value.bits & (COUNT | interp.held_bits) or not value.bits & (CURRENT | TARGET))
        and not value.bits & (NLL | TEXT)
        and value.const is UNKNOWN
        and index.loops
        and not index.bits & TOKEN
    ):
        value = value.but(bits=value.bits | interp.emit("gate", node, Value(decided, trail=value.trail)))
    return value
