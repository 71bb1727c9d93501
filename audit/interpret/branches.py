"""Which side of an ``if`` runs: by the settings, by what the logs show, or both where nobody can tell."""

from __future__ import annotations

import ast
from itertools import islice
from typing import TYPE_CHECKING

from audit.interpret.assignment import assign, chosen_by
from audit.interpret.folding import truth
from audit.interpret.heap import External, Function, Method, Range, Sequence, constant
from audit.interpret.scoring import best_of_scores
from audit.interpret.texts import literal
from audit.provenance import CLOCK, COMPARED, NLL, RANK, TEXT, VAL, Value, join, join_variables

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter

DEAD_STEPS = 12_000  # spent on a branch that does not run


def do_if(interp: Interpreter, node: ast.If) -> bool:
    test = interp.evaluate(node.test)
    known = witnessed(interp, node, truth(test), test)
    if known is None and fills_empty(interp, node):
        known = False
    if known and isinstance(node.body[-1], ast.Raise):
        known = False  # the submitted run did not end here: what seems to lead here was folded wrongly
    if known is not None:
        live, other = (node.body, node.orelse) if known else (node.orelse, node.body)
        if other and not interp.silent and interp.depth < 6:
            dead_branch(interp, other, node, known == truth(test))
        return interp.execute(live)
    before = interp.frame.variables
    interp.frame.variables = dict(before)
    interp.maybe += 1
    doubt = 0 if test.bits & RANK else 1
    interp.uncertain += doubt
    guard = interp.guard, interp.guard_data, interp.guard_choice
    interp.guard |= test.loops
    interp.guard_data |= test.bits
    interp.guard_choice |= best_of_scores(interp, node, test) | chosen_by(interp, test.bits)
    ended_body = interp.execute(node.body)
    after_body = interp.frame.variables
    interp.frame.variables = dict(before)
    ended_else = interp.execute(node.orelse)
    after_else = interp.frame.variables
    interp.maybe -= 1
    interp.uncertain -= doubt
    interp.guard, interp.guard_data, interp.guard_choice = guard
    if ended_body != ended_else and not isinstance(node.body[-1], ast.Raise):  # what follows runs in one case only
        interp.guard |= test.loops
        interp.guard_data |= test.bits
    if ended_body and ended_else:
        return True
    if ended_body:
        interp.frame.variables = after_else
    elif ended_else:
        interp.frame.variables = after_body
    else:
        interp.frame.variables = join_variables(after_body, after_else)
    return False


def fills_empty(interp: Interpreter, node: ast.If) -> bool:
    """``if not starts: starts = [0]``: real data leave no such list empty, and the stand-in is not what was run."""
    if not isinstance(node.test, ast.UnaryOp) or not isinstance(node.test.op, ast.Not):
        return False
    name = node.test.operand
    if not isinstance(name, ast.Name) or node.orelse or len(node.body) != 1 or not isinstance(node.body[0], ast.Assign):
        return False
    thing = interp.evaluate(name).thing
    listed = isinstance(thing, Range) or (isinstance(thing, Sequence) and thing.items is None)
    return listed and any(isinstance(t, ast.Name) and t.id == name.id for t in node.body[0].targets)


def eval_if_expression(interp: Interpreter, node: ast.IfExp) -> Value:
    test = interp.evaluate(node.test)
    known = truth(test)
    if known is False and interp.witness.text and (text := literal(node.body)) and interp.witness.saw(text):
        telling = max(text.split("\0"), key=len)
        if interp.frame.module.module.text.count(telling) == 1:  # nothing else prints the other branch's text
            known = True
            correct(interp, node.test, True)
    if known is not None:
        return interp.evaluate(node.body if known else node.orelse)
    interp.maybe += 1
    body, other = interp.evaluate(node.body), interp.evaluate(node.orelse)
    interp.maybe -= 1
    if isinstance(node.test, ast.Compare) and test.bits & NLL and body.bits & other.bits & NLL and test.bits & VAL:
        bit = interp.emit("choose", node, test, how="expression")
        return join(body, other).but(bits=body.bits | other.bits | bit)
    joined = join(body, other)
    if chosen := chosen_by(interp, test.bits):
        joined = joined.but(bits=joined.bits | chosen)
    if test.bits & TEXT and {type(body.const), type(other.const)} <= {bool, int} and body.const != other.const:
        joined = joined.but(bits=joined.bits | (test.bits & TEXT) | COMPARED)  # the class of a piece, as a number
    return joined


def dead_branch(interp: Interpreter, statements: list[ast.stmt], node: ast.If, by_settings: bool) -> None:
    """Walk what the configuration switches off, so that it can be shown as inactive; nothing of it stays."""
    kept = interp.frame.variables, interp.dead, interp.maybe, interp.last_loss, interp.disk
    if interp.dead or interp.steps > interp.limit // 2:
        return
    interp.frame.variables = dict(interp.frame.variables)
    told = ast.unparse(node.test)[:120]
    interp.dead = told if by_settings else f"{told}: no log shows it"
    interp.exits.append([])
    results, interp.frame.results = interp.frame.results, []
    try:
        interp.execute_within(DEAD_STEPS, statements)
    finally:
        interp.exits.pop()
        interp.frame.results = results
        interp.frame.variables, interp.dead, interp.maybe, interp.last_loss, interp.disk = kept


def witnessed(interp: Interpreter, node: ast.If, known: bool | None, test: Value) -> bool | None:
    """Correct what the settings say by what the logs show: a text printed in a branch, or missing from them all."""
    if not interp.witness.text or test.bits & RANK:
        return known
    printed, missing = printed_in(interp, node.body), printed_in(interp, node.orelse)
    if printed and known is not True and not missing and printed_often(interp, node.body):
        correct(interp, node.test, True)
        return True
    if missing and known is not False and not printed and printed_often(interp, node.orelse):
        correct(interp, node.test, False)
        return False
    if interp.witness.complete and not test.bits & ~(RANK | TEXT | CLOCK | COMPARED):
        if printed is False and known is not False and missing is not False:
            return False
        if missing is False and known is not True and printed is not False:
            return True
    return known


def correct(interp: Interpreter, test: ast.expr, outcome: bool) -> None:
    """A switch that the logs contradict has the other value from here on."""
    if isinstance(test, ast.Name | ast.Attribute) and not interp.dead:
        assign(interp, test, constant(outcome), test)


def printed_in(interp: Interpreter, statements: list[ast.stmt]) -> bool | None:
    """Say whether the logs show what a block prints for certain; None where it prints nothing telling."""
    shown: list[bool] = []
    for statement in statements:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and statement.value.args:
            text = literal(statement.value.args[0])
            if text is None or not prints(interp, statement.value.func):
                continue
            seen_there = interp.witness.saw(text)
            if seen_there is not None and (seen_there or channel_is_logged(interp, statement.value.func)):
                shown.append(seen_there)
    return shown[0] if shown and len(set(shown)) == 1 else None


def printed_often(interp: Interpreter, statements: list[ast.stmt]) -> bool:
    """Say whether what a block prints stands in most logs."""
    calls = [s.value for s in statements if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) and s.value.args]
    texts = [text for call in calls if (text := literal(call.args[0])) and prints(interp, call.func)]
    return all(interp.witness.saw_often(text) for text in texts if interp.witness.saw(text))


def channel_is_logged(interp: Interpreter, function: ast.expr) -> bool:
    """Say whether the logs show other texts that the module prints through the same function."""
    if not isinstance(function, ast.Name | ast.Attribute):
        return False
    module, name = interp.frame.module, last_name(function)
    known = interp.channels.get((module, name))
    if known is None:
        texts = (
            text
            for node in module.module.nodes(ast.Call)
            if node.args and isinstance(node.func, ast.Name | ast.Attribute) and last_name(node.func) == name
            if (text := literal(node.args[0])) and interp.witness.saw(text)
        )
        known = interp.channels[module, name] = len(list(islice(texts, 3))) == 3
    return known


def prints(interp: Interpreter, function: ast.expr) -> bool:
    """Say whether a call of this would print."""
    thing = interp.evaluate(function).thing
    if isinstance(thing, External):
        return thing.name == "builtins.print"
    if isinstance(thing, Function):
        known = interp.printers.get(thing.definition)
        if known is None:
            known = any(
                isinstance(n, ast.Call) and (isinstance(n.func, ast.Name) and n.func.id == "print")
                for n in ast.walk(thing.definition)
            )
            interp.printers[thing.definition] = known
        return known
    return isinstance(thing, Method) and thing.name in ("info", "log", "write")


def last_name(node: ast.Name | ast.Attribute) -> str:
    """Return the last of dotted names."""
    return node.id if isinstance(node, ast.Name) else node.attr
