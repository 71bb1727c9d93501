"""Python's own functions and those of its containers: ``range``, ``zip``, ``getattr``, ``defaultdict``, ``partial``."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.assignment import store_attribute
from audit.interpret.attributes import attribute
from audit.interpret.containers import (
    append,
    deep_bits,
    element_of,
    known_items,
    mapping_of,
    origin_of,
    tuple_of,
    union,
)
from audit.interpret.heap import (
    Array,
    Class,
    External,
    Function,
    Instance,
    Mapping,
    Method,
    ModuleThing,
    Parameters,
    Partial,
    Range,
    Sequence,
    Super,
    constant,
)
from audit.interpret.library.copying import deep_copy
from audit.interpret.library.invocation import Handler, Invocation
from audit.interpret.scoring import report
from audit.provenance import COUNT, NOTHING, RANK, TOKEN, TRAIN, UNKNOWN, VAL, Value, join

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def _print(interp: Interpreter, call: Invocation) -> Value:
    report(interp, [*call.given], call.node)
    return NOTHING


def _range(interp: Interpreter, call: Invocation) -> Value:
    start = call.given[0] if len(call.given) > 1 else constant(0)
    stop = call.given[1] if len(call.given) > 1 else (call.given[0] if call.given else Value())
    step = call.given[2] if len(call.given) > 2 else constant(1)
    times = None
    if all(type(v.const) is int for v in (start, stop, step)) and step.const:
        times = len(range(start.const, stop.const, step.const))
    loops = start.loops | stop.loops
    return Value(
        (start.bits | stop.bits) & (RANK | VAL | TRAIN) & RANK, thing=Range(start, stop, times, call.node), loops=loops
    )


def _enumerate(interp: Interpreter, call: Invocation) -> Value:
    if not call.given:
        return Value()
    items = known_items(call.given[0])
    if items is not None and len(items) <= 16:
        return tuple_of([tuple_of([constant(i), item]) for i, item in enumerate(items)]).but(const=UNKNOWN)
    thing = Sequence(kind="enumerate")
    interp.made(thing, call.node)
    append(
        thing,
        Value(
            items=(Value(position=interp.atom("enumerate", call.node)), element_of(interp, call.given[0], call.node))
        ),
    )
    return Value(call.given[0].bits & (VAL | TRAIN), thing=thing, loops=call.given[0].loops)


def _zip(interp: Interpreter, call: Invocation) -> Value:
    known = [known_items(g) for g in call.given]
    if known and all(k is not None and len(k) <= 16 for k in known):
        return tuple_of([tuple_of(list(row)) for row in zip(*known, strict=False)]).but(const=UNKNOWN)
    thing = Sequence(kind="zip")
    interp.made(thing, call.node)
    append(thing, Value(items=tuple(element_of(interp, g, call.node) for g in call.given)))
    return Value(union(call.given).bits & (VAL | TRAIN), thing=thing)


def _same_elements(interp: Interpreter, call: Invocation) -> Value | None:
    """``list(x)``, ``sorted(x)``, ``reversed(x)``, ``tuple(x)``, ``iter(x)``, ``set(x)``."""
    if not call.given:
        return Value(thing=interp.made(Sequence(items=[]), call.node))
    value = call.given[0]
    if value.bits & TOKEN or isinstance(value.thing, Array | Parameters):
        return value.but(const=UNKNOWN)
    items = known_items(value)
    if items is not None and call.name in ("list", "tuple", "iter"):
        return (
            tuple_of(list(items))
            if call.name == "tuple"
            else Value(value.bits, thing=interp.made(Sequence(items=list(items)), call.node))
        )
    thing = Sequence()
    interp.made(thing, call.node)
    thing.origin = origin_of(value)
    if isinstance(value.thing, Sequence):
        for member in value.thing.members:
            append(thing, member)
    append(thing, element_of(interp, value, call.node))
    return Value(value.bits, thing=thing, loops=value.loops, trail=value.trail)


def _dict(interp: Interpreter, call: Invocation) -> Value:
    thing = Mapping()
    interp.made(thing, call.node)
    if call.given and isinstance(call.given[0].thing, Mapping):
        source = call.given[0].thing
        thing.entries.update(source.entries)
        thing.element, thing.keys, thing.counted = source.element, source.keys, source.counted
    elif call.given:
        thing.bits |= deep_bits(call.given[0])
    thing.entries.update(call.named)
    if call.name == "defaultdict" and call.given:
        thing.factory, thing.bits = call.given[0], 0
    if call.name == "Counter" and call.given and call.given[0].bits & TOKEN:
        thing.counted = True
        thing.bits |= call.given[0].bits | COUNT
        interp.emit("count", call.node, call.given[0], table=id(thing))
    return Value(thing=thing)


def _namespace(interp: Interpreter, call: Invocation) -> Value:
    instance = Instance(None, call.node)
    interp.made(instance, call.node)
    instance.attributes.update(call.named)
    return Value(thing=instance)


def _partial(interp: Interpreter, call: Invocation) -> Value:
    return Value(thing=Partial(call.given[0], call.given[1:], call.named)) if call.given else Value()


def _getattr(interp: Interpreter, call: Invocation) -> Value:
    if len(call.given) < 2 or not isinstance(call.given[1].const, str):
        return union(call.given[:1])
    name, base = call.given[1].const, call.given[0]
    thing = base.thing
    if len(call.given) > 2 and isinstance(thing, Instance | Class | ModuleThing):
        known = attribute(interp, base, name, call.node)
        if isinstance(known.thing, Method):
            return call.given[2]
        return known
    if len(call.given) > 2 and isinstance(thing, External):
        return (
            join(attribute(interp, base, name, call.node), call.given[2])
            if call.given[2].const is not None
            else attribute(interp, base, name, call.node)
        )
    return attribute(interp, base, name, call.node)


def _setattr(interp: Interpreter, call: Invocation) -> Value:
    if len(call.given) == 3 and isinstance(call.given[1].const, str):
        store_attribute(interp, call.given[0], call.given[1].const, call.given[2], call.node)
    return NOTHING


def _hasattr(interp: Interpreter, call: Invocation) -> Value:
    if len(call.given) == 2 and isinstance(call.given[1].const, str):
        thing, name = call.given[0].thing, call.given[1].const
        if isinstance(thing, Instance) and thing.cls is not None:
            if name in thing.attributes or thing.cls.find(name) is not None:
                return constant(True)
            if not thing.cls.external:
                return constant(False)
        if isinstance(thing, Class):
            return constant(thing.find(name) is not None) if not thing.external else Value()
    return Value()


def _isinstance(interp: Interpreter, call: Invocation) -> Value:
    return Value()


def _super(interp: Interpreter, call: Invocation) -> Value:
    receiver = call.given[1] if len(call.given) > 1 else Value(thing=interp.frame.receiver)
    owner = call.given[0].thing if call.given and isinstance(call.given[0].thing, Class) else None
    if owner is None:
        code = interp.frame.code
        cls = receiver.thing.cls if isinstance(receiver.thing, Instance) else None
        owner = _class_of(cls, code)
    return Value(thing=Super(owner, receiver)) if owner is not None else Value()


def _class_of(cls: Class | None, code: ast.AST | None) -> Class | None:
    if cls is None:
        return None
    for value in cls.attributes.values():
        if isinstance(value.thing, Function) and value.thing.definition is code:
            return cls
    for base in cls.bases:
        if (found := _class_of(base, code)) is not None:
            return found
    return None


def _globals(interp: Interpreter, call: Invocation) -> Value:
    scope = interp.frame.module.frame if call.name == "globals" else interp.frame
    if call.given and call.name == "vars":
        thing = call.given[0].thing
        return Value(thing=mapping_of(thing.attributes)) if isinstance(thing, Instance | Class) else Value()
    return Value(thing=mapping_of(scope.variables))


def _progress(interp: Interpreter, call: Invocation) -> Value | None:
    """``tqdm(x)`` goes over ``x``."""
    return call.given[0] if call.given else None


def _field(interp: Interpreter, call: Invocation) -> Value | None:
    """``dataclasses.field``: its default."""
    if "default" in call.named:
        return call.named["default"]
    if "default_factory" in call.named:
        return interp.call(call.named["default_factory"], [], {}, call.node)
    return Value()


def _replace(interp: Interpreter, call: Invocation) -> Value | None:
    """``dataclasses.replace``: a copy with some fields changed."""
    if not call.given or not isinstance(call.given[0].thing, Instance):
        return None
    copied = deep_copy(interp, call.given[0], {}, call.node)
    if isinstance(copied.thing, Instance):
        copied.thing.attributes.update(call.named)
    return copied


def _deepcopy(interp: Interpreter, call: Invocation) -> Value | None:
    return deep_copy(interp, call.given[0], {}, call.node) if call.given else None


FUNCTIONS: dict[str, Handler] = {
    "builtins.print": _print,
    "builtins.range": _range,
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "builtins.list": _same_elements,
    "builtins.tuple": _same_elements,
    "builtins.sorted": _same_elements,
    "builtins.reversed": _same_elements,
    "builtins.set": _same_elements,
    "builtins.frozenset": _same_elements,
    "builtins.iter": _same_elements,
    "builtins.dict": _dict,
    "builtins.getattr": _getattr,
    "builtins.setattr": _setattr,
    "builtins.hasattr": _hasattr,
    "builtins.isinstance": _isinstance,
    "builtins.super": _super,
    "builtins.globals": _globals,
    "builtins.locals": _globals,
    "builtins.vars": _globals,
    "tqdm": _progress,
    "tqdm.tqdm": _progress,
    "OrderedDict": _dict,
    "defaultdict": _dict,
    "Counter": _dict,
    "deque": _same_elements,
    "SimpleNamespace": _namespace,
    "dataclasses.field": _field,
    "dataclasses.replace": _replace,
    "deepcopy": _deepcopy,
    "partial": _partial,
}
