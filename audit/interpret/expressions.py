"""The value of each kind of expression."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from audit.interpret.assignment import assign, chosen_by, store_element
from audit.interpret.attributes import attribute, subscript
from audit.interpret.branches import eval_if_expression
from audit.interpret.containers import element_of, known_items, put, tuple_of
from audit.interpret.folding import truth
from audit.interpret.heap import (
    SLICE,
    Array,
    Class,
    Frame,
    Function,
    Instance,
    Mapping,
    Sequence,
    Template,
    external,
    seen,
)
from audit.interpret.loops import eval_comprehension
from audit.interpret.operators import eval_binary, eval_compare, eval_unary
from audit.interpret.texts import joined_bits, setting
from audit.provenance import NLL, NOTHING, Value, join_all

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def eval_constant(interp: Interpreter, node: ast.Constant) -> Value:
    known = interp.constants.get(node)
    if known is None:
        known = interp.constants[node] = setting(node.value)
    return known


def eval_name(interp: Interpreter, node: ast.Name) -> Value:
    name = node.id
    scope: Frame | None = interp.frame
    while scope is not None:
        found = scope.variables.get(name)
        if found is not None:
            return seen(found)
        scope = scope.outer
    found = interp.frame.module.frame.variables.get(name)
    return seen(found) if found is not None else external(f"builtins.{name}")


def eval_attribute(interp: Interpreter, node: ast.Attribute) -> Value:
    return attribute(interp, interp.evaluate(node.value), node.attr, node)


def eval_subscript(interp: Interpreter, node: ast.Subscript) -> Value:
    index = interp.evaluate(node.slice)
    found = subscript(interp, interp.evaluate(node.value), index, node)
    chosen = chosen_by(interp, index.bits)
    return found.but(bits=found.bits | chosen) if chosen else found


def eval_slice(interp: Interpreter, node: ast.Slice) -> Value:
    parts = tuple(NOTHING if p is None else interp.evaluate(p) for p in (node.lower, node.upper, node.step))
    bits = parts[0].bits | parts[1].bits
    return Value(bits, thing=SLICE, items=parts, loops=parts[0].loops | parts[1].loops)


def eval_tuple(interp: Interpreter, node: ast.Tuple) -> Value:
    items: list[Value] = []
    for element in node.elts:
        if isinstance(element, ast.Starred):
            value = interp.evaluate(element.value)
            inner = known_items(value)
            items.extend(inner if inner is not None else [element_of(interp, value, node)])
        else:
            items.append(interp.evaluate(element))
    return tuple_of(items)


def eval_list(interp: Interpreter, node: ast.List | ast.Set) -> Value:
    items = eval_tuple(interp, ast.Tuple(node.elts)) if node.elts else None
    thing = Sequence(items=list(items.items or ()) if items else [])
    interp.made(thing, node)
    return Value(thing=thing)


def eval_dict(interp: Interpreter, node: ast.Dict) -> Value:
    thing = Mapping()
    interp.made(thing, node)
    for key, item in zip(node.keys, node.values, strict=True):
        value = interp.evaluate(item)
        if key is None:
            if isinstance(value.thing, Mapping):
                thing.entries.update(value.thing.entries)
                if value.thing.element is not None:
                    put(thing, Value(), value.thing.element)
        else:
            put(thing, interp.evaluate(key), value)
    return Value(thing=thing)


def eval_boolean(interp: Interpreter, node: ast.BoolOp) -> Value:
    values: list[Value] = []
    stop = isinstance(node.op, ast.Or)
    unknown = False
    for operand in node.values:
        value = interp.evaluate(operand)
        known = truth(value)
        if known is stop and not unknown:
            return value
        if known is stop:
            values.append(value)
            # `unknown and False` is False whatever the unknown is
            return Value(value.bits, stop) if not stop else join_all(values)
        if known is None:
            unknown = True
        values.append(value)
    if not unknown:
        return values[-1]
    live = [v for v in values if truth(v) is None] or values
    return (
        join_all(live) if len(live) > 1 else (live[0] if stop or len(values) == 1 else live[0].but(thing=live[0].thing))
    )


def eval_call(interp: Interpreter, node: ast.Call) -> Value:
    function = interp.evaluate(node.func)
    given: list[Value] = []
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            value = interp.evaluate(argument.value)
            items = known_items(value)
            given.extend(items if items is not None else [element_of(interp, value, node)])
        else:
            given.append(interp.evaluate(argument))
    named: dict[str, Value] = {}
    for keyword in node.keywords:
        value = interp.evaluate(keyword.value)
        if keyword.arg is not None:
            named[keyword.arg] = value
        elif isinstance(value.thing, Mapping):
            named.update((str(k), v) for k, v in value.thing.entries.items())
    result = interp.call(function, given, named, node)
    if "out" in named and not isinstance(function.thing, Function | Class | Instance):
        write_out(interp, node, named["out"], result)
    if result.thing is None and result.bits & NLL and isinstance(node.func, ast.Attribute):
        rebind_receiver(interp, node.func, result)
    return result


def write_out(interp: Interpreter, node: ast.Call, place: Value, result: Value) -> None:
    """``torch.sum(x, dim=1, out=total)`` writes what it gives to an array."""
    written = next(keyword.value for keyword in node.keywords if keyword.arg == "out")
    if isinstance(written, ast.Subscript):
        base, index = interp.evaluate(written.value), interp.evaluate(written.slice)
        store_element(interp, written.value, base, index, result, node)
    elif isinstance(place.thing, Array):
        store_element(interp, written, place, Value(), result, node)


def rebind_receiver(interp: Interpreter, func: ast.Attribute, result: Value) -> None:
    """``x.add_(y)`` on a plain value changes the variable it came from."""
    if func.attr.endswith("_") and not func.attr.startswith("_") and isinstance(func.value, ast.Name):
        assign(interp, func.value, result, func)


def eval_lambda(interp: Interpreter, node: ast.Lambda) -> Value:
    return Value(thing=interp.made(Function(node, interp.frame), node))


def eval_string(interp: Interpreter, node: ast.JoinedStr) -> Value:
    text, whole, bits, loops = "", True, 0, 0
    trail = None
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        if isinstance(part, ast.FormattedValue):
            value = interp.evaluate(part.value)
            if isinstance(part.format_spec, ast.JoinedStr):
                interp.evaluate(part.format_spec)
            bits |= value.bits
            loops |= value.loops
            trail = trail or value.trail
            if isinstance(value.const, str | int) and part.format_spec is None:
                text += str(value.const)
            else:
                whole = False
                text += "\0"
    if whole:
        return Value(joined_bits(bits, text), text)
    return Value(joined_bits(bits, text), thing=Template(text), loops=loops, trail=trail)


def eval_await(interp: Interpreter, node: ast.Await) -> Value:
    return interp.evaluate(node.value)


def eval_yield(interp: Interpreter, node: ast.Yield | ast.YieldFrom) -> Value:
    value = NOTHING if node.value is None else interp.evaluate(node.value)
    interp.frame.yields.append(element_of(interp, value, node) if isinstance(node, ast.YieldFrom) else value)
    return Value()


def eval_named(interp: Interpreter, node: ast.NamedExpr) -> Value:
    value = interp.evaluate(node.value)
    assign(interp, node.target, value, node)
    return value


def eval_starred(interp: Interpreter, node: ast.Starred) -> Value:
    return interp.evaluate(node.value)


EXPRESSIONS: dict[type, Callable[[Interpreter, Any], Value]] = {
    ast.Constant: eval_constant,
    ast.Name: eval_name,
    ast.Attribute: eval_attribute,
    ast.Subscript: eval_subscript,
    ast.Slice: eval_slice,
    ast.Tuple: eval_tuple,
    ast.List: eval_list,
    ast.Set: eval_list,
    ast.Dict: eval_dict,
    ast.BinOp: eval_binary,
    ast.UnaryOp: eval_unary,
    ast.BoolOp: eval_boolean,
    ast.Compare: eval_compare,
    ast.IfExp: eval_if_expression,
    ast.Call: eval_call,
    ast.Lambda: eval_lambda,
    ast.ListComp: eval_comprehension,
    ast.SetComp: eval_comprehension,
    ast.GeneratorExp: eval_comprehension,
    ast.DictComp: eval_comprehension,
    ast.JoinedStr: eval_string,
    ast.Await: eval_await,
    ast.Yield: eval_yield,
    ast.YieldFrom: eval_yield,
    ast.NamedExpr: eval_named,
    ast.Starred: eval_starred,
}
