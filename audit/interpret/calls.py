"""Calls of what the program defines: functions, classes, instances, and how arguments reach their parameters."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.events import Call
from audit.interpret.assignment import trace
from audit.interpret.containers import append, mapping_of, tuple_of, union
from audit.interpret.heap import Array, Class, External, Frame, Function, Instance, Layer, Method, Partial, Sequence
from audit.interpret.library.dispatch import call_library, call_method
from audit.interpret.library.training import make_optimizer
from audit.interpret.models import deepen, from_model, inside_model, is_model, mark_input, without_loops
from audit.provenance import CURRENT, FULL, GENERATED, NOTHING, PARAM, TOKEN, TRAIN, VAL, Value, join_all

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter

DEPTH_LIMIT = 40  # calls in calls


def call(interp: Interpreter, function: Value, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """Return what a call gives."""
    thing = function.thing
    if isinstance(thing, Function):
        if thing.bound is not None:
            given = [thing.bound, *given]
        return interp.call_function(thing, given, named, node)
    if isinstance(thing, Class):
        return construct(interp, thing, given, named, node)
    if isinstance(thing, Partial):
        return interp.call(thing.function, [*thing.given, *given], {**thing.named, **named}, node)
    if isinstance(thing, Instance):
        return call_instance(interp, function, thing, given, named, node)
    if isinstance(thing, External):
        return call_library(interp, thing.name, given, named, node)
    if isinstance(thing, Method):
        return call_method(interp, thing.receiver, thing.name, given, named, node)
    if isinstance(thing, Layer):
        result = union([*given, *named.values()])
        weights = thing.owner.root().weights if thing.owner is not None else 0
        return result.but(bits=result.bits & ~(TOKEN | FULL | CURRENT) | PARAM | weights)
    if isinstance(thing, Sequence) and thing.kind == "modules":  # nn.Sequential: through each in turn
        result = union(given)
        for member in thing.members:
            result = interp.call(member, [result], {}, node)
        return result.but(bits=result.bits & ~TOKEN | PARAM)
    return union([function, *given, *named.values()])


def call_instance(
    interp: Interpreter, function: Value, thing: Instance, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value:
    if thing.cls is not None:
        for name in ("__call__", "forward"):
            method = thing.cls.find(name)
            own = thing.attributes.get(name)
            if own is not None and isinstance(own.thing, Function | Partial):
                return interp.call(own, given, named, node)
            if method is not None and isinstance(method.thing, Function):
                return interp.call_function(method.thing, [function, *given], named, node)
    result = union([*given, *named.values()])
    return result.but(bits=result.bits | thing.root().weights | thing.bits)


def construct(interp: Interpreter, cls: Class, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    if cls.derives("Optimizer"):
        return make_optimizer(interp, cls.definition.name, given, named, node)
    if cls.derives("NamedTuple", "Enum", "IntEnum", "StrEnum", "Exception", "RuntimeError", "ValueError"):
        return union([*given, *named.values()]) if not cls.fields else make_record(interp, cls, given, named, node)
    instance = Instance(cls, node)
    interp.made(instance, node)
    value = Value(thing=instance)
    init = cls.find("__init__")
    if init is not None and isinstance(init.thing, Function):
        interp.call_function(init.thing, [value, *given], named, node)
        return value
    return make_record(interp, cls, given, named, node) if cls.fields else value


def make_record(interp: Interpreter, cls: Class, given: list[Value], named: dict[str, Value], node: ast.AST) -> Value:
    """A dataclass or named tuple: fields by position or name, then the defaults of the class."""
    instance = Instance(cls, node)
    interp.made(instance, node)
    fields = [f for base in reversed(cls.bases) for f in base.fields] + cls.fields
    for field_name, value in zip(fields, given, strict=False):
        instance.attributes[field_name] = value
    instance.attributes.update(named)
    value = Value(thing=instance)
    after = cls.find("__post_init__")
    if after is not None and isinstance(after.thing, Function):
        interp.call_function(after.thing, [value], {}, node)
    return value


def call_function(
    interp: Interpreter, function: Function, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value:
    """Walk a function's body with its arguments; models' methods are walked once for each kind of argument."""
    definition = function.definition
    running = interp.recursion.get(id(definition), 0)
    if running >= 2 or interp.depth >= DEPTH_LIMIT:
        return union([*given, *named.values()])
    receiver = given[0].thing if function.owner is not None and given else None
    model = receiver if isinstance(receiver, Instance) and is_model(receiver) else None
    memo_key: object = None
    arguments: Value | None = None
    if model is not None:
        if not inside_model(interp):
            given = mark_input(given)
            arguments = union([*given[1:], *named.values()])
            if arguments.bits & (TRAIN | VAL | GENERATED):
                interp.emit("forward", node, arguments, models=(id(model.root()),))
        memo_key = (
            id(definition),
            id(model),
            model.root().weights,
            *map(shape_of, given[1:]),
            *((k, shape_of(v)) for k, v in sorted(named.items())),
        )
        found = interp.memo.get(memo_key)
        if found is not None:
            return with_arguments(interp, found, given, named)
    events = interp.event_count
    result = walk_body(interp, function, given, named, node)
    if model is not None:
        # what a model keeps from earlier calls (tables of angles, buffers) is not data of this call
        foreign = (VAL | TRAIN) & ~arguments.bits if arguments is not None else 0
        result = from_model(result, model.root().weights, foreign)
        if interp.event_count == events:
            own = 0
            for value in (*given[1:], *named.values()):
                own |= value.loops
            interp.memo[memo_key] = without_loops(result, own)  # another call brings its own
    return result


def with_arguments(interp: Interpreter, found: Value, given: list[Value], named: dict[str, Value]) -> Value:
    everything = [*given[1:], *named.values()]
    loops = 0
    trail = None
    for value in everything:
        loops |= value.loops
        trail = trail or value.trail
    return deepen(found, loops, trail)


def walk_body(
    interp: Interpreter, function: Function, given: list[Value], named: dict[str, Value], node: ast.AST
) -> Value:
    definition = function.definition
    interp.called.add(definition)
    frame = Frame(function.frame.module, function.frame, definition, function.frame.file, function.name)
    if function.owner is not None:
        frame.receiver = given[0].thing if given else None
        frame.name = f"{function.owner.definition.name}.{function.name}"
    outer = interp.frame, interp.calls, interp.path_key, interp.exits, interp.maybe
    doubts = (
        interp.uncertain,
        interp.entry_loops,
        interp.callers_doubt,
        interp.guard,
        interp.guard_data,
        interp.guard_choice,
    )
    call = Call(node, outer[0].file, frame.name, getattr(node, "lineno", 0), interp.block)
    interp.recursion[id(definition)] = interp.recursion.get(id(definition), 0) + 1
    interp.depth += 1
    try:
        bind_arguments(interp, definition.args, frame, function, given, named, node)
        interp.frame, interp.exits = frame, []
        interp.callers_doubt = bool(interp.uncertain) or len(interp.loops) > interp.entry_loops
        interp.uncertain, interp.entry_loops = 0, len(interp.loops)
        interp.calls = (*outer[1], call)
        interp.path_key = hash((outer[2], id(node), id(definition)))
        if isinstance(definition, ast.Lambda):
            return interp.evaluate(definition.body)
        interp.execute(definition.body)
    finally:
        interp.frame, interp.calls, interp.path_key, interp.exits, interp.maybe = outer
        (
            interp.uncertain,
            interp.entry_loops,
            interp.callers_doubt,
            interp.guard,
            interp.guard_data,
            interp.guard_choice,
        ) = doubts
        interp.depth -= 1
        interp.recursion[id(definition)] -= 1
    if frame.yields:
        thing = Sequence(kind="generator")
        interp.made(thing, node)
        for value in frame.yields:
            append(thing, value)
        return Value(thing=thing)
    if not frame.results:
        return NOTHING
    return join_all(frame.results)


def bind_arguments(
    interp: Interpreter,
    parameters: ast.arguments,
    frame: Frame,
    function: Function,
    given: list[Value],
    named: dict[str, Value],
    node: ast.AST,
) -> None:
    names = [*parameters.posonlyargs, *parameters.args]
    outer, interp.frame = interp.frame, function.frame
    try:
        for parameter, default in zip(reversed(names), reversed(parameters.defaults), strict=False):
            frame.variables[parameter.arg] = interp.evaluate(default)
        for keyword, fallback in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True):
            if fallback is not None:
                frame.variables[keyword.arg] = interp.evaluate(fallback)
    finally:
        interp.frame = outer
    left = dict(named)
    for parameter, value in zip(names, given, strict=False):
        frame.variables[parameter.arg] = trace(interp, value, node)
    for parameter in (*names[len(given) :], *parameters.kwonlyargs):
        if parameter.arg in left:
            frame.variables[parameter.arg] = trace(interp, left.pop(parameter.arg), node)
        elif parameter.arg not in frame.variables:
            frame.variables[parameter.arg] = Value()
    if parameters.vararg is not None:
        frame.variables[parameters.vararg.arg] = tuple_of(given[len(names) :])
    if parameters.kwarg is not None:
        frame.variables[parameters.kwarg.arg] = Value(thing=mapping_of(left))


def shape_of(value: Value) -> object:
    """What of an argument may change a model's result."""
    const = value.const
    known = const if isinstance(const, bool | int | str | type(None)) else "?"
    bits = value.bits
    if isinstance(value.thing, Array):
        bits |= value.thing.bits
    return bits, known, id(value.thing) if value.thing is not None else 0
