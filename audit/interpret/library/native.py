"""Calls of compiled C code: what goes in comes out, and how the program's own C text divides a loss."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from audit.interpret.containers import union
from audit.interpret.heap import Array
from audit.provenance import EVENTS, NLL, TARGET, TRAIN, VAL, Value

if TYPE_CHECKING:
    from audit.interpret.interpreter import Interpreter

LIBRARY = "ctypes.CDLL()"  # what loading a shared library gives: its functions are named below it


def call_native(interp: Interpreter, name: str, given: list[Value], node: ast.AST) -> Value:
    """Call a function of a shared library: every array it is handed may hold what any argument is made of."""
    merged = union(given)
    bits = merged.bits & (NLL | VAL | TRAIN | TARGET | EVENTS)
    losses = [i for i, value in enumerate(given) if union([value]).bits & NLL and union([value]).bits & VAL]
    if losses:
        for text, line in c_texts(interp, name):
            divided = next((at for index in losses if (at := divides(text, name, index)) is not None), None)
            if divided is not None:
                bits |= interp.emit("spread", node, merged, c_line=line + text.count("\n", 0, divided))
                break
    for value in given:
        if isinstance(value.thing, Array) and interp.may_write(value.thing):
            value.thing.bits |= bits
            value.thing.loops |= merged.loops
            value.thing.trail = value.thing.trail or merged.trail
    return Value(bits, loops=merged.loops, trail=merged.trail)


def c_texts(interp: Interpreter, name: str) -> list[tuple[str, int]]:
    """Return the texts of the program that define a C function of this name, each with its line."""
    defined = re.compile(rf"\b{re.escape(name)}\s*\([^)]*\)\s*\{{")
    module = interp.frame.module.module
    return [
        (node.value, node.lineno)
        for node in module.nodes(ast.Constant)
        if isinstance(node.value, str) and len(node.value) > 200 and defined.search(node.value)
    ]


def divides(text: str, name: str, index: int) -> int | None:
    """Return where a C function divides each element of its parameter at ``index`` by a number that is not fixed."""
    found = re.search(rf"\b{re.escape(name)}\s*\(([^)]*)\)\s*\{{", text)
    parameters = found[1].split(",") if found is not None else []
    words = re.findall(r"\w+", parameters[index]) if index < len(parameters) else []
    if found is None or not words:
        return None
    share = re.compile(rf"\b{words[-1]}\s*\[[^\]]+\]\s*\)?\s*/\s*(?:\(\s*\w+\s*\)\s*)?[A-Za-z_(]")
    place = share.search(text, found.end())
    return place.start() if place is not None else None
