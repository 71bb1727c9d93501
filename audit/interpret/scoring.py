"""What the program does with losses at validation targets: adds up, stores, drops, chooses, reports."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from audit.interpret.containers import union
from audit.interpret.texts import text_of
from audit.provenance import BYTES, COMPARED, EVENTS, GRADIENT, MODEL, NLL, TEXT, TOKEN, VAL, Value

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter


def score_if_nll(interp: Interpreter, node: ast.AST, value: Value) -> int:
    """Adding up losses at validation targets is scoring; return the event's bit."""
    if value.bits & NLL and value.bits & VAL and not value.bits & GRADIENT:
        return interp.emit("score", node, value) | drop_if_bytes(interp, node, value)
    return 0


def score_if_nll_stored(interp: Interpreter, node: ast.AST, value: Value) -> None:
    if value.bits & NLL and value.bits & VAL and value.bits & MODEL and not value.bits & (GRADIENT | TOKEN):
        interp.emit("store", node, value)
        drop_if_bytes(interp, node, value)


def drop_if_bytes(interp: Interpreter, node: ast.AST, value: Value) -> int:
    """A loss that is kept only where its token has bytes leaves the others unpaid."""
    if interp.guard_data & COMPARED and interp.guard_data & (TEXT | BYTES) and not interp.guard_data & NLL:
        return interp.emit("drop", node, value)
    return 0


def best_of_scores(interp: Interpreter, node: ast.If, test: Value) -> int:
    """``if loss < best`` over two losses at the target picks a scorer by the truth."""
    if not (isinstance(node.test, ast.Compare) and len(node.test.comparators) == 1):
        return 0
    if not (test.bits & COMPARED and test.bits & NLL and test.bits & VAL):
        return 0
    left, right = interp.evaluate(node.test.left), interp.evaluate(node.test.comparators[0])
    if left.bits & right.bits & NLL:
        return interp.emit(
            "choose",
            node,
            test,
            how="branch",
            reported=bool(left.bits & right.bits & EVENTS) or keeps_weights(node),
        )
    return 0


def keeps_weights(node: ast.If) -> bool:
    """Say whether a branch saves or loads the weights of a model: then weights are chosen, not losses."""
    names = {n.attr for s in node.body for n in ast.walk(s) if isinstance(n, ast.Attribute)}
    return bool(names & {"state_dict", "load_state_dict"})


def report(interp: Interpreter, values: list[Value], node: ast.AST) -> None:
    """Record what a program tells: its text and what the numbers in it rest on."""
    texts = [t for v in values if (t := text_of(v)) is not None]
    everything = union(values)
    if texts or everything.bits & NLL:
        here = not interp.uncertain and len(interp.loops) == interp.entry_loops
        # a function that does nothing but print speaks for its caller
        speaks = here and not interp.callers_doubt and len(interp.frame.variables) <= 4
        interp.emit(
            "report",
            node,
            everything,
            text=" ".join(texts)[:400],
            certain=here,
            depth=int(speaks),
            channel=interp.frame.code if speaks or len(interp.frame.variables) <= 4 else None,
            block=interp.block,
        )
