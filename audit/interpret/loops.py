"""Loops and comprehensions: walked once to learn what they carry over, once to record what they do."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from audit.events import Loop
from audit.interpret.assignment import DATA, assign
from audit.interpret.containers import (
    append,
    element_of,
    is_range,
    known_items,
    known_length,
    origin_of,
    put,
    with_loop,
)
from audit.interpret.folding import truth
from audit.interpret.heap import Frame, Mapping, Sequence
from audit.provenance import COUNT, CURRENT, NLL, PAST, TARGET, TOKEN, TRAIN, UNKNOWN, VAL, Value, join_variables
from audit.tree import walk

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def do_for(interp: Interpreter, node: ast.For) -> bool:
    iterable = interp.evaluate(node.iter)
    items = known_items(iterable)
    if items is not None and len(items) <= 8 and not is_range(iterable):
        outer = interp.path_key
        for number, item in enumerate(items):
            assign(interp, node.target, item, node)
            interp.exits.append([])
            interp.path_key = hash((outer, id(node), number))  # what one round learns is not what the next one does
            ended = interp.execute(node.body)
            interp.path_key = outer
            exits = interp.exits.pop()
            for variables in exits:
                interp.frame.variables = variables if ended else join_variables(interp.frame.variables, variables)
                ended = False
            if ended:
                break
        return interp.execute(node.orelse)
    times = known_length(iterable)
    if times == 0:
        return interp.execute(node.orelse)
    over = "data" if iterable.bits & (VAL | TRAIN) else "range"
    if (origin := origin_of(iterable)) is not None:
        interp.emit("windows", node, iterable, loop=interp.bit("loop", node), origin=origin)
    walk_loop(interp, node, node.body, lambda: bind_loop(interp, node, iterable), times, over)
    interp.execute(node.orelse)
    return False


def bind_loop(interp: Interpreter, node: ast.For | ast.comprehension, iterable: Value) -> None:
    element = element_of(interp, iterable, node)
    bit = interp.bit("loop", node)
    assign(interp, node.target, with_loop(element, bit), node)


def do_while(interp: Interpreter, node: ast.While) -> bool:
    if truth(interp.evaluate(node.test)) is False:
        return interp.execute(node.orelse)
    walk_loop(interp, node, node.body, lambda: interp.evaluate(node.test), None, "while")
    return False


def walk_loop(
    interp: Interpreter,
    node: ast.For | ast.While,
    body: list[ast.stmt],
    bind: Callable[[], Any],
    times: int | None,
    over: str,
) -> None:
    """Walk a loop's body twice: once silently to learn what it carries over, once to record what it does."""
    bit = interp.bit("loop", node)
    entry = Loop(bit, node, interp.frame.file, times, over)
    before = interp.frame.variables
    once = times == 1
    outer = interp.loops
    guard = interp.guard, interp.guard_data
    interp.loops = (*outer, entry)
    interp.exits.append([])
    try:
        if not once:
            carried = widened(interp, node, body, before, bit if over == "while" else 0)
            if not interp.silent:
                interp.silent += 1
                interp.frame.variables = dict(carried)
                try:
                    bind()
                    interp.execute(body)
                finally:
                    interp.silent -= 1
                exits = interp.exits[-1]
                after = interp.frame.variables
                for variables in exits:
                    after = join_variables(after, variables)
                exits.clear()
                carried = {
                    name: earlier(value, bit) if of_earlier_round(value) else value
                    for name, value in join_variables(carried, after).items()
                }
            interp.frame.variables = dict(carried)
            for array in interp.carriers.values():  # what a round finds in an array is of earlier rounds
                if array.loops & bit and array.bits & TARGET and not array.bits & (NLL | COUNT | TOKEN):
                    array.bits = array.bits & ~TARGET | PAST
                array.loops &= ~bit
        bind()
        ended = interp.execute(body)
    finally:
        interp.loops = outer
        interp.guard, interp.guard_data = guard
        exits = interp.exits.pop()
    after = interp.frame.variables
    for variables in exits:
        after = variables if ended else join_variables(after, variables)
        ended = False
    interp.frame.variables = after if once else join_variables(before, after)


def widened(
    interp: Interpreter, node: ast.AST, body: list[ast.stmt], before: dict[str, Value], bit: int
) -> dict[str, Value]:
    """Forget the constants of what the loop assigns: they hold in the first round only."""
    names = interp.assigned_names.get(node)
    if names is None:
        found: set[str] = set()
        for statement in body:
            for child in walk(statement):
                if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                    found.add(child.id)
        names = interp.assigned_names[node] = frozenset(found)
    wide = dict(before)
    for name in names:
        value = wide.get(name)
        if value is None:
            continue
        if value.const is not UNKNOWN or value.position is not None or value.items is not None:
            numeric = value.const is UNKNOWN or isinstance(value.const, int)
            position = interp.atom("carried", node, name) if numeric and not value.bits & DATA else value.position
            wide[name] = value.but(const=UNKNOWN, position=position, items=None, loops=value.loops | bit)
        elif bit:
            wide[name] = value.but(loops=value.loops | bit)
    return wide


def of_earlier_round(value: Value) -> bool:
    """Tokens that a loop carries over are those of the round before, not of this one."""
    return bool(value.bits & TOKEN and value.bits & (VAL | TRAIN))


def earlier(value: Value, bit: int) -> Value:
    """Return a value as the next round of a loop sees it: the tokens of this round are then past."""
    bits = value.bits
    if value.loops & bit and bits & (TARGET | CURRENT):
        bits = bits & ~(TARGET | CURRENT) | PAST
    return value.but(bits=bits, loops=value.loops & ~bit)


def eval_comprehension(
    interp: Interpreter, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
) -> Value:
    outer = interp.frame
    inner = Frame(outer.module, outer, node, outer.file, outer.name)
    inner.declared, inner.receiver = outer.declared, outer.receiver
    loops = interp.loops
    first = node.generators[0]
    iterable = interp.evaluate(first.iter)
    items = known_items(iterable)
    single = len(node.generators) == 1 and not first.ifs
    interp.frame = inner
    try:
        if single and items is not None and len(items) <= 16 and not is_range(iterable):
            return unrolled(interp, node, first, items)
        count = known_length(iterable)
        for i, generator in enumerate(node.generators):
            source = iterable if i == 0 else interp.evaluate(generator.iter)
            bit = interp.bit("loop", generator)
            if isinstance(node, ast.ListComp) and (origin := origin_of(source)) is not None:
                interp.emit("windows", node, source, loop=bit, origin=origin)
            times = known_length(source)
            over = "data" if source.bits & (VAL | TRAIN) else "range"
            interp.loops = (*interp.loops, Loop(bit, node, interp.frame.file, times, over))
            bind_loop(interp, generator, source)
            for test in generator.ifs:
                interp.evaluate(test)
        if isinstance(node, ast.DictComp):
            mapping = Mapping()
            key, item = interp.evaluate(node.key), interp.evaluate(node.value)
            interp.loops = loops
            interp.made(mapping, node)
            put(mapping, key.but(const=UNKNOWN), item)
            return Value(thing=mapping)
        element = interp.evaluate(node.elt)
    finally:
        interp.frame, interp.loops = outer, loops
    thing = Sequence(kind="comprehension")
    interp.made(thing, node)
    append(thing, element)
    if count == 0 and single:
        thing.items = []
    return Value(thing=thing)


def unrolled(interp: Interpreter, node: Any, generator: ast.comprehension, items: tuple[Value, ...]) -> Value:
    results: list[Value] = []
    mapping = Mapping()
    interp.made(mapping, node)
    for item in items:
        assign(interp, generator.target, item, node)
        if isinstance(node, ast.DictComp):
            put(mapping, interp.evaluate(node.key), interp.evaluate(node.value))
        else:
            results.append(interp.evaluate(node.elt))
    if isinstance(node, ast.DictComp):
        return Value(thing=mapping)
    return Value(thing=interp.made(Sequence(items=results), node))
