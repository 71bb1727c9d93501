"""Reads how a program sizes the pieces of its tokenizer, and names what it counts wrongly."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from audit.source import Module
from audit.tree import walk

_PIECES = frozenset({"id_to_piece", "IdToPiece"})
_BYTE_TESTS = frozenset({"is_byte", "IsByte"})


@dataclass(frozen=True)
class Fault:
    """``kind``: bytes (a byte piece ``<0x41>`` is sized by its six characters) or space (counted twice); ``again``
    is where a leading space is counted for the second time.
    """

    kind: str
    node: ast.AST
    again: ast.AST | None = None


def faults(module: Module, walked: set[ast.AST]) -> Iterator[Fault]:
    """Yield what the functions that a program walks through count wrongly when they size its tokenizer's pieces."""
    functions = [n for n in functions_of(module) if n in walked]
    helpers = {f.name: f.body[-1] for f in functions if len(f.body) == 1 and isinstance(f.body[0], ast.Return)}
    added = next((n for f in functions for n in _sums(module, f) if _adds_spaces(n, helpers)), None)
    words = _PIECES | helpers.keys()
    for function in functions:
        if not any(word in line for line in module.lines[function.lineno - 1 : function.end_lineno] for word in words):
            continue
        nodes = _through(function, helpers)
        sized = next((n for n in nodes if _encodes(n)), None)
        if sized is None or not any(isinstance(n, ast.Attribute) and n.attr in _PIECES for n in nodes):
            continue
        flagged = any(
            isinstance(n, ast.Assign)
            and isinstance(n.targets[0], ast.Subscript)
            and isinstance(n.value, ast.Constant)
            and n.value.value in (True, 1)
            for n in nodes
        )
        if not isinstance(function.body[0], ast.Return) and not any(_tests_for_bytes(n) for n in nodes):
            yield Fault("bytes", sized)
        counted = next((n for n in nodes if _counts_space(n, helpers)), None)
        if counted is not None and flagged and added is not None:
            yield Fault("space", counted, added)


def functions_of(module: Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the functions of a module."""
    return [*module.nodes(ast.FunctionDef), *module.nodes(ast.AsyncFunctionDef)]


def _sums(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.AugAssign]:
    """Return the augmented assignments in a function."""
    last = function.end_lineno or function.lineno
    return [n for n in module.nodes(ast.AugAssign) if function.lineno <= n.lineno <= last]


def _through(node: ast.AST, helpers: dict[str, ast.stmt], depth: int = 3) -> list[ast.AST]:
    """Return the nodes below one, and those of the helper functions that it calls and that only return something."""
    found: list[ast.AST] = []
    for inner in walk(node):
        found.append(inner)
        if depth and isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in helpers:
            found += _through(helpers[inner.func.id], helpers, depth - 1)
    return found


def _encodes(node: ast.AST) -> bool:
    """``text.encode(...)``: the bytes of a piece."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "encode"


def _counts_space(node: ast.AST, helpers: dict[str, ast.stmt]) -> bool:
    """``len(piece[1:].encode()) + 1``: the leading space is part of a piece's size."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)):
        return False
    return any(
        isinstance(one, ast.Constant) and one.value == 1 and any(_encodes(n) for n in _through(other, helpers))
        for one, other in ((node.left, node.right), (node.right, node.left))
    )


def _adds_spaces(node: ast.AugAssign, helpers: dict[str, ast.stmt]) -> bool:
    """``size += spaces[target] & ~borders[previous]``: a leading space is counted where the score is taken."""
    if not isinstance(node.op, ast.Add):
        return False
    return any(
        isinstance(n, ast.BinOp)
        and isinstance(n.op, ast.BitAnd)
        and isinstance(n.left, ast.Subscript)
        and isinstance(n.right, ast.UnaryOp)
        and isinstance(n.right.op, ast.Invert)
        and isinstance(n.right.operand, ast.Subscript)
        for n in _through(node.value, helpers)
    )


def _tests_for_bytes(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in _BYTE_TESTS
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and "<0x" in node.value.lower()


def fills(module: Module, table_store: ast.AST) -> list[ast.AST]:
    """Return all the statements of a function that put sizes into the table which one of them fills."""
    base = _table_of(table_store)
    if not base:
        return []
    for function in functions_of(module):
        statements = [n for n in walk(function) if _table_of(n) == base]
        if table_store in statements:
            return statements
    return []


def read_tables(module: Module, walked: set[ast.AST]) -> Iterator[ast.AST]:
    """Yield where functions that a program walks through load a file and take an entry of bytes from it."""
    if ".load(" not in module.text:
        return
    for function in functions_of(module):
        if function not in walked:
            continue
        loads = entry = None
        for node in walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load":
                loads = loads or node
            key = node.slice if isinstance(node, ast.Subscript) else None
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and "bytes" in key.value.lower():
                entry = entry or node
        if loads is not None and entry is not None:
            yield loads
            yield entry


def _table_of(node: ast.AST) -> str:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        return ast.unparse(node.targets[0].value)
    return ""
