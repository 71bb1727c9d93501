"""Takes a scorer's windows on small whole numbers: which ones, and how often the tail is scored."""

from __future__ import annotations

import ast
from dataclasses import dataclass

TOTAL, LENGTH, STRIDE = 1000, 64, 16


@dataclass(frozen=True)
class WindowList:
    """A list of window starts: ``node`` makes it; ``repeated`` counts truncated windows that score the tail again.

    ``dropped`` counts tokens at the end that no window scores.
    """

    node: ast.AST
    line: int
    repeated: int
    dropped: int


def window_list(node: ast.AST, origin: ast.expr) -> WindowList | None:
    """Return the window list that a comprehension or a collecting loop makes of a ``range``, if it makes one."""
    if isinstance(node, ast.ListComp) and len(node.generators) == 1:
        generator = node.generators[0]
        span = strided(origin)
        if span and isinstance(generator.target, ast.Name) and isinstance(node.elt, ast.Name):
            return judge(node, generator.target.id, span, generator.ifs)
    elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
        span = strided(origin)
        if span and (kept := loop_conditions(node)) is not None:
            return judge(node, node.target.id, span, *kept)
    return None


def strided(node: ast.expr) -> tuple[ast.expr, ast.expr, ast.expr] | None:
    """Return start, stop and step of a ``range`` with a step."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "range"
        and len(node.args) == 3
    ):
        return node.args[0], node.args[1], node.args[2]
    return None


def loop_conditions(node: ast.For) -> tuple[list[ast.expr], list[ast.stmt]] | None:
    """Return what must hold for a round of the loop to keep its window, if the loop does nothing but collect."""
    name = node.target.id if isinstance(node.target, ast.Name) else ""
    tests: list[ast.expr] = []
    before: list[ast.stmt] = []
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            before.append(statement)
        elif isinstance(statement, ast.If) and len(statement.body) == 1 and not statement.orelse:
            inner = statement.body[0]
            if isinstance(inner, ast.Continue | ast.Break):
                tests.append(ast.UnaryOp(ast.Not(), statement.test))
            elif appends(inner, name):
                tests.append(statement.test)
                return tests, before
            else:
                return None
        elif appends(statement, name):
            return tests, before
        else:
            return None
    return None


def appends(statement: ast.stmt, name: str) -> bool:
    """Say whether a statement appends the loop's variable to a list."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
        and statement.value.func.attr == "append"
        and any(isinstance(n, ast.Name) and n.id == name for a in statement.value.args for n in ast.walk(a))
    )


class NotArithmetic(Exception):
    """An expression that is more than whole numbers."""


def judge(
    node: ast.AST,
    name: str,
    span: tuple[ast.expr, ast.expr, ast.expr],
    tests: list[ast.expr],
    before: list[ast.stmt] | None = None,
) -> WindowList | None:
    """Take the windows of a small stream. A scorer counts the last step of each, or all of a window that is shorter."""
    _, stop, step = span
    if ast.unparse(stop) == ast.unparse(step) or isinstance(step, ast.Constant):
        return None
    known = {ast.unparse(stop): TOTAL, ast.unparse(step): STRIDE}
    windows: list[int] = []
    try:
        for start in range(0, TOTAL, STRIDE):
            names = {**known, name: start}
            for statement in before or ():
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                    names[statement.targets[0].id] = evaluate(statement.value, names)
            if all(evaluate(test, names) for test in tests):
                windows.append(start)
    except (NotArithmetic, ArithmeticError):
        return None
    if len(windows) < 3:
        return None
    ends = [min(start + LENGTH, TOTAL) for start in windows]
    covering = sum(end >= TOTAL for end in ends)
    line = getattr(node, "lineno", 0)
    return WindowList(node, line, max(covering - 1, 0), max(TOTAL - max(ends), 0))


def evaluate(node: ast.expr, names: dict[str, int]) -> int:
    """Return the value of an expression of whole numbers; a name that is not known is the window's length."""
    text = ast.unparse(node) if not isinstance(node, ast.Constant) else ""
    if text in names:
        return names[text]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return int(node.value)
    if isinstance(node, ast.Name | ast.Attribute):
        return LENGTH
    if isinstance(node, ast.BinOp):
        # a sum or difference of settings that holds no known name is a length as well
        left, right = evaluate(node.left, names), evaluate(node.right, names)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.FloorDiv):
            return left // right
        raise NotArithmetic
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return int(not evaluate(node.operand, names))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -evaluate(node.operand, names)
    if isinstance(node, ast.BoolOp):
        values = [evaluate(v, names) for v in node.values]
        return int(all(values) if isinstance(node.op, ast.And) else any(values))
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        numbers = [evaluate(s, names) for s in sides]
        return int(all(compare(op, a, b) for op, a, b in zip(node.ops, numbers, numbers[1:], strict=False)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max") and node.args:
        numbers = [evaluate(a, names) for a in node.args]
        return min(numbers) if node.func.id == "min" else max(numbers)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "int" and node.args:
        return evaluate(node.args[0], names)
    raise NotArithmetic


def compare(op: ast.cmpop, a: int, b: int) -> bool:
    """Return the outcome of one comparison."""
    outcomes = {
        ast.Lt: a < b,
        ast.LtE: a <= b,
        ast.Gt: a > b,
        ast.GtE: a >= b,
        ast.Eq: a == b,
        ast.NotEq: a != b,
    }
    found = outcomes.get(type(op))
    if found is None:
        raise NotArithmetic
    return found
