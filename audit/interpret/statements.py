"""What each statement does to the variables, apart from branches, loops and definitions."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from audit.interpret.assignment import assign, store_element
from audit.interpret.branches import do_if
from audit.interpret.containers import extend
from audit.interpret.definitions import do_class, do_function, do_import, do_import_from
from audit.interpret.heap import Array, Frame, Sequence
from audit.interpret.library.tables import count_if_table
from audit.interpret.library.training import step_if_gradient
from audit.interpret.loops import do_for, do_while
from audit.interpret.operators import binary
from audit.interpret.scoring import score_if_nll
from audit.provenance import BYTES, NLL, NOTHING, TEXT, VAL, Value, join_variables

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def do_expression(interp: Interpreter, node: ast.Expr) -> None:
    interp.evaluate(node.value)


def do_assign(interp: Interpreter, node: ast.Assign) -> None:
    value = interp.evaluate(node.value)
    for target in node.targets:
        assign(interp, target, value, node)


def do_annotated(interp: Interpreter, node: ast.AnnAssign) -> None:
    if node.value is not None:
        assign(interp, node.target, interp.evaluate(node.value), node)


def do_augmented(interp: Interpreter, node: ast.AugAssign) -> None:
    target = node.target
    right = interp.evaluate(node.value)
    if isinstance(target, ast.Subscript):
        base, index = interp.evaluate(target.value), interp.evaluate(target.slice)
        count_if_table(interp, node, base, index)
        score_if_nll(interp, node, right)
        store_element(interp, target.value, base, index, right, node)
        return
    left = interp.evaluate(target)
    result = binary(interp, node, node.op, left, right)
    if right.bits & (BYTES | TEXT) and right.bits & VAL and not right.bits & NLL:
        interp.emit("bytes", node, right)
    if isinstance(node.op, ast.Add | ast.Sub):
        bit = score_if_nll(interp, node, right)
        result = result.but(bits=result.bits | bit)
        step_if_gradient(interp, node, left, right)
    if isinstance(left.thing, Array | Sequence) and interp.may_write(left.thing):
        if isinstance(left.thing, Sequence):
            extend(interp, left.thing, right)
        else:
            left.thing.bits |= result.bits
            left.thing.loops |= result.loops
            left.thing.trail = left.thing.trail or result.trail
        result = result.but(thing=left.thing)
    assign(interp, target, result, node)


def do_with(interp: Interpreter, node: ast.With | ast.AsyncWith) -> bool:
    for item in node.items:
        value = interp.evaluate(item.context_expr)
        if item.optional_vars is not None:
            assign(interp, item.optional_vars, value, node)
    return interp.execute(node.body)


def do_try(interp: Interpreter, node: ast.Try) -> bool:
    before = interp.frame.variables
    ended = interp.execute(node.body)
    if not ended:
        ended = interp.execute(node.orelse)
    after = interp.frame.variables
    caught = [h for h in node.handlers if not is_import_error(h)]
    for handler in caught:
        interp.frame.variables = join_variables(before, after)
        if handler.name:
            interp.frame.variables[handler.name] = Value()
        interp.maybe += 1
        quits = interp.execute(handler.body)
        interp.maybe -= 1
        if not quits:
            after = interp.frame.variables if ended else join_variables(after, interp.frame.variables)
            ended = False
    interp.frame.variables = after
    return interp.execute(node.finalbody) or ended


def is_import_error(handler: ast.ExceptHandler) -> bool:
    """Say whether a handler is for a library that is not installed: the contest's machine has them all."""
    names = {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)} if handler.type is not None else set()
    return bool(names & {"ImportError", "ModuleNotFoundError"})


def do_match(interp: Interpreter, node: ast.Match) -> bool:
    interp.evaluate(node.subject)
    before = interp.frame.variables
    joined: dict[str, Value] | None = None
    for case in node.cases:
        interp.frame.variables = dict(before)
        interp.maybe += 1
        if not interp.execute(case.body):
            joined = interp.frame.variables if joined is None else join_variables(joined, interp.frame.variables)
        interp.maybe -= 1
    interp.frame.variables = before if joined is None else join_variables(before, joined)
    return False


def do_return(interp: Interpreter, node: ast.Return) -> bool:
    interp.frame.results.append(NOTHING if node.value is None else interp.evaluate(node.value))
    return True


def do_raise(interp: Interpreter, node: ast.Raise) -> bool:
    return True


def do_leave_round(interp: Interpreter, node: ast.Break | ast.Continue) -> bool:
    if interp.exits:
        interp.exits[-1].append(dict(interp.frame.variables))
    return True


def do_assert(interp: Interpreter, node: ast.Assert) -> None:
    interp.evaluate(node.test)


def do_delete(interp: Interpreter, node: ast.Delete) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name) and not interp.maybe and not interp.loops:
            interp.frame.variables.pop(target.id, None)


def do_declare(interp: Interpreter, node: ast.Global | ast.Nonlocal) -> None:
    for name in node.names:
        scope: Frame | None = interp.frame.module.frame
        if isinstance(node, ast.Nonlocal):
            scope = interp.frame.outer
            while scope is not None and name not in scope.variables:
                scope = scope.outer
        if scope is not None:
            interp.frame.declared[name] = scope


STATEMENTS: dict[type, Callable[[Interpreter, Any], bool | None]] = {
    ast.Expr: do_expression,
    ast.Assign: do_assign,
    ast.AnnAssign: do_annotated,
    ast.AugAssign: do_augmented,
    ast.If: do_if,
    ast.For: do_for,
    ast.AsyncFor: do_for,
    ast.While: do_while,
    ast.With: do_with,
    ast.AsyncWith: do_with,
    ast.Try: do_try,
    ast.TryStar: do_try,
    ast.Match: do_match,
    ast.Return: do_return,
    ast.Raise: do_raise,
    ast.Break: do_leave_round,
    ast.Continue: do_leave_round,
    ast.Assert: do_assert,
    ast.Delete: do_delete,
    ast.Global: do_declare,
    ast.Nonlocal: do_declare,
    ast.FunctionDef: do_function,
    ast.AsyncFunctionDef: do_function,
    ast.ClassDef: do_class,
    ast.Import: do_import,
    ast.ImportFrom: do_import_from,
}
