"""What ``base.name`` and ``base[index]`` give."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import element_of, known_items, mapping_of, tuple_of
from audit.interpret.heap import (
    Class,
    Columns,
    External,
    Function,
    Instance,
    Layer,
    Mapping,
    Method,
    ModuleThing,
    Parameters,
    Parser,
    Sequence,
    Super,
    constant,
    external,
    seen,
)
from audit.interpret.library.indexing import index_columns, index_tensor
from audit.interpret.library.surroundings import ENVIRONMENT, environment_variable
from audit.interpret.library.tables import from_mapping, table_read
from audit.interpret.models import is_model
from audit.interpret.texts import text_of
from audit.provenance import GRADIENT, PARAM, RANK, TOKEN, UNKNOWN, Value
from audit.words import words

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter

WRAPPED = words("module _orig_mod")  # what a compiled or distributed model calls the model inside: it is the same one


def attribute(interp: Interpreter, base: Value, name: str, node: ast.AST) -> Value:
    """Return ``base.name``."""
    thing = base.thing
    if isinstance(thing, External):
        return external_attribute(thing, name)
    if isinstance(thing, Instance):
        found = thing.attributes.get(name)
        if found is None and thing.cls is not None:
            found = thing.cls.find(name)
        if found is not None:
            return bind_method(interp, found, base, node)
        if name == "__dict__":
            return Value(thing=mapping_of(thing.attributes))
        if (
            thing.cls is not None
            and (hook := thing.cls.find("__getattr__")) is not None
            and isinstance(hook.thing, Function)
        ):
            return interp.call_function(hook.thing, [base, constant(name)], {}, node)
        if name in WRAPPED and is_model(thing):
            return base
        return Value(base.bits, thing=Method(base, name))
    if isinstance(thing, Class):
        found = thing.find(name)
        if found is not None:
            if isinstance(found.thing, Function) and interp.method_kinds.get(found.thing.definition) == "classmethod":
                return Value(thing=Function(found.thing.definition, found.thing.frame, found.thing.owner, base))
            return seen(found)
        if name == "__name__":
            return constant(thing.definition.name)
        return Value(thing=Method(base, name))
    if isinstance(thing, ModuleThing):
        found = thing.frame.variables.get(name)
        if found is None and thing.state == "running":
            return Value()
        return seen(found) if found is not None else Value()
    if isinstance(thing, Super):
        for candidate in thing.owner.bases:
            if (found := candidate.find(name)) is not None:
                return bind_method(interp, found, thing.receiver, node)
        return Value(thing=Method(thing.receiver, name))
    if isinstance(thing, Layer):
        bits = base.bits | (PARAM | thing.owner.root().weights if thing.owner is not None else 0)
        return Value(bits, thing=Method(base, name), loops=base.loops, trail=base.trail)
    if name == "st_size":
        interp.emit("sized", node, base, text=text_of(base) or "")
    return library_attribute(base, name)


def bind_method(interp: Interpreter, found: Value, receiver: Value, node: ast.AST) -> Value:
    """Turn a function found on a class into a method of the receiver; evaluate properties."""
    thing = found.thing
    if isinstance(thing, Function) and thing.owner is not None and thing.bound is None:
        definition = thing.definition
        kind = interp.method_kinds.get(definition)
        if definition in interp.properties:
            return interp.call_function(thing, [receiver], {}, node)
        if kind == "staticmethod":
            return found
        cls = receiver.thing.cls if isinstance(receiver.thing, Instance) else None
        owner = Value(thing=cls) if kind == "classmethod" and cls is not None else receiver
        return Value(thing=Function(definition, thing.frame, thing.owner, owner))
    return seen(found)


def external_attribute(thing: External, name: str) -> Value:
    """An attribute of a library object is named by its dots; some are constants."""
    full = f"{thing.name}.{name}"
    if full in ("math.pi", "numpy.pi"):
        return constant(3.141592653589793)
    if full in ("math.inf", "numpy.inf", "torch.inf"):
        return constant(float("inf"))
    return external(full)


def library_attribute(base: Value, name: str) -> Value:
    """Return an attribute of a tensor, a container or an unknown object."""
    if name in ("shape", "ndim", "dtype", "device", "itemsize", "nbytes"):
        return Value(base.bits & RANK, thing=None, loops=base.loops)
    if name == "grad":
        return Value(base.bits | GRADIENT, thing=base.thing, loops=base.loops, trail=base.trail)
    if name in ("data", "T", "mT", "real", "flat", "ctypes"):
        return base.but(const=UNKNOWN, items=None)
    if isinstance(base.thing, Mapping) and name in base.thing.entries and not isinstance(base.thing, Parser):
        return base.thing.entries[name]
    return Value(base.bits, thing=Method(base, name), loops=base.loops, trail=base.trail)


def subscript(interp: Interpreter, base: Value, index: Value, node: ast.Subscript) -> Value:
    """Return ``base[index]``."""
    thing = base.thing
    if isinstance(thing, External):
        if thing.name in ENVIRONMENT:
            return environment_variable(interp, index, None, node)
        if thing.name == "sys.modules":
            return Value(thing=interp.frame.module)
        return Value()
    if isinstance(thing, Columns):
        return index_columns(base, thing, index)
    items = known_items(base)
    if items is not None:
        if type(index.const) is int and -len(items) <= index.const < len(items):
            return seen(items[index.const])
        if (
            index.items is not None
            and index.thing is not None
            and all(i.const is None or type(i.const) is int for i in index.items)
        ):
            part = items[slice(*(i.const for i in index.items))]
            if isinstance(thing, Sequence):
                return Value(base.bits, thing=interp.made(Sequence(items=list(part)), node))
            return tuple_of(list(part))
    if isinstance(base.const, str | tuple) and index.const is not UNKNOWN and isinstance(index.const, int):
        try:
            return constant(base.const[index.const])
        except IndexError:
            return Value()
    if isinstance(base.const, str) and index.items is not None and index.thing is not None:
        parts = [i.const for i in index.items]
        if all(p is None or type(p) is int for p in parts):
            return constant(base.const[slice(*parts)])
    if isinstance(thing, Mapping):
        return from_mapping(interp, thing, index, node)
    if isinstance(thing, Sequence) and not base.bits & TOKEN:
        if index.thing is not None and index.items is not None:  # a slice of a list is a list
            part_thing = Sequence()
            interp.made(part_thing, node)
            part_thing.element, part_thing.members = thing.element, thing.members
            if thing.items:
                part_thing.element = element_of(interp, base, node)
            bits = base.bits | (index.bits & RANK)
            return Value(bits, thing=part_thing, loops=base.loops | index.loops, trail=base.trail)
        element = element_of(interp, base, node)
        if thing.counted and index.bits & TOKEN:
            return table_read(interp, element, index, node)
        return seen(element.but(loops=element.loops | index.loops, const=UNKNOWN))
    if isinstance(thing, Instance) and thing.cls is not None:
        method = thing.cls.find("__getitem__")
        if method is not None and isinstance(method.thing, Function):
            return interp.call_function(method.thing, [base, index], {}, node)
    if isinstance(thing, Parameters):
        return base
    return index_tensor(interp, base, index, node)
